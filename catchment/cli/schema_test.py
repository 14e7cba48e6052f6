"""`catchment schema test`: examples against schemas, with what each broken one breaks."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from catchment.cli.schema import FORMAT, FOUND, print_json

if TYPE_CHECKING:
    from catchment.schemas.examples import Example, Outcome
    from catchment.schemas.registry import Registry


@click.command()
@click.option("--schemas", required=True, type=click.Path(path_type=Path), help="Folder of schemas.")
@click.option("--examples", required=True, type=click.Path(path_type=Path), help="Folder of example documents.")
@click.option(
    "--junit", "junit_file", type=click.Path(path_type=Path, dir_okay=False), help="Write JUnit XML there too."
)
@FORMAT
def test(schemas: Path, examples: Path, junit_file: Path | None, output: str) -> None:
    """Check that each example is accepted or refused as its name says.

    Examples are called <namespace>/<doctype>.<version>.<case>.<pass|fail>.json. Ends with 1 when one fails, or when a
    schema cannot be loaded.

    \b
    catchment schema test --schemas schemas --examples examples
    catchment schema test --schemas schemas --examples examples --junit report.xml
    """
    from catchment.schemas.examples import find_examples, junit
    from catchment.schemas.registry import Registry

    found, strangers = find_examples(examples)
    registry = Registry.load([schemas])
    started = time.monotonic()
    outcomes = _run(found, registry)
    if junit_file is not None:
        junit_file.parent.mkdir(parents=True, exist_ok=True)
        junit_file.write_bytes(junit(outcomes, strangers, time.monotonic() - started))
    failed = [outcome for outcome in outcomes if not outcome.has_passed]
    if output == "json":
        print_json(
            {
                "passed": len(outcomes) - len(failed),
                "failed": len(failed),
                "not_run": [str(path) for path in strangers],
                "problems": registry.problems,
                "failures": [_json(outcome) for outcome in failed],
            }
        )
    else:
        for problem in registry.problems:
            click.echo(problem)
        for outcome in failed:
            _print(outcome)
        for path in strangers:
            click.echo(f"{path}: not run: its name must be <doctype>.<version>.<case>.<pass|fail>.json")
        more = f", {len(strangers):,} not run" if strangers else ""
        click.echo(f"{len(outcomes) - len(failed):,} passed, {len(failed):,} failed{more}")
    if failed or registry.problems:
        raise click.exceptions.Exit(FOUND)


def _run(examples: Sequence[Example], registry: Registry) -> list[Outcome]:
    from rich.console import Console
    from rich.progress import Progress

    from catchment.schemas.examples import run

    is_shown = sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=not is_shown) as bar:
        return list(bar.track(run(examples, registry), total=len(examples), description="examples"))


def _print(outcome: Outcome) -> None:
    """The example and its line; below it, why, and the rule with its line."""
    example = outcome.example
    line = f":{outcome.line}" if outcome.line else ""
    verdict = "must be accepted, and is not" if example.is_valid else "must be refused, and is not"
    click.echo(f"{example.path}{line}: {click.style(verdict, fg='red')}")
    click.echo(f"    {outcome.pointer + ': ' if outcome.pointer else ''}{outcome.detail}")
    if outcome.rule and outcome.schema_line:
        click.echo(f"    rule {outcome.rule}, {outcome.schema_path}:{outcome.schema_line}")


def _json(outcome: Outcome) -> dict[str, Any]:
    return {
        "example": str(outcome.example.path),
        "name": outcome.example.name,
        "expected": "pass" if outcome.example.is_valid else "fail",
        "detail": outcome.detail,
        "pointer": outcome.pointer or None,
        "line": outcome.line or None,
        "rule": outcome.rule or None,
        "schema": outcome.schema_path or None,
        "schema_line": outcome.schema_line or None,
    }
