"""`catchment receipt`: where one document is, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
import orjson

from catchment.cli.tail import printable
from catchment.clock import utc
from catchment.platform import Platform

if TYPE_CHECKING:
    from rich.progress import TaskID

    from catchment.ingestion.inspection.receipts import Receipt, Say

_OUTCOMES = {
    "document": "kept",
    "error": "refused",
    "duplicate": "a duplicate, not stored",
    "deferred": "came over a limit: kept, not loaded until a replay",
    "waiting": "waits for the loader",
}


@click.command()
@click.argument("document_id", metavar="DOCID")
@click.option("--everywhere", is_flag=True, help="Look through all rows of all tables too; slow where there are many.")
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
@click.pass_obj
def receipt(platform: Platform, document_id: str, everywhere: bool, output: str) -> None:
    """Tell where a document is: accepted when, how far it came, in which table or with which error.

    A document id may occur under several namespaces and doctypes, and be delivered more than once: all are listed.
    Exit code 1 when the id is not known.
    """
    from catchment.ingestion.inspection.receiptjson import answer_json

    with _bar() as say:
        found, searched = platform.receipts().find(document_id, everywhere=everywhere, say=say)
    if output == "json":
        click.echo(orjson.dumps(answer_json(document_id, found, searched), option=orjson.OPT_INDENT_2))
    elif found:
        for one in found:
            click.echo("\n".join(told(one)))
    else:
        click.echo(f"{document_id} is not known here. Searched: {searched}.")
        if not everywhere:
            click.echo("An older document, or one that a replay brought in: add --everywhere.")
    if not found:
        raise click.exceptions.Exit(1)


@contextmanager
def _bar() -> Iterator[Say]:
    """Shows on a terminal what is looked through; it is gone when the answer comes."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("Looking through {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        bars: dict[str, TaskID] = {}

        def say(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = shown.add_task(what)
            shown.update(bars[what], completed=done, total=total)

        yield say


def told(one: Receipt) -> list[str]:
    """A receipt in lines."""
    version = f".v{one.version}" if one.version is not None else ""
    place = f"{one.namespace or 'unknown'}.{one.doctype or 'unknown'}{version}"
    facts = {
        "accepted": f"{utc(one.accepted_ns):%Y-%m-%d %H:%M:%S.%f} UTC" if one.accepted_ns else "",
        "edge": one.edge,
        "record": one.source,
        "stage": one.stage + {True: ", archived", False: ", not archived yet", None: ""}[one.is_archived],
        "table": one.table,
        "query": one.query,
        "again": f"{utc(one.again_ns):%Y-%m-%d %H:%M:%S} UTC at the latest; not stored again" if one.again_ns else "",
        "same as": one.duplicate_of,
    }
    if one.error is not None:
        facts["error"] = f"{one.error.code} in step {one.error.step}: {one.error.message}"
        facts["detail"] = one.error.detail
        facts["see"] = f"catchment errors show {one.source}"
    lines = [f"{printable(place)}: {_OUTCOMES[one.outcome]}"]
    return [*lines, *(f"  {name:<9} {printable(value)}" for name, value in facts.items() if value)]
