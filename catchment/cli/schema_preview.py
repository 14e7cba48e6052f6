"""`catchment schema preview`: what a proposed schema would have done to the pings of the past."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from catchment.cli.moment import Moment
from catchment.cli.schema import FORMAT, FOUND, NAMESPACE, print_json, schema_in, wide_console
from catchment.platform import Platform

if TYPE_CHECKING:
    from catchment.ingestion.preview.report import Report
    from catchment.ingestion.preview.run import Preview, Wanted

COLUMNS_SHOWN = 30
PLACES_SHOWN = 3
_NEVER_SURE = 0.0005
"""Half a tenth of a per cent: shares below are shown with more digits."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@NAMESPACE
@click.option("--since", type=Moment(), default="24h", show_default=True, help="First receipt time.")
@click.option("--until", type=Moment(), default="now", show_default=True, help="End of the time, not included.")
@click.option("--version", type=click.IntRange(min=0), help="Judge pings of this version (default: the schema's own "
              "when it is registered, else the newest one before it, else any).")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), default=100_000, show_default=True,
              help="Judge about so many pings, picked at random.")  # fmt: skip
@click.option("--examples", type=click.IntRange(min=0), default=3, show_default=True, help="Examples a rule.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the random choice.")
@click.option("--max-refused", type=click.FloatRange(0, 100), default=0.0, show_default=True, metavar="PERCENT",
              help="End with 0 while at most so many of the pings that are let in today would be refused.")  # fmt: skip
@FORMAT
@click.pass_obj
def preview(
    platform: Platform,
    file: Path,
    namespace: str | None,
    since: int,
    until: int,
    version: int | None,
    limit: int,
    examples: int,
    seed: int,
    max_refused: float,
    output: str,
) -> None:
    """Judge archived pings by the schema in FILE, and change nothing.

    Says how many it would refuse that are let in today and by which rules, which columns it would add, and what is sent
    that it does not name. Client ids are hidden. Ends with 1 when it would refuse more than --max-refused.

    \b
    catchment schema preview schemas/shop/order/order.2.schema.json
    catchment schema preview order.2.schema.json --namespace shop --since 7d --limit 20000
    catchment schema preview order.2.schema.json --namespace shop --max-refused 0.1 --format json
    """
    from catchment.ingestion.preview.run import Wanted, version_to_judge

    if until <= since:
        raise click.UsageError("--until must be later than --since")
    proposed, registry = schema_in(file, namespace), platform.registry()
    judged = version_to_judge(proposed, registry) if version is None else version
    wanted = Wanted(since, until, judged, limit, examples, seed)
    current = None if judged is None else registry.find(proposed.namespace, proposed.doctype, judged)
    report = _run(_preview(platform, proposed, current), wanted, output)
    if output == "json":
        print_json({**asdict(report), "newly_refused_share": asdict(report.share(report.newly_refused))})
    else:
        _print(report)
    if report.share(report.newly_refused).share * 100 > max_refused:
        raise click.exceptions.Exit(FOUND)


def _preview(platform: Platform, proposed: Any, current: Any) -> Preview:
    from catchment.ingestion.decoder.settings import DecoderSettings
    from catchment.ingestion.preview.run import Preview

    return Preview(proposed, current, platform.landfill(), platform.config.section(DecoderSettings))


def _run(preview: Preview, wanted: Wanted, output: str) -> Report:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    is_shown = output == "text" and sys.stderr.isatty()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not is_shown, transient=True) as bar:
        task = bar.add_task("landfill", total=1)
        return preview.run(wanted, lambda done, size: bar.update(task, completed=done, total=size))


def _print(report: Report) -> None:
    if not report.judged:
        why = f" ({report.other_versions:,} of another version)" if report.other_versions else ""
        click.echo(
            f"The landfill has no pings of {report.judged_as} in this time{why}; give another --since or --version, "
            f"or see `catchment landfill ls`. What came in the last minutes may not be archived yet."
        )
    else:
        _print_verdict(report)
    _print_columns(report)
    if report.unnamed:
        _print_unnamed(report)


