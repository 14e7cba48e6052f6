"""`catchment sql`, `tables`, `describe`: the lake from a terminal.

A query is drawn in a thread of its own while the main thread waits, so that Ctrl-C stops it at once (exit code 130). A
refused query ends with one line, and with its place marked. The engine and its libraries are imported only when they
are needed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from catchment.errors import QueryError
from catchment.units import size

if TYPE_CHECKING:
    from catchment.lake.tables import ColumnDescription, Lake, TableDescription
    from catchment.query.port import QueryEngine, Result

ROWS_SHOWN = 100
FORMATS = ("table", "csv", "json", "ndjson", "parquet", "arrow")
_BINARY = ("parquet", "arrow")
_CELL_CHARACTERS = 200


class Source(Protocol):
    """What the commands need of the platform."""

    def lake(self) -> Lake: ...

    def engine(self) -> QueryEngine: ...


@click.command()
@click.argument("query", required=False)
@click.option(
    "--file", "-f", "script", type=click.File("r", encoding="utf-8"), help="Read the query from a file, or - ."
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    help="Default: by the name of --output, else a table on a terminal, else csv.",
)
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write the rows to this file.")
@click.option("--limit", type=click.IntRange(min=1), help=f"Most rows (default: {ROWS_SHOWN} for a table, else all).")
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), help="Stop after so many seconds (default: [sql] timeout_s)."
)
@click.option("--memory", type=click.IntRange(min=64), help="Memory in MiB (default: [sql] memory_bytes).")
@click.pass_obj
def sql(
    source: Source,
    query: str | None,
    script: Any,
    kind: str | None,
    output: Path | None,
    limit: int | None,
    timeout: float | None,
    memory: int | None,
) -> None:
    """Run one query over the lake's tables and print its rows.

    \b
    catchment sql "SELECT count(*) FROM telemetry.main_v4 WHERE date(submission_timestamp) = current_date"
    """
    if (query is None) == (script is None):
        raise click.UsageError("give the query as an argument, or with --file (one of them)")
    text = query if query is not None else script.read()
    kind = kind or _kind_of(output)
    if kind in _BINARY and output is None and sys.stdout.isatty():
        raise click.UsageError(f"{kind} is not for a terminal; add --output FILE")
    from catchment.query.port import Limits

    rows = limit if limit is not None else ROWS_SHOWN if kind == "table" else None
    started = time.monotonic()
    try:
        result = source.engine().run(text, Limits(timeout, memory * 1024**2 if memory else None, rows))
        _cancellable(result, lambda: _answer(result, kind, output, started))
    except QueryError as error:
        _explain(error, text)
        raise click.exceptions.Exit(130 if error.reason == "cancelled" else 1) from error
    except KeyboardInterrupt:  # before the first row was asked for: the plan is made on this thread
        click.echo("cancelled", err=True)
        raise click.exceptions.Exit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more can be said there
        raise click.exceptions.Exit(141) from None


@click.command()
@click.option("--all", "everything", is_flag=True, help="Those without rows too.")
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
@click.pass_obj
def tables(source: Source, everything: bool, output: str) -> None:
    """List the lake's tables (rows, files, size, last commit) and the views over all versions of a doctype."""
    lake = source.lake()
    described = [lake.describe(name) for name in lake.tables()]
    views = lake.views()
    if output == "json":
        over = {name: [version.table for version in versions] for name, versions in views.items()}
        _print_json([*map(_row, described), *({"name": name, "view_of": tables} for name, tables in over.items())])
        return
    if not described:
        click.echo("The lake has no tables yet; they are made when the first ping of a type arrives.")
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    shown = Table()
    for heading in ("table", "rows", "files", "size", "last commit"):
        is_name = heading == "table"
        shown.add_column(heading, justify="left" if is_name else "right", no_wrap=not is_name, overflow="fold")
    for table in described:
        if table.rows or everything:
            shown.add_row(table.name, f"{table.rows:,}", f"{table.files:,}", size(table.size_bytes), _age(table))
    if shown.row_count:
        console.print(shown)
    if hidden := len(described) - shown.row_count:
        console.print(f"{hidden:,} without rows; `catchment tables --all` lists them too.")
    if views:
        listed = Table()
        for heading in ("view", "over"):
            listed.add_column(heading, overflow="fold")
        rows = {table.name: table.rows for table in described}
        for name, versions in views.items():
            if everything or any(rows.get(version.table) for version in versions):
                listed.add_row(name, ", ".join(version.table for version in versions))
        if listed.row_count:
            console.print(listed)


