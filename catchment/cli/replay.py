"""`catchment replay`: submissions of the past through today's decoder and schemas."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from catchment.cli.moment import Moment
from catchment.platform import Platform

if TYPE_CHECKING:
    from catchment.ingestion.replay.records import Records
    from catchment.ingestion.replay.run import Replay, Report
    from catchment.ingestion.replay.selection import Selection

COLUMNS_SHOWN = 12


@click.command()
@click.option("--since", type=Moment(), required=True, help="First receipt time: 2026-11-24, 2026-11-24T08:30, 7d ago.")
@click.option("--until", type=Moment(), default="now", show_default=True, help="End of the time, not included.")
@click.option("--namespace", help="Only this namespace.")
@click.option("--doctype", help="Only this doctype.")
@click.option("--errors-only", is_flag=True, help="Only what is in monitoring.errors (no address, so no country).")
@click.option("--code", "codes", multiple=True, help="With --errors-only: only errors of this code; may be repeated.")
@click.option("--where", metavar="SQL", help="A condition over the columns of the submission; see docs/replay.md.")
@click.option("--dry-run", is_flag=True, help="Print what would change, by column too, and change nothing.")
@click.option("--resume", is_flag=True, help="Skip the days that an interrupted replay of the same selection finished.")
@click.option("--yes", is_flag=True, help="Do not ask before tables are changed.")
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
@click.pass_obj
def replay(
    platform: Platform,
    since: int,
    until: int,
    namespace: str | None,
    doctype: str | None,
    errors_only: bool,
    codes: tuple[str, ...],
    where: str | None,
    dry_run: bool,
    resume: bool,
    yes: bool,
    output: str,
) -> None:
    """Decode submissions again and put the result in place of what the tables hold of them.

    Twice gives the same rows, and so does the same command after it was interrupted. Loading goes on meanwhile.

    \b
    catchment replay --since 7d --doctype main --dry-run
    catchment replay --since 7d --errors-only --code schema_violation --yes
    """
    from catchment.ingestion.replay.selection import Selection

    if until <= since:
        raise click.UsageError("--until must be later than --since")
    if codes and not errors_only:
        raise click.UsageError("--code needs --errors-only: submissions of the landfill have no error code")
    selection = Selection(since, until, namespace, doctype, errors_only, tuple(sorted(codes)), where)
    records = _records(platform, selection)
    sizes = {day: records.size(day) for day in selection.days}
    if not dry_run and not yes:
        _confirm(selection, sum(sizes.values()))
    report = _run(_replay(platform, selection, dry_run), records, sizes, resume, output)
    if output == "json":
        import orjson

        document = {"dry_run": dry_run, "skipped_days": report.skipped, "days": report.days, "total": report.total()}
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    else:
        _print(report, dry_run)


def _records(platform: Platform, selection: Selection) -> Records:
    from catchment.ingestion.replay.records import ErrorRecords, LandfillRecords

    if selection.errors_only:
        return ErrorRecords(selection, platform.engine())
    return LandfillRecords(selection, platform.landfill(), platform.log(), platform.log_name())


def _replay(platform: Platform, selection: Selection, is_dry: bool) -> Replay:
    from catchment.ingestion.decoder.chain import Decoder
    from catchment.ingestion.decoder.geo import Geo
    from catchment.ingestion.decoder.settings import DecoderSettings
    from catchment.ingestion.deduplication import DeduplicationSettings
    from catchment.ingestion.replay.run import Replay

    config, clock, events, registry = platform.config, platform.clock, platform.events("replay"), platform.registry()
    decoder = Decoder(registry, Geo(platform.geo_settings(), clock, events), config.section(DecoderSettings))
    return Replay(
        selection,
        platform.home,
        platform.log(),
        platform.lake(),
        registry,
        decoder,
        config.section(DeduplicationSettings),
        clock,
        events,
        is_dry=is_dry,
    )


def _confirm(selection: Selection, size_bytes: int) -> None:
    from catchment.clock import utc
    from catchment.units import size

    since, until = utc(selection.since_ns), utc(selection.until_ns)
    question = f"Replay {size(size_bytes)} received from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"
    if not sys.stdin.isatty():
        raise click.UsageError("add --yes to change tables without being asked, or --dry-run to see what would change")
    click.confirm(f"{question} and replace the rows?", abort=True, err=True)


def _run(replay: Replay, records: Records, sizes: dict[int, int], resume: bool, output: str) -> Report:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from catchment.clock import utc
    from catchment.ingestion.replay.selection import DAY_NS

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=output == "json", transient=True) as bar:
        task = bar.add_task("replay", total=sum(sizes.values()) or 1)
        done = 0

        def progress(day: int, cost: int) -> None:
            nonlocal done
            done += cost
            bar.update(task, description=f"{utc(day * DAY_NS):%Y-%m-%d}", completed=done)

        return replay.run(records, resume=resume, progress=progress)


def _print(report: Report, is_dry: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    total = report.total()
    verb = "would be" if is_dry else "were"
    tables = Table(title=f"Rows that {verb}", title_justify="left")
    for heading in ("table", "added", "replaced", "removed", *(["changed columns"] if is_dry else [])):
        tables.add_column(heading, justify="right" if heading in ("added", "replaced", "removed") else "left")
    for name, table in sorted(total.tables.items()):
        most = sorted(table.changed.items(), key=lambda item: (-item[1], item[0]))
        shown = [f"{column} ({count:,})" for column, count in most[:COLUMNS_SHOWN]]
        shown += [f"and {len(most) - COLUMNS_SHOWN} more"] if len(most) > COLUMNS_SHOWN else []
        row = [name, f"{table.added:,}", f"{table.replaced:,}", f"{table.removed:,}"]
        tables.add_row(*row, *([", ".join(shown) or "none"] if is_dry else []))
    if total.tables:
        console.print(tables)
    if total.failures:
        failing = Table(title="Still failing", title_justify="left")
        failing.add_column("code")
        failing.add_column("submissions", justify="right")
        for code, count in total.failures.items():
            failing.add_row(code, f"{count:,}")
        console.print(failing)
    skipped = f"; {report.skipped} days were finished before" if report.skipped else ""
    console.print(
        f"{total.deliveries:,} submissions: {total.documents:,} documents, "
        f"{total.repeats:,} repeats, {sum(total.failures.values()):,} still failing{skipped}",
        highlight=False,
        soft_wrap=True,
    )
