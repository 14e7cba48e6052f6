"""`catchment limits`: which limits hold, and what came over them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from catchment.cli.moment import Moment
from catchment.clock import utc
from catchment.ingestion.limits.settings import ALL, Limit, LimitSettings, limit_of, rules
from catchment.platform import Platform

if TYPE_CHECKING:
    from catchment.ingestion.ledger.balance import Line


@click.command()
@click.option("--since", type=Moment(), default="1d", show_default=True, help="Count submissions from then on.")
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
@click.pass_obj
def limits(platform: Platform, since: int, output: str) -> None:
    """Show the limits on floods, and how much was deferred because of them.

    What is deferred is not lost: it is in the raw log and in the archive, and a replay loads it.
    """
    from catchment.ingestion.ledger.balance import Judge, Query, lines, summed
    from catchment.ingestion.ledger.settings import LedgerSettings

    settings = platform.config.section(LimitSettings)
    now_s = platform.clock.time_ns() / 1e9
    database, log = platform.database(), platform.log()
    judge = Judge.of(database, log, now_s, platform.config.section(LedgerSettings).grace_s)
    counted = summed(lines(database, Query(since // 1_000_000_000, int(now_s) + 1), judge), "doctype")
    deferred = sorted((line for line in counted if line.counts["deferred"]), key=lambda line: -line.counts["deferred"])
    held = {f"{namespace}/{doctype}": limit for (namespace, doctype), limit in rules(settings).items()}
    held["all others"] = limit_of(settings, ALL, ALL)
    partitions = log.topics().get("raw", 0)
    if output == "json":
        _print_json(held, partitions, deferred)
    else:
        _print(held, partitions, deferred, utc(since))


def _print_json(held: dict[str, Limit], partitions: int, deferred: list[Line]) -> None:
    import orjson

    document = {
        "limits": [{"doctype": name, "rate": limit.rate, "burst": limit.burst} for name, limit in held.items()],
        "partitions": partitions,
        "deferred": [
            {
                "namespace": line.namespace,
                "doctype": line.doctype,
                "deferred": line.counts["deferred"],
                "accepted": line.counts["accepted"],
            }
            for line in deferred
        ],
    }
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def _print(held: dict[str, Limit], partitions: int, deferred: list[Line], since: datetime) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title="Limits", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("ping", "pings/s", "at once"):
        table.add_column(heading, justify="left" if heading == "ping" else "right")
    for name, limit in held.items():
        table.add_row(name, *((f"{limit.rate:,g}", f"{limit.burst:,g}") if limit.rate else ("no limit", "")))
    console.print(table)
    if partitions > 1:
        console.print(f"Each holds for each of {partitions} edge workers.\n")
    if not deferred:
        console.print(f"Nothing was deferred since {since:%Y-%m-%d %H:%M} UTC.")
        return
    shown = Table(
        title=f"Deferred since {since:%Y-%m-%d %H:%M} UTC", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for heading in ("ping", "deferred", "accepted", "share"):
        shown.add_column(heading, justify="left" if heading == "ping" else "right")
    for line in deferred:
        number, accepted = line.counts["deferred"], line.counts["accepted"]
        shown.add_row(
            f"{line.namespace}.{line.doctype}", f"{number:,}", f"{accepted:,}", f"{number / max(accepted, 1):.0%}"
        )
    console.print(shown)
    console.print("They are whole in the raw log and the archive; docs/limits.md tells how to load them.")
