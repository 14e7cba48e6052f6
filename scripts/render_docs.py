"""Writes the reference pages that the code itself knows: `docs/settings.md`, `docs/metrics.md`, `docs/commands.md`.

    python scripts/render_docs.py [FOLDER]      (default: docs; `make docs` does this)

Settings come from the sections that the platform declares, metrics from importing every module, commands from walking
the command line. `tests/docs` renders them again and compares.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import click

import catchment
from catchment import config, metrics

ROOT = Path(__file__).resolve().parent.parent
RENEWED = "Written by `make docs` from the code; a test fails when they differ."


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def settings_page() -> str:
    """All settings, by section. Rendered from the defaults alone, whatever this machine has configured."""
    from catchment.platform import SECTIONS

    here = Path.cwd()
    with tempfile.TemporaryDirectory() as empty:
        os.chdir(empty)
        settings = config.load(SECTIONS, environment={}).settings
        os.chdir(here)
    parts = [
        "# Settings",
        "Settings are read once, at start: from `catchment.toml` in the working directory (`--config FILE` or "
        "`CATCHMENT_CONFIG` name another), then from variables, which win. `catchment config` prints what is in force "
        "and where each value came from. An unknown key or a bad value stops the start with advice.",
        RENEWED,
    ]
    for section, members in groupby(settings, key=lambda setting: setting.section):
        rows = [
            (code(setting.name), code(default_of(setting)), setting.unit, setting.help, code(setting.variable))
            for setting in members
        ]
        parts += [f"## [{section}]", table(("setting", "default", "unit", "meaning", "variable"), rows)]
    return "\n\n".join(parts) + "\n"


def default_of(setting: config.Setting) -> str:
    value = setting.default
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def metrics_page() -> str:
    """All declared metrics, by the first word after `catchment_`."""
    for module in pkgutil.walk_packages(catchment.__path__, "catchment."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    parts = [
        "# Metrics",
        "Each service answers `/metrics` on its admin port in Prometheus' text format (`catchment status` shows the "
        "ports). A counter only grows, a gauge goes both ways, a histogram counts into buckets.",
        RENEWED,
    ]
    for part, members in groupby(metrics.declared(), key=lambda metric: metric.name.split("_")[1]):
        rows = [
            (code(metric.name), metric.kind, metric.unit, ", ".join(map(code, metric.labels)), metric.meaning)
            for metric in members
        ]
        parts += [f"## {part}", table(("metric", "kind", "unit", "labels", "meaning"), rows)]
    return "\n\n".join(parts) + "\n"


def commands_page() -> str:
    """All commands of the command line, as their help tells them."""
    from catchment.cli.main import cli

    parts = [
        "# Commands",
        "`catchment --help` lists the commands, `catchment COMMAND --help` explains one. Exit codes: 0 done, 1 refused "
        "or failed (one line on standard error says why), 2 a bad setting or a bad argument, 3 something is not well "
        "(`catchment status`), 130 interrupted.",
        RENEWED,
    ]
    for context in walk(click.Context(cli, info_name="catchment")):
        command = context.command
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        parts += [f"## {context.command_path}", f"    {usage}", prose(command.help or "")]
        records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
        rows = [(code(" ".join(record[0].split())), " ".join(record[1].split())) for record in records if record]
        parts.append(table(("option", "meaning"), rows))
    return "\n\n".join(part for part in parts if part) + "\n"


def walk(context: click.Context) -> Iterator[click.Context]:
    """The context of each command, the group's own first."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield from walk(click.Context(command, info_name=name, parent=context))


def prose(text: str) -> str:
    """A command's help as Markdown: paragraphs joined to lines, those marked with \\b kept as they are."""
    paragraphs = []
    for paragraph in inspect.cleandoc(text).split("\f")[0].strip().split("\n\n"):
        if paragraph.startswith("\b"):
            paragraphs.append("\n".join(f"    {line}" for line in paragraph.splitlines()[1:]))
        else:
            paragraphs.append(re.sub(r"\s+", " ", paragraph).replace("<", "&lt;"))
    return "\n\n".join(paragraphs)


PAGES = {"settings.md": settings_page, "metrics.md": metrics_page, "commands.md": commands_page}


def main(folder: Path) -> None:
    for name, render in PAGES.items():
        (folder / name).write_text(render(), encoding="utf-8")
        sys.stdout.write(f"{folder / name}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs")
