"""`catchment promote`: old rows' values into the columns that they have by now, at once and as fast as it goes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from catchment.errors import Missing
from catchment.platform import Platform

if TYPE_CHECKING:
    from catchment.lake.promotion import Progress
    from catchment.schemas.shape import Struct


@click.command()
@click.argument("tables", nargs=-1)
@click.option("--show", is_flag=True, help="Only tell how far each table is.")
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
@click.pass_obj
def promote(platform: Platform, tables: tuple[str, ...], show: bool, output: str) -> None:
    """Move what has a column by now out of additional_properties, in older rows of TABLES (default: all).

    The first loader does it by itself beside its work, slowly; this does it now. Loading goes on meanwhile, and an
    interrupted one goes on where it was.

    \b
    catchment promote --show
    catchment promote shop.order_v1
    """
    from catchment.lake.promotion import progress

    lake, shapes = platform.lake(), _shapes(platform, tables)
    if show:
        found = {table: progress(lake, table, shape) for table, shape in shapes.items()}
    else:
        found = _run(platform, shapes, is_quiet=output == "json")
    if output == "json":
        import orjson

        rows = [{"table": table, **_row(now)} for table, now in found.items()]
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    else:
        _print(found, show)


def _shapes(platform: Platform, tables: tuple[str, ...]) -> dict[str, Struct]:
    """The shapes of the tables' schemas. Raises Missing for a named one without."""
    from catchment.ingestion.loader.promoting import shape_of_table

    registry, held = platform.registry(), platform.lake().tables()
    for table in tables:
        if table not in held:
            raise Missing(f"table {table} does not exist; see `catchment tables`")
        if shape_of_table(registry, table) is None:
            raise Missing(f"table {table} has no schema, so it has no columns to fill; see `catchment schema show`")
    found = {table: shape_of_table(registry, table) for table in tables or held}
    return {table: shape for table, shape in found.items() if shape is not None}


def _run(platform: Platform, shapes: dict[str, Struct], is_quiet: bool) -> dict[str, Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from catchment.lake import promotion

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("rows"))
    found = {}
    console = Console(stderr=True)
    with Bar(*columns, TimeRemainingColumn(), console=console, disable=is_quiet or not sys.stderr.isatty()) as bar:
        for table, shape in shapes.items():
            task = bar.add_task(table, total=None)
            for now in promotion.promote(platform.lake(), table, shape):
                bar.update(task, completed=now.rows, total=now.total_rows)
                found[table] = now
            bar.remove_task(task)
    return found


def _row(now: Progress) -> dict[str, int | bool]:
    return {
        "rows": now.rows,
        "total_rows": now.total_rows,
        "files": now.files,
        "total_files": now.total_files,
        "rows_moved": now.moved,
        "is_done": now.is_done,
    }


def _print(found: dict[str, Progress], show: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    if not found:
        click.echo("No table has a schema yet; tables are made when a schema is read, or with the first ping.")
        return
    shown = Table()
    for heading in ("table", "rows done", "of", "files done", "of", "share" if show else "rows changed"):
        shown.add_column(heading, justify="left" if heading == "table" else "right", no_wrap=heading == "table")
    for table, now in found.items():
        last = ("done" if now.is_done else f"{now.rows / now.total_rows:.1%}") if show else f"{now.moved:,}"
        shown.add_row(table, f"{now.rows:,}", f"{now.total_rows:,}", f"{now.files:,}", f"{now.total_files:,}", last)
    Console().print(shown)
