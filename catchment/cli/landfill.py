"""`catchment landfill`: what the archive holds, its messages, and whether it is whole."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from catchment.cli.moment import Moment
from catchment.platform import Platform
from catchment.units import size

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from catchment.framing import Damage, Framed
    from catchment.ingestion.landfill.layout import Index

OUTPUT = click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
SINCE = click.option("--since", type=Moment(), default="7d", show_default=True, help="First receipt time.")
UNTIL = click.option("--until", type=Moment(), default="now", show_default=True, help="End of the time, not included.")
_BODY_CHARACTERS = 200
_OBJECTS_WIDTH = 180
"""A key is one piece, to be copied."""


@click.group()
def landfill() -> None:
    """Look into the archive of submissions as they were received.

    It holds addresses, and expires after [landfill] max_age_s.
    """


@landfill.command("ls")
@SINCE
@UNTIL
@click.option("--namespace", help="Only this namespace.")
@click.option("--doctype", help="Only this doctype.")
@click.option("--objects", "by_object", is_flag=True, help="One line an object instead of one a day and doctype.")
@OUTPUT
@click.pass_obj
def ls(
    platform: Platform,
    since: int,
    until: int,
    namespace: str | None,
    doctype: str | None,
    by_object: bool,
    output: str,
) -> None:
    """List what is archived, by day and doctype, from the objects' indexes alone."""
    found = [index for index in platform.landfill().indexes(since, until) if index.matching(namespace, doctype)]
    rows = _by_object(found) if by_object else _by_day(found, namespace, doctype)
    if output == "json":
        _print_json(rows)
        return
    if not rows:
        click.echo("Nothing is archived of that time; the archiver ships at least every [landfill] object_age_s.")
        return
    from rich.console import Console
    from rich.table import Table

    shown = Table()
    for name, value in rows[0].items():
        shown.add_column(name.replace("_", " "), justify="right" if isinstance(value, int) else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(_shown(name, value) for name, value in row.items()))
    console = Console()
    Console(width=max(console.width, _OBJECTS_WIDTH if by_object else 0)).print(shown)


@landfill.command("show")
@click.argument("key")
@OUTPUT
@click.pass_obj
def show(platform: Platform, key: str, output: str) -> None:
    """Show the index of the object KEY: its offsets, sizes, checksums and counts."""
    from dataclasses import asdict

    index = platform.landfill().index(key)
    if output == "json":
        _print_json(asdict(index))
        return
    for name, value in asdict(index).items():
        if name != "contents":
            click.echo(f"{name:12} {_shown(name, value)}")
    for count in index.contents:
        place = f"{count.namespace}/{count.doctype}" if count.namespace else "no path"
        click.echo(f"{place:30} {count.records:>10,} from {_moment(count.earliest_ns)} to {_moment(count.latest_ns)}")


@landfill.command("cat")
@click.argument("place")
@click.option("--limit", type=click.IntRange(min=1), help="Most messages.")
@click.option("--raw", is_flag=True, help="Write the messages, framed, as they are.")
@click.pass_obj
def cat(platform: Platform, place: str, limit: int | None, raw: bool) -> None:
    """Print the messages of PLACE, one JSON line each: an object's key, or a file of any layout of the past.

    A file may be plain frames, gzip, zstd, or frames whose messages are packed by snappy. Damage is passed over and
    told on standard error; then the exit code is 1.
    """
    from catchment.framing import Damage, frame

    is_damaged = False
    count = 0
    for found in _messages(platform, place):
        if isinstance(found, Damage):
            click.echo(f"{place}: {found.length:,} bytes from {found.offset:,} passed over: {found.reason}", err=True)
            is_damaged = True
            continue
        if raw:
            sys.stdout.buffer.write(frame(found.payload))
        else:
            _print_line(_document(found))
        count += 1
        if count == limit:
            break
    sys.stdout.buffer.flush()
    if is_damaged:
        raise click.exceptions.Exit(1)


@landfill.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@OUTPUT
@click.pass_obj
def import_(platform: Platform, files: tuple[Path, ...], output: str) -> None:
    """Bring FILES of framed messages, of any layout of the past, into the landfill, so that they can be replayed.

    Importing a file again changes nothing. Exit code 1 when some of it was damaged and passed over.
    """
    from dataclasses import asdict

    from rich.console import Console
    from rich.progress import Progress

    from catchment.ingestion.landfill.importing import import_file
    from catchment.ingestion.landfill.settings import LandfillSettings

    object_bytes = platform.config.section(LandfillSettings).object_bytes
    found = {}
    with Progress(console=Console(stderr=True), disable=output == "json", transient=True) as bar:
        for path in files:
            told = partial(_advance, bar, bar.add_task(path.name, total=path.stat().st_size))
            found[str(path)] = import_file(path, platform.landfill(), object_bytes, told)
    if output == "json":
        _print_json({path: asdict(imported) for path, imported in found.items()})
    else:
        for name, imported in found.items():
            damage = f", {imported.damaged_bytes:,} bytes passed over" if imported.damaged_bytes else ""
            click.echo(f"{name}: {imported.records:,} submissions in {imported.objects:,} objects{damage}")
    if any(imported.damaged_bytes for imported in found.values()):
        raise click.exceptions.Exit(1)