def _print_verdict(report: Report) -> None:
    looked = f"{report.judged:,} pings of {report.judged_as}"
    if report.is_sample:
        looked += f", a random sample of {report.matching:,} submissions; errors are of 95 % certainty"
    click.echo(f"Looked at {looked}.")
    verdict = f"Would refuse {_share(report, report.newly_refused)} that are let in today"
    click.echo(click.style(verdict, fg="red" if report.newly_refused else "green"))
    if report.refused > report.newly_refused:
        click.echo(f"Would still refuse {report.refused - report.newly_refused:,} that are refused today")
    if report.newly_accepted:
        click.echo(f"Would let in {report.newly_accepted:,} that are refused today")
    for code, count in report.undecodable.items():
        click.echo(f"Refused whatever the schema says, {code}: {count:,}")
    for broken in report.broken:
        click.echo(f"\n{_share(report, broken.pings)} break {click.style(broken.rule, bold=True)}")
        for pointer, count in list(broken.pointers.items())[:PLACES_SHOWN]:
            click.echo(f"    at {pointer}: {count:,}")
        if len(broken.pointers) > PLACES_SHOWN:
            click.echo(f"    and at {len(broken.pointers) - PLACES_SHOWN:,} other places")
        for example in broken.examples:
            click.echo(f"    {example.received} {example.document_id} {example.pointer}: {example.detail}")


def _print_columns(report: Report) -> None:
    if report.compared_with is None:
        click.echo(f"\nTable {report.table} would be made, with {len(report.columns_added):,} columns of its own.")
        return
    table, other = report.table, report.compared_with
    is_same = table == other
    added, removed = (_columns(columns) for columns in (report.columns_added, report.columns_removed))
    click.echo()
    if not is_same:
        click.echo(f"Would make table {table}, beside {other}.")
    if report.columns_added:
        _list_columns(f"Would add {added} to {table}:" if is_same else f"{added} more:", report.columns_added)
    if report.columns_removed:
        words = f"Would leave {removed} of {table} without new values:" if is_same else f"{removed} less:"
        _list_columns(words, report.columns_removed)
    for path, (old, new) in report.columns_retyped.items():
        click.echo(f"{'Would change' if is_same else 'Differs in'} the type of {path}: {old} → {new}")
    if not (report.columns_added or report.columns_removed or report.columns_retyped):
        click.echo(f"The columns would be those of {other}.")


def _list_columns(words: str, columns: dict[str, str]) -> None:
    click.echo(words)
    for path, kind in list(columns.items())[:COLUMNS_SHOWN]:
        click.echo(f"    {path} {kind}")
    if len(columns) > COLUMNS_SHOWN:
        click.echo(f"    and {len(columns) - COLUMNS_SHOWN:,} more (--format json has all)")


def _columns(columns: dict[str, str]) -> str:
    return f"{len(columns):,} column{'' if len(columns) == 1 else 's'}"


def _print_unnamed(report: Report) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    click.echo("\nSent, but not in the schema (it stands in additional_properties):")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for heading in ("field", "pings", "share", "types"):
        table.add_column(heading, justify="right" if heading in ("pings", "share") else "left", overflow="fold")
    for field in report.unnamed[:COLUMNS_SHOWN]:
        types = " or ".join(field.types) + (f" ({field.format})" if field.format else "")
        table.add_row(Text(field.path), f"{field.pings:,}", _percent(field.pings / report.judged), types)
    wide_console().print(table)
    if len(report.unnamed) > COLUMNS_SHOWN:
        click.echo(f"and {len(report.unnamed) - COLUMNS_SHOWN:,} more")
    click.echo("--format json has them as a JSON Schema, under `proposal`.")


def _share(report: Report, pings: int) -> str:
    """`0.3 % (20 pings)`, with what a sample leaves open."""
    share = report.share(pings)
    between = f", {_percent(share.low)} to {_percent(share.high)}" if report.is_sample else ""
    return f"{_percent(share.share)} ({pings:,} ping{'' if pings == 1 else 's'}{between})"


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %" if share == 0 or share >= _NEVER_SURE else f"{share * 100:.2g} %"
