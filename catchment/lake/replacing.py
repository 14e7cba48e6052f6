"""Replacing rows of a table, copy on write: files with rows that must go are written anew without them, and new files
come in, in one commit that carries the source offsets on.

    find rows by key columns ─▶ files written anew ─▶ one commit (`OVERWRITE`)     again when a file is gone meanwhile

Rows that others append meanwhile are not looked at, so loading goes on beside it. A compaction that takes the same
files makes the commit a conflict; then the files are looked for again. What a crash leaves are files that nothing
names. The version before stays under a tag for queries that read it, as after a compaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import And, BooleanExpression, GreaterThanOrEqual, LessThan, Reference
from pyiceberg.expressions.literals import literal
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation

from catchment.clock import utc
from catchment.errors import Conflict, Missing, Unavailable
from catchment.lake import datafiles
from catchment.lake.catalog import nothing
from catchment.lake.commit import ATTEMPTS
from catchment.lake.files import delete_files
from catchment.lake.plan import plan
from catchment.lake.reading import read, read_all
from catchment.lake.snapshots import Change, offsets_of
from catchment.lake.tables import Lake

Doomed = Callable[[pa.Table], pa.Array]
"""From the key columns of some rows to a text for each: why it must go; NULL for a row that stays."""


@dataclass(frozen=True, slots=True)
class Span:
    """Rows by receipt: from `since_us` to `until_us` (not included), µs since the epoch."""

    since_us: int
    until_us: int

    @property
    def filter(self) -> BooleanExpression:
        column = Reference(datafiles.PARTITION_COLUMN)
        since, until = utc(self.since_us * 1000).isoformat(), utc(self.until_us * 1000).isoformat()
        return And(GreaterThanOrEqual(term=column, value=literal(since)), LessThan(term=column, value=literal(until)))


def write(lake: Lake, name: str, rows: pa.Table) -> list[DataFile]:
    """Write rows as files of the table, which is made or grown for them; nothing names the files yet."""
    lake.ensure(name, rows.schema)
    try:
        return datafiles.write(lake.load(name), rows)
    except OSError as error:
        raise Unavailable(f"table {name}: rows cannot be written: {error}; nothing was changed") from error


def keys(lake: Lake, name: str, columns: Sequence[str], span: Span) -> pa.Table:
    """These columns of the rows of `span`, and perhaps of others near it. Without rows when the table is absent."""
    try:
        table = lake.load(name)
    except Missing:
        return pa.table({column: pa.array([], pa.null()) for column in columns})
    parts = [read_all(table, file, columns) for file in plan(table, span.filter)]
    return pa.concat_tables(parts) if parts else table.schema().select(*columns).as_arrow().empty_table()


def files(lake: Lake, name: str, span: Span) -> list[str]:
    """Locations of the files that may hold rows of `span`."""
    try:
        return [file.file_path for file in plan(lake.load(name), span.filter)]
    except Missing:
        return []


def replace(
    lake: Lake,
    name: str,
    added: Sequence[DataFile],
    columns: Sequence[str],
    doomed: Doomed,
    span: Span,
    at: Callable[[str], None] = nothing,
) -> Counter[str]:
    """Take the rows out that `doomed` names among those of `span`, and bring `added` in, in one commit; how many went,
    by reason.

    Raises Conflict when others kept rewriting the same files, and what a commit raises.
    """
    for _ in range(ATTEMPTS):
        table = lake.load(name)
        rewritten: list[DataFile] = []
        gone: set[str] = set()
        reasons: Counter[str] = Counter()
        for file in plan(table, span.filter):
            why = doomed(read_all(table, file, columns))
            count = len(why) - why.null_count
            if count:
                gone.add(file.file_path)
                reasons.update({each["values"].as_py(): each["counts"].as_py() for each in pc.value_counts(why)})
                if count < file.record_count:
                    rewritten.append(_without(table, file, why.is_null()))
        reasons.pop(None, None)  # type: ignore[call-overload]
        if not gone and not added:
            return reasons
        at("files_rewritten")

        def prepare(latest: Table, new: list[DataFile] = rewritten, old: set[str] = gone) -> Change:
            return Change(Operation.OVERWRITE, [*added, *new], frozenset(old), offsets_of(latest))

        try:
            lake.committer.commit(name, prepare, at)
            return reasons
        except Conflict:
            delete_files(table.io, [file.file_path for file in rewritten])
    raise Conflict(f"table {name}: others rewrote the same files {ATTEMPTS} times; nothing was changed, try again")


def _without(table: Table, file: DataFile, kept: pa.Array) -> DataFile:
    """The rows of a file that are `kept`, as a new file in the table's present schema."""
    pieces = read(table, file)
    first = next(pieces)
    location = datafiles.new_location(table, file.partition, first.schema, datafiles.split_of(file.file_path))
    with datafiles.ParquetFile(table, location, file.partition, first.schema) as output:
        row = 0
        for piece in chain((first,), pieces):
            rows = piece.filter(kept.slice(row, piece.num_rows))
            row += piece.num_rows
            if rows.num_rows:
                output.write(rows)
    return output.result()
