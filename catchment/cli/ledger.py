"""`catchment ledger`: what came in, what became of it, and whether the two agree."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from catchment.cli.moment import Moment
from catchment.clock import utc
from catchment.platform import Platform

if TYPE_CHECKING:
    from catchment.ingestion.ledger.balance import Line

COLOURS = {"balanced": "green", "open": "", "gap": "yellow", "waiting": "yellow", "unbalanced": "red"}
LINES_SHOWN = 200
PLAIN_WIDTH = 140
"""Columns of characters where there is no terminal to ask."""


@click.command()
@click.option("--since", type=Moment(), default="1h", show_default=True, help="First submission time, or an age.")
@click.option("--until", type=Moment(), default="now", show_default=True, help="Time or age after the last one.")
@click.option("--namespace", default="", help="Only this namespace.")
@click.option("--doctype", default="", help="Only this doctype.")
@click.option(
    "--by",
    type=click.Choice(["doctype", "minute", "both"]),
    default="doctype",
    show_default=True,
    help="What a line is: a doctype over the whole time, a minute over all doctypes, or a minute of a doctype.",
)
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
@click.pass_obj
def ledger(platform: Platform, since: int, until: int, namespace: str, doctype: str, by: str, output: str) -> None:
    """Show what was accepted, and what became of it; balance = accepted - stored - errors - duplicates - deferred -
    dropped.

    Exit code 1 when a minute does not balance although the grace time is over. Old minutes are kept as hours and days.
    """
    from catchment.ingestion.ledger.balance import TOLD, Judge, Query, details, lines, summed
    from catchment.ingestion.ledger.settings import LedgerSettings

    database, log = platform.database(), platform.log()
    query = Query(since // 1_000_000_000, until // 1_000_000_000, namespace, doctype)
    grace_s = platform.config.section(LedgerSettings).grace_s
    judge = Judge.of(database, log, platform.clock.time_ns() / 1e9, grace_s)
    found = lines(database, query, judge)
    wrong = [line for line in found if line.state in TOLD]
    shown = found if by == "both" else summed(found, by)
    if output == "json":
        import orjson

        document = {
            "since": utc(since),
            "until": utc(until),
            "is_balanced": not wrong,
            "lines": [asdict(line) for line in shown],
            "details": details(database, query),
            "gaps": [asdict(gap) for gap in judge.gaps],
        }
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    else:
        _print(shown, wrong, by)
    if wrong:
        raise click.exceptions.Exit(1)


def _print(shown: Sequence[Line], wrong: Sequence[Line], by: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from catchment.database.tables import COUNTS

    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    if not shown:
        console.print("Nothing was counted for this time. Counting is the service ledger's: catchment status")
        return
    names = [name for name in COUNTS if name in ("accepted", "stored") or any(line.counts[name] for line in shown)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in [*(["time (UTC)"] if by != "doctype" else []), *(["ping"] if by != "minute" else [])]:
        table.add_column(heading, overflow="fold", no_wrap=heading != "ping")
    for heading in (*names, "balance"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for line in shown[:LINES_SHOWN]:
        place = [".".join(part for part in (line.namespace, line.doctype) if part) or "(path not understood)"]
        colour = COLOURS[line.state]
        table.add_row(
            *([_time(line)] if by != "doctype" else []),
            *(place if by != "minute" else []),
            *(f"{line.counts[name]:,}" for name in names),
            f"{line.balance:,}",
            f"[{colour}]{line.state}[/]" if colour else line.state,
        )
    console.print(table)
    if len(shown) > LINES_SHOWN:
        console.print(f"{len(shown) - LINES_SHOWN:,} older lines are not shown; see --format json, or narrow the time")
    if wrong:
        missing = sum(max(line.balance, 0) for line in wrong)
        doubled = sum(max(-line.balance, 0) for line in wrong)
        console.print(
            f"{len(wrong):,} lines do not balance: {missing:,} records missing or waiting, {doubled:,} too many; "
            "docs/ledger.md tells what to do"
        )


def _time(line: Line) -> str:
    if line.begins_s == 0 and line.span_s < 86_400:
        return "unknown"
    begins = datetime.fromtimestamp(line.begins_s, UTC)
    return {60: f"{begins:%Y-%m-%d %H:%M}", 3_600: f"{begins:%Y-%m-%d %H} h"}.get(line.span_s, f"{begins:%Y-%m-%d}")
