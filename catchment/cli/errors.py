"""`catchment errors`: what the decoder refused: counted, in samples, and one whole with the lines that broke."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import orjson

from catchment.cli.tail import printable
from catchment.clock import utc
from catchment.errors import Malformed
from catchment.ingestion.inspection.moments import moment_ns
from catchment.platform import Platform

if TYPE_CHECKING:
    from rich.console import Console

    from catchment.ingestion.inspection.failures import Count, Found
    from catchment.ingestion.inspection.lines import Line
    from catchment.ingestion.inspection.opened import Opened

FORMAT = click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
MOST_SAMPLES = 1_000
_NUMBERS = ("pings", "share", "per hour")
_KEPT_COLUMNS = 3
_UNLIMITED = 10_000
_SCHEMA_LINES = 40
_DAY_NS = 86_400 * 10**9


@click.group(invoke_without_command=True)
@click.option("--since", default="1d", show_default=True, help="How far back: 30m, 6h, 7d, or a date or time (UTC).")
@click.option("--namespace", default="", help="Only pings of this namespace.")
@click.option("--doctype", default="", help="Only pings of this doctype.")
@click.option("--code", default="", help="Only this code; docs/errors.md lists them.")
@click.option("--samples", type=click.IntRange(1, MOST_SAMPLES), help="List the newest N instead of counting.")
@FORMAT
@click.pass_context
def errors(
    ctx: click.Context, since: str, namespace: str, doctype: str, code: str, samples: int | None, output: str
) -> None:
    """Count refused pings by code and doctype, the most frequent first.

    Share is the part of that doctype's pings that failed with this code. Errors are counted a flush (5 s) after they
    happened; `catchment tail --errors` shows them at once.

    \b
    catchment errors --since 7d --doctype main
    catchment errors --code schema_violation --samples 5
    catchment errors show raw/0@1234
    """
    if ctx.invoked_subcommand is not None:
        return
    from catchment.ingestion.inspection.failures import Wanted

    platform: Platform = ctx.obj
    now_ns = platform.clock.time_ns()
    try:
        wanted = Wanted(moment_ns(since, now_ns), namespace, doctype, code)
    except Malformed as error:
        raise click.BadParameter(str(error), param_hint="--since") from error
    failures = platform.failures()
    if samples is not None:
        _show_samples(failures.samples(wanted, samples), output)
        return
    counts = failures.counts(wanted, now_ns)
    if output == "json":
        _print_json([_count_json(count) for count in counts])
        return
    from rich.console import Console

    console = Console()
    if not counts:
        console.print(f"No errors since {utc(wanted.since_ns):%Y-%m-%d %H:%M:%S} UTC that fit.")
        return
    _show_counts(counts, now_ns)
    console.print("List some with --samples 5; each can be shown whole, with the line that it broke.")


@errors.command()
@click.argument("name", metavar="DOCID|SOURCE@OFFSET")
@FORMAT
@click.pass_obj
def show(platform: Platform, name: str, output: str) -> None:
    """Show one refused ping whole, with the line of the document and the line of the schema that it broke marked.

    A document id may have been refused several times: the newest is shown, and how to see the others.
    """
    from catchment.ingestion.inspection.opened import open_failure

    found = platform.failures().find(name)
    opened = [open_failure(other.failure, platform.registry(), shows_clients=True) for other in found]
    if output == "json":
        _print_json([_whole_json(other, laid) for other, laid in zip(found, opened, strict=True)])
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    _show_whole(console, found[0], opened[0])
    for other in found[1:]:
        console.print(f"also refused at {_time(other.failure.submission_ns)}: catchment errors show {other.name}")


def reason_json(failure: Any) -> dict[str, Any]:
    """Why a ping was refused, as JSON."""
    return {
        "step": failure.step,
        "code": failure.code,
        "message": failure.message,
        "detail": failure.detail,
        "pointers": list(failure.pointers),
    }


def _show_counts(counts: Sequence[Count], now_ns: int) -> None:
    """A table without broken words: what does not fit beside the first columns is left out; those may be wider than the
    terminal, which then breaks their lines."""
    from rich import box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    console = Console()
    rows = [_count_cells(count, now_ns) for count in counts]
    headings = list(rows[0])
    while True:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
        for heading in headings:
            table.add_column(heading, justify="right" if heading in _NUMBERS else "left", no_wrap=True)
        for row in rows:
            table.add_row(*(_plain(row[heading]) for heading in headings))
        wide = console.options.update(max_width=_UNLIMITED)
        needed = Measurement.get(console, wide, table).maximum
        if needed <= console.width or len(headings) == _KEPT_COLUMNS:
            break
        headings.pop()
    Console(width=max(needed, console.width)).print(table)


def _count_cells(count: Count, now_ns: int) -> dict[str, str]:
    """A row by its headings, the most important first."""
    is_today = now_ns // _DAY_NS == round(count.latest.timestamp()) // 86_400
    latest = f"{count.latest:{'%H:%M:%S' if is_today else '%Y-%m-%d'}}" if count.latest.year > 1970 else "unknown"
    return {
        "code": count.code,
        "doctype": ".".join(part for part in (count.namespace, count.doctype) if part),
        "pings": f"{count.pings:,}",
        "share": "" if count.share is None else f"{count.share:.1%}",
        "latest (UTC)": latest,
        "per hour": f"{count.per_h:,.1f}",
    }


def _show_samples(found: Sequence[Found], output: str) -> None:
    if output == "json":
        _print_json([_sample_json(other) for other in found])
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    if not found:
        console.print("No errors that fit.")
    for other in found:
        failure = other.failure
        place = ".".join(part for part in (failure.namespace, failure.doctype) if part) or "unknown ping"
        console.print(_plain(f"{_time(failure.submission_ns)}  {failure.code}  {place}  {failure.document_id or ''}"))
        console.print(_plain(f"    {failure.message}: {failure.detail}"))
        console.print(_plain(f"    catchment errors show {other.name}"), style="dim")


def _show_whole(console: Console, found: Found, opened: Opened) -> None:
    from catchment.ingestion.inspection.lines import excerpt

    failure = found.failure
    place = ".".join(part for part in (failure.namespace, failure.doctype) if part) or "unknown ping"
    console.print(_plain(f"{failure.code}  {place}  {failure.document_id or ''}"), style="bold red")
    facts = {
        "received": f"{_time(failure.submission_ns)} by {failure.hostname or 'an unknown edge'}, {found.name}",
        "step": failure.step,
        "message": failure.message,
        "detail": failure.detail,
        "path": " ?".join(part for part in (failure.uri, failure.args) if part),
        **failure.headers,
        "today": opened.today,
    }
    for fact, value in facts.items():
        if value:
            console.print(_plain(f"  {fact:<10} {value}"))
    console.print(_plain(f"document ({opened.form}, {len(failure.body):,} bytes as received)"), style="bold")
    _show_lines(console, opened.document)
    if opened.schema:
        console.print(_plain(f"schema {opened.schema_path}"), style="bold")
        _show_lines(console, excerpt(opened.schema, _SCHEMA_LINES))


def _show_lines(console: Console, lines: Sequence[Line]) -> None:
    for line in lines:
        number = f"{line.number:>6}" if line.number else " " * 6
        mark = "▶" if line.is_marked else " "
        console.print(_plain(f"{mark}{number}  {line.text}"), style="bold red" if line.is_marked else "")


def _plain(text: str) -> Any:
    """The text for rich, without markup and without what would steer a terminal."""
    from rich.text import Text

    return Text(printable(text))


def _time(time_ns: int) -> str:
    return f"{utc(time_ns):%Y-%m-%d %H:%M:%S} UTC" if time_ns else "an unknown time"


def _count_json(count: Count) -> dict[str, Any]:
    return {
        "code": count.code,
        "step": count.step,
        "namespace": count.namespace,
        "doctype": count.doctype,
        "pings": count.pings,
        "per_h": count.per_h,
        "share": count.share,
        "first": count.first.isoformat(),
        "latest": count.latest.isoformat(),
        "message": count.message,
    }


def _sample_json(found: Found) -> dict[str, Any]:
    failure = found.failure
    return {
        "name": found.name,
        "time": utc(failure.submission_ns).isoformat() if failure.submission_ns else None,
        "namespace": failure.namespace,
        "doctype": failure.doctype,
        "version": failure.version,
        "document_id": failure.document_id,
        **reason_json(failure),
    }


def _whole_json(found: Found, opened: Opened) -> dict[str, Any]:
    marked = {
        "document": [line.number for line in opened.document if line.is_marked],
        "schema": [line.number for line in opened.schema if line.is_marked],
    }
    return {
        **_sample_json(found),
        "edge": found.failure.hostname,
        "uri": found.failure.uri,
        "args": found.failure.args,
        "headers": found.failure.headers,
        "form": opened.form,
        "lines": [line.text for line in opened.document],
        "schema_path": opened.schema_path or None,
        "marked": marked,
        "today": opened.today or None,
    }


def _print_json(value: object) -> None:
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))