@landfill.command("verify")
@SINCE
@UNTIL
@OUTPUT
@click.pass_obj
def verify(platform: Platform, since: int, until: int, output: str) -> None:
    """Read every object of a time and compare it with its index.

    The console's page Landfill tells when that was done last. Exit code 1 when one is damaged, or a range of offsets is
    missing between two.
    """
    from rich.console import Console
    from rich.progress import Progress

    from catchment.ingestion.landfill.checks import Check

    archive = platform.landfill()
    indexes = archive.indexes(since, until)
    problems = _holes(indexes)
    with Progress(console=Console(stderr=True), disable=output == "json", transient=True) as bar:
        task = bar.add_task("verify", total=sum(index.size_bytes for index in indexes) or 1)
        for index in indexes:
            problem = archive.problem(index)
            if problem is not None:
                problems.append(problem)
            bar.advance(task, index.size_bytes)
    archive.keep_check(Check(platform.clock.time_ns(), since, until, len(indexes), len(problems)))
    records, size_bytes = sum(index.records for index in indexes), sum(index.size_bytes for index in indexes)
    if output == "json":
        _print_json({"objects": len(indexes), "records": records, "size_bytes": size_bytes, "problems": problems})
    else:
        for problem in problems:
            click.echo(problem, err=True)
        verdict = f"{len(problems)} problems" if problems else "all as archived"
        click.echo(f"{len(indexes):,} objects, {records:,} submissions, {size(size_bytes)}: {verdict}")
    if problems:
        raise click.exceptions.Exit(1)


def _advance(bar: Progress, task: TaskID, offset: int) -> None:
    bar.update(task, completed=offset)


def _holes(indexes: list[Index]) -> list[str]:
    """Ranges of offsets between two objects of an edge that no object has. They are ordered by time, so by offset."""
    problems = []
    ends: dict[str, int] = {}
    for index in sorted(indexes, key=lambda index: (index.edge, index.first)):
        end = ends.get(index.edge, index.first)
        if index.first != end:
            relation = "are missing" if index.first > end else "are there twice"
            low, high = sorted((end, index.first))
            problems.append(f"{index.edge}: offsets {low} to {high - 1} {relation}, before {index.key}")
        ends[index.edge] = index.end
    return problems


def _by_day(indexes: list[Index], namespace: str | None, doctype: str | None) -> list[dict[str, Any]]:
    days: dict[tuple[str, str, str], int] = defaultdict(int)
    for index in indexes:
        for count in index.matching(namespace, doctype):
            days[index.key.split("/")[1], count.namespace, count.doctype] += count.records
    return [
        {"day": day, "namespace": name, "doctype": kind, "submissions": records}
        for (day, name, kind), records in sorted(days.items())
    ]


def _by_object(indexes: list[Index]) -> list[dict[str, Any]]:
    return [
        {
            "key": index.key,
            "submissions": index.records,
            "size_bytes": index.size_bytes,
            "earliest": _moment(index.earliest_ns),
            "latest": _moment(index.latest_ns),
        }
        for index in indexes
    ]


def _messages(platform: Platform, place: str) -> Iterator[Framed | Damage]:
    from io import BytesIO

    from catchment.archives import read_file

    path = Path(place)
    if path.is_file():
        with path.open("rb") as file:
            yield from read_file(place, file)
    else:
        yield from read_file(place, BytesIO(platform.landfill().content(place)))


def _document(found: Framed) -> dict[str, Any]:
    message = found.message
    fields = {field.name: _text(field.value) for field in message.fields}
    return {
        "offset": found.offset,
        "received": _moment(message.timestamp),
        "uuid": message.uuid.hex(),
        "type": message.type,
        "hostname": message.hostname,
        "fields": fields,
    }


def _text(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
    text = value[:_BODY_CHARACTERS].decode("utf-8", "replace")
    return text if text.isprintable() and len(value) <= _BODY_CHARACTERS else f"{len(value)} bytes"


def _shown(name: str, value: Any) -> str:
    if name.endswith("_bytes"):
        return size(value)
    if name == "crc32c":
        return f"{value:08x}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _moment(time_ns: int) -> str:
    from catchment.clock import utc

    return utc(time_ns).isoformat(timespec="milliseconds")


def _print_json(value: Any) -> None:
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))


def _print_line(value: Any) -> None:
    import orjson

    sys.stdout.buffer.write(orjson.dumps(value) + b"\n")
