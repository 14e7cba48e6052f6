"""The `catchment` command: a group whose commands are imported when they are called, so that help is fast.

Every command gets the `Platform` as its click object. Errors that Catchment raises on purpose end in one line on
standard error and exit code 1; bad settings in exit code 2.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import click

from catchment import __version__
from catchment.errors import BadConfig, CatchmentError

COMMANDS = {
    "up": "catchment.cli.run:up",
    "run": "catchment.cli.run:run",
    "demo": "catchment.cli.demo:demo",
    "status": "catchment.cli.status:status",
    "config": "catchment.cli.config:config",
    "ledger": "catchment.cli.ledger:ledger",
    "limits": "catchment.cli.limits:limits",
    "simulate": "catchment.cli.simulate:simulate",
    "tail": "catchment.cli.tail:tail",
    "errors": "catchment.cli.errors:errors",
    "receipt": "catchment.cli.receipt:receipt",
    "torture": "catchment.cli.torture:torture",
    "sql": "catchment.cli.sql:sql",
    "tables": "catchment.cli.sql:tables",
    "describe": "catchment.cli.sql:describe",
    "landfill": "catchment.cli.landfill:landfill",
    "replay": "catchment.cli.replay:replay",
    "promote": "catchment.cli.promote:promote",
    "schema": "catchment.cli.schema:schema",
}
"""Command name → where it lives, in the order in which help lists them."""


class LateGroup(click.Group):
    """Imports a command's module when the command is asked for. `places` is name → where it lives."""

    places: ClassVar[Mapping[str, str]] = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.places:
            return None
        module, _, attribute = self.places[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LateGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file (default: catchment.toml here, or $CATCHMENT_CONFIG).",
)
@click.version_option(__version__, prog_name="catchment")
@click.pass_context
def cli(ctx: click.Context, config_file: Path | None) -> None:
    """Catchment, a telemetry data platform that a team runs for itself.

    \b
    catchment demo              the whole platform with a simulated fleet
    catchment up                the platform
    catchment status            what runs, how far behind, how fast
    catchment sql "select 1"    a query over the lake
    """
    from catchment.platform import Platform

    ctx.obj = Platform.from_file(config_file)


def main() -> None:
    """Entry point: runs the command and turns errors raised on purpose into one line."""
    try:
        sys.exit(cli(standalone_mode=False))  # click returns the code of an Exit that a command raised
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BadConfig as error:
        _say(error)
        sys.exit(2)
    except CatchmentError as error:
        _say(error)
        sys.exit(1)


def _say(error: Any) -> None:
    click.echo(f"catchment: {error}", err=True)
