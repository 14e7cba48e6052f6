"""`catchment schema lint`: findings as text for people, as JSON, and as annotations of a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catchment.cli.schema import FOUND, print_json

if TYPE_CHECKING:
    from catchment.schemas.lint import Finding

MOST_ALIKE = 3
"""Findings of one code in one file that the text lists."""
_COLOURS = {"error": "red", "warning": "yellow", "advice": "cyan"}
_ANNOTATIONS = {"error": "error", "warning": "warning", "advice": "notice"}


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--select", metavar="CODES", help="Only these codes, with commas between.")
@click.option("--ignore", metavar="CODES", help="Not these codes, with commas between.")
@click.option("--strict", is_flag=True, help="List advice too, and end with 1 for any finding, not only for errors.")
@click.option("--all", "all_", is_flag=True, help="List each finding, also where a file has many of one code.")
@click.option(
    "--format",
    "output",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    help="How to print; github makes annotations of a pull request.",
)
def lint(
    paths: tuple[Path, ...], select: str | None, ignore: str | None, strict: bool, all_: bool, output: str
) -> None:
    """Say what is wrong, doubtful or missing in schema files, and in all *.schema.json below folders.

    Ends with 1 when there is an error. docs/schema-tools.md lists the codes.

    \b
    catchment schema lint schemas/
    catchment schema lint --strict --ignore description_missing,integer_unbounded schemas/
    catchment schema lint --select open_object,mixed_types --all order.1.schema.json
    """
    from catchment.schemas.lint import lint as find
    from catchment.schemas.lint import schema_files

    files = len(list(schema_files(paths)))
    found = find(paths, _codes(select), _codes(ignore))
    if output == "json":
        print_json({"files": files, "findings": found})
    else:
        shown = [finding for finding in found if strict or select or finding.severity != "advice"]
        print_findings(shown, None if all_ or output == "github" else MOST_ALIKE, output)
        click.echo(_summary(files, found, len(shown)), err=output == "github")
    if any(strict or finding.severity == "error" for finding in found):
        raise click.exceptions.Exit(FOUND)


def print_findings(found: Sequence[Finding], most_alike: int | None, output: str = "text") -> None:
    """One line a finding, by file; at most `most_alike` of one code in a file."""
    for _, of_file in groupby(found, key=lambda finding: finding.path):
        told: Counter[str] = Counter()
        for finding in of_file:
            told[finding.code] += 1
            if most_alike is None or told[finding.code] <= most_alike:
                click.echo(_annotation(finding) if output == "github" else _line(finding))
        for code, count in told.items():
            if most_alike is not None and count > most_alike:
                click.echo(f"    and {count - most_alike:,} more of {code} in this file (--all)")


def _line(finding: Finding) -> str:
    severity = click.style(f"{finding.severity} {finding.code}", fg=_COLOURS[finding.severity])
    return f"{finding.path}:{finding.line}: {severity} {finding.pointer}: {finding.message}"


def _annotation(finding: Finding) -> str:
    """A line that continuous integration of GitHub shows beside the file's line."""
    text = f"{finding.pointer}: {finding.message}".replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{_ANNOTATIONS[finding.severity]} file={finding.path},line={finding.line},title={finding.code}::{text}"


def _summary(files: int, found: Sequence[Finding], shown: int) -> str:
    counts = Counter(finding.severity for finding in found)
    parts = [
        f"{counts[severity]:,} {severity}{'' if counts[severity] == 1 else 's'}" for severity in ("error", "warning")
    ]
    parts.append(f"{counts['advice']:,} of advice" + (" (--strict lists it)" if len(found) > shown else ""))
    return f"{files:,} file{'' if files == 1 else 's'}: {', '.join(parts)}"


def _codes(text: str | None) -> list[str]:
    return [code.strip() for code in text.split(",") if code.strip()] if text else []
