"""Files written anew with what leaves `additional_properties`, and the commits that put them in place of the old ones.

    files ─▶ leftovers read ─▶ nothing to move: done ┬▶ written anew ─▶ group full ─▶ commit (`REPLACE`)
                                                     └▶ nothing moved after all: thrown away

What is made and not committed is deleted, unless it cannot be known whether the commit happened; then, and after a
crash, it is left for maintenance. Readers of the old files have `replaced_age_s` to finish.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation

from catchment.errors import Conflict, Corrupt, Unavailable
from catchment.lake.datafiles import ROW_GROUP_ROWS, ParquetFile, new_location
from catchment.lake.files import delete_files
from catchment.lake.leftovers import COLUMN, may_move, promoted
from catchment.lake.plan import plan
from catchment.lake.reading import read
from catchment.lake.snapshots import Change, offsets_of
from catchment.lake.tables import Lake
from catchment.schemas.shape import Struct
from catchment.schemas.signature import signature

GROUP_FILES = 64
GROUP_BYTES = 256 * 1024 * 1024
"""What one commit replaces at most."""
SLICE_ROWS = 1024
SLICE_BYTES = 2 * 1024 * 1024
"""Rows that are in Python's hands at once, at most the one or about the other: 0.1 to 0.3 s of work."""
ROW_GROUP_BYTES = 64 * 1024 * 1024
"""Rows that wait to be written together: small row groups make files large, and slow to read."""


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of work: rows of files that are done, and rows that a commit has changed."""

    rows: int = 0
    moved: int = 0


@dataclass(frozen=True, slots=True)
class _Made:
    """A file that stands for another one."""

    old: str
    new: DataFile
    moved: int


class Rewriting:
    """Files of one version of a table, taken apart anew by `shape`, for which the table has the columns."""

    def __init__(self, lake: Lake, table: Table, shape: Struct, at: Callable[[str], None]) -> None:
        self._lake = lake
        self._name = ".".join(table.name())
        self._table = table
        self._shape = shape
        self._split = signature(shape)
        self._at = at

    def run(self, files: Sequence[DataFile]) -> Iterator[Step]:
        """Rewrite and commit those that have something to move, in pieces. All of it is done when this ends; files
        that others have replaced meanwhile are passed over."""
        group: list[_Made] = []
        try:
            for file in files:
                made = yield from self._file(file)
                group += [made] if made is not None else []
                if len(group) >= GROUP_FILES or sum(one.new.file_size_in_bytes for one in group) >= GROUP_BYTES:
                    full, group = group, []
                    yield Step(moved=self._commit(full))
                yield Step(rows=file.record_count)
            if group:
                full, group = group, []
                yield Step(moved=self._commit(full))
        finally:
            self._delete(group)

    def _file(self, file: DataFile) -> Generator[Step, None, _Made | None]:
        """Write a file anew; returns what was made of it, None when there is nothing to move or it is gone."""
        try:
            if (yield from self._has_work(file)):
                return (yield from self._written(file))
        except FileNotFoundError as error:
            if file.file_path in self._live():
                raise Corrupt(f"table {self._name}: {file.file_path} is lost: {error}; bring it back") from error
        except OSError as error:
            raise Unavailable(f"table {self._name}: {file.file_path} cannot be rewritten: {error}") from error
        except pa.ArrowException as error:
            raise Corrupt(f"table {self._name}: {file.file_path} cannot be read: {error}") from error
        return None

    def _has_work(self, file: DataFile) -> Generator[Step, None, bool]:
        for rows in _slices(read(self._table, file, (COLUMN,))):
            if any(may_move(text, self._shape) for text in rows.column(COLUMN).to_pylist()):
                return True
            yield Step()
        return False

    def _written(self, file: DataFile) -> Generator[Step, None, _Made | None]:
        slices = _slices(read(self._table, file))
        first = next(slices)
        location = new_location(self._table, file.partition, first.schema, self._split)
        rows_moved = rows_written = 0
        waiting: list[pa.Table] = []
        with ParquetFile(self._table, location, file.partition, first.schema) as output:
            for rows in chain((first,), slices):
                changed, moved = promoted(rows, self._shape)
                rows_moved += moved
                rows_written += changed.num_rows
                waiting.append(changed)
                if _is_row_group(waiting):
                    output.write(pa.concat_tables(waiting))
                    waiting.clear()
                yield Step()
            if waiting:
                output.write(pa.concat_tables(waiting))
        made = output.result()
        if rows_written != file.record_count:
            delete_files(self._table.io, [location])
            raise Corrupt(
                f"table {self._name}: {file.file_path} gives {rows_written} rows, its manifest {file.record_count}; "
                "nothing was changed, compare the file with a backup"
            )
        if not rows_moved:
            delete_files(self._table.io, [location])
            return None
        self._at("file_rewritten")
        return _Made(file.file_path, made, rows_moved)

    def _commit(self, group: list[_Made]) -> int:
        """Put the files in the place of those that are still there; how many rows that changed."""
        done: list[_Made] = []

        def prepare(latest: Table) -> Change:
            live = {file.file_path for file in plan(latest, AlwaysTrue())}
            done[:] = [made for made in group if made.old in live]
            if not done:
                raise Conflict(f"table {self._name}: others replaced the same files")
            removed = frozenset(made.old for made in done)
            return Change(Operation.REPLACE, [made.new for made in done], removed, offsets_of(latest))

        try:
            self._lake.committer.commit(self._name, prepare, self._at)
        except Conflict:
            self._delete(group)
            if done:
                raise
            return 0
        self._at("group_committed")
        self._delete([made for made in group if made not in done])
        return sum(made.moved for made in done)

    def _live(self) -> set[str]:
        return {file.file_path for file in plan(self._lake.load(self._name), AlwaysTrue())}

    def _delete(self, group: Sequence[_Made]) -> None:
        delete_files(self._table.io, [made.new.file_path for made in group])


def _slices(pieces: Iterator[pa.Table]) -> Iterator[pa.Table]:
    for rows in pieces:
        count = max(1, min(SLICE_ROWS, SLICE_BYTES * rows.num_rows // max(rows.nbytes, 1)))
        for start in range(0, rows.num_rows, count):
            yield rows.slice(start, count)


def _is_row_group(waiting: Sequence[pa.Table]) -> bool:
    rows = sum(table.num_rows for table in waiting)
    return bool(rows >= ROW_GROUP_ROWS or sum(table.nbytes for table in waiting) >= ROW_GROUP_BYTES)
