"""`catchment config`: every setting, where its value came from and what it means."""

from __future__ import annotations

import click
import orjson

from catchment.config import Setting
from catchment.platform import Platform


@click.command()
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
@click.option("--changed", is_flag=True, help="Only settings that differ from their default.")
@click.pass_obj
def config(platform: Platform, output: str, changed: bool) -> None:
    """Print each setting, its value, where that came from and what it means. Secrets are starred."""
    settings = [s for s in platform.config.settings if not changed or s.value != s.default]
    if output == "json":
        click.echo(orjson.dumps([_row(setting) for setting in settings], option=orjson.OPT_INDENT_2))
        return
    click.echo(f"# from {platform.config.source or 'the defaults (no catchment.toml here)'}")
    section = ""
    for setting in settings:
        if setting.section != section:
            section = setting.section
            click.echo(f"\n[{section}]")
        unit = f" {setting.unit}" if setting.unit else ""
        origin = "" if setting.origin == "default" else f"   (from {setting.origin})"
        click.echo(f"{setting.name} = {_toml(setting)}{origin}")
        click.echo(click.style(f"    {setting.help}{f' [{unit.strip()}]' if unit else ''}", dim=True))


def _toml(setting: Setting) -> str:
    if setting.secret or not isinstance(setting.value, (str, tuple, bool)):
        return setting.shown
    value = list(setting.value) if isinstance(setting.value, tuple) else setting.value
    return orjson.dumps(value).decode()


def _row(setting: Setting) -> dict[str, str | int | float | bool | list[str] | None]:
    return {
        "section": setting.section,
        "name": setting.name,
        "value": setting.plain,
        "default": None if setting.secret else setting.default,
        "origin": setting.origin,
        "unit": setting.unit,
        "variable": setting.variable,
        "help": setting.help,
    }
