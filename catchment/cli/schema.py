"""`catchment schema`: write, check and publish schemas. The subcommands are imported when they are called."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click
import orjson

from catchment.cli.main import LateGroup

if TYPE_CHECKING:
    from rich.console import Console

    from catchment.schemas.registry import Schema

FORMAT = click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
FOUND = 1
"""Exit code of a command that has found what it looks for; bad arguments are 2."""

PIPED_WIDTH = 160
"""Characters of a table's line where there is no terminal."""


class SchemaGroup(LateGroup):
    places: ClassVar[Mapping[str, str]] = {
        "lint": "catchment.cli.schema_lint:lint",
        "test": "catchment.cli.schema_test:test",
        "diff": "catchment.cli.schema_diff:diff",
        "preview": "catchment.cli.schema_preview:preview",
        "add": "catchment.cli.schema_diff:add",
        "show": "catchment.cli.schema_show:show",
        "docs": "catchment.cli.schema_show:docs",
    }


@click.group(cls=SchemaGroup)
def schema() -> None:
    """Write, check and publish the JSON Schemas that pings are judged by.

    Exit codes are for scripts: 0 nothing found, 1 something found, 2 bad arguments. None needs a running platform; add
    and preview work on its home.

    \b
    catchment schema lint schemas/
    catchment schema test --schemas schemas --examples examples
    catchment schema diff origin/main:schemas schemas
    catchment schema preview schemas/shop/order/order.2.schema.json
    catchment schema add schemas/shop/order/order.2.schema.json
    """


NAMESPACE = click.option("--namespace", help="Namespace of the schema (default: the folder above the file's folder).")


def schema_in(path: Path, namespace: str | None) -> Schema:
    """The schema of a file that is called as the registry wants it. Raises BadParameter."""
    from catchment.schemas.registry import FILE_NAME, NAMESPACE_NAME, Schema

    named = FILE_NAME.fullmatch(path.name)
    if named is None:
        raise click.BadParameter(f"{path.name} must be called <doctype>.<version>.schema.json", param_hint="FILE")
    name = namespace or path.absolute().parent.parent.name
    if NAMESPACE_NAME.fullmatch(name) is None:
        raise click.BadParameter(
            f"{name!r} is no namespace (letters, digits and -); name one with --namespace", param_hint="FILE"
        )
    return Schema(name, named["doctype"], int(named["version"]), path)


def wide_console() -> Console:
    """The terminal, or lines of a fixed width where there is none to tell its own."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH)


def print_json(value: Any) -> None:
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