@click.command()
@click.argument("table")
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
@click.pass_obj
def describe(source: Source, table: str, output: str) -> None:
    """Show the columns of a table or view with types and comments, its size and its source offsets."""
    described = source.lake().describe(table)
    if output == "json":
        columns = [_column(column) for column in described.columns]
        _print_json({**_row(described), "columns": columns, "offsets": dict(described.offsets)})
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    shown = Table(title=f"{described.name}", title_justify="left")
    for heading in ("column", "type", "comment"):
        shown.add_column(heading, overflow="fold")
    for depth, column in _walk(described.columns):
        shown.add_row("  " * depth + escape(column.name), escape(column.type), escape(column.comment))
    console.print(shown)
    console.print(
        f"{described.rows:,} rows in {described.files:,} files, {size(described.size_bytes)}; last commit "
        f"{_age(described)}"
    )
    if described.offsets:
        console.print("read up to " + ", ".join(f"{source} {end:,}" for source, end in described.offsets.items()))


COMMANDS = [sql, tables, describe]


def _kind_of(output: Path | None) -> str:
    if output is not None and output.suffix[1:] in FORMATS:
        return output.suffix[1:]
    return "table" if output is None and sys.stdout.isatty() else "csv"


def _cancellable(result: Result, work: Callable[[], None]) -> None:
    """Do the work in a thread; Ctrl-C cancels the query and waits until it has stopped."""
    with ThreadPoolExecutor(1, "query") as thread:
        running = thread.submit(work)
        try:
            running.result()
        except KeyboardInterrupt:
            result.cancel()
            running.exception()
            raise QueryError("the query was cancelled", "cancelled") from None


def _answer(result: Result, kind: str, output: Path | None, started: float) -> None:
    if kind == "table":
        _print_table(result, output, started)
        return
    from catchment.query.formats import write

    if output is None:
        stream = sys.stdout.buffer
        write(result, kind, stream)
        stream.flush()
        return
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            count = write(result, kind, file)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"{count:,} rows in {output} ({time.monotonic() - started:.2f} s)", err=True)


def _print_table(result: Result, output: Path | None, started: float) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from catchment.query.formats import rows_of

    shown = Table()
    for column in result.columns:
        is_number = column.type in {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE"}
        shown.add_column(Text(column.name), justify="right" if is_number else "left", overflow="ellipsis")
    count = 0
    for batch in result.batches():
        for row in rows_of(result.schema, batch):
            shown.add_row(*(_shown(value) for value in row))
            count += 1
    files = f", {result.files:,} files" if result.files else ""
    more = "first " if result.is_cut else ""
    tail = f"{more}{count:,} row{'' if count == 1 else 's'} ({time.monotonic() - started:.2f} s{files})"
    if result.is_cut:
        tail += "; --limit N shows more"
    if output is None:
        console = Console()
        console.print(shown)
        console.print(tail, style="dim", highlight=False)
        return
    with output.open("w", encoding="utf-8") as file:
        Console(file=file, width=1000).print(shown)
    click.echo(tail, err=True)


def _shown(value: Any) -> Any:
    from rich.text import Text

    if value is None:
        return Text("NULL", style="dim")
    if isinstance(value, (dict, list)):
        import orjson

        value = orjson.dumps(value).decode()
    text = str(value)
    return Text(text if len(text) <= _CELL_CHARACTERS else text[: _CELL_CHARACTERS - 1] + "…")


def _explain(error: QueryError, text: str) -> None:
    """The error in one line, and the query's line with a caret below the place."""
    if error.line is None or error.column is None:
        click.echo(f"catchment: {error}", err=True)
        return
    click.echo(f"catchment: line {error.line}, column {error.column}: {error}", err=True)
    lines = text.split("\n")
    if error.line <= len(lines):
        click.echo(f"    {lines[error.line - 1]}", err=True)
        lead = "".join(sign if sign == "\t" else " " for sign in lines[error.line - 1][: error.column - 1])
        click.echo(f"    {lead}^", err=True)


def _row(table: TableDescription) -> dict[str, Any]:
    return {
        "name": table.name,
        "rows": table.rows,
        "files": table.files,
        "size_bytes": table.size_bytes,
        "committed_at": table.committed_at.isoformat() if table.committed_at else None,
    }


def _column(column: ColumnDescription) -> dict[str, Any]:
    found: dict[str, Any] = {"name": column.name, "type": column.type, "comment": column.comment}
    return {**found, "fields": [_column(field) for field in column.fields]} if column.fields else found


def _walk(columns: tuple[ColumnDescription, ...], depth: int = 0) -> list[tuple[int, ColumnDescription]]:
    found = []
    for column in columns:
        found += [(depth, column), *_walk(column.fields, depth + 1)]
    return found


def _print_json(value: Any) -> None:
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))


def _age(table: TableDescription) -> str:
    if table.committed_at is None:
        return "never"
    seconds = max(time.time() - table.committed_at.timestamp(), 0.0)
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit} ago"
    return f"{seconds:,.0f} s ago"
