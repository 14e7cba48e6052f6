"""Promotion: when a field becomes a column, the older files of its table are written anew with its values in it.

    files that are not settled, newest day first ─▶ rewritten and committed (`rewriting.py`) ─▶ the day is settled

Whether a file has to be looked at is told without opening it. Its name says by which shape its documents were taken
apart (`datafiles.split_of`): the loader's and promotion's own files have the table's present signature there. A file
that was looked at and had nothing to move keeps its name; for those a property of the table, `STATE`, says which are
settled: those up to a sequence number, and while a pass goes on, those of the days behind its place. So a crash, at any
point, costs at most the work on one day, and promoting again changes nothing.

A commit takes out exactly the files that were read and puts in what was made of them, and carries the source offsets
on. Files that a compaction, a replay or another promotion has replaced meanwhile are left out of it: they are looked at
in the next pass, under their new names, and so are rows that a loader with an older schema appends. It is a `replace`,
as a compaction: the documents stay the same.

Memory: one data file, as read by Arrow, and one slice of its rows in Python.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import DataFile, ManifestContent
from pyiceberg.table import Table
from pyiceberg.table.update import AssertTableUUID, SetPropertiesUpdate

from catchment import metrics
from catchment.errors import Conflict, Incompatible, Unavailable
from catchment.lake.catalog import nothing
from catchment.lake.columns import row_schema
from catchment.lake.commit import ATTEMPTS
from catchment.lake.datafiles import split_of
from catchment.lake.fitting import fitted
from catchment.lake.rewriting import Rewriting
from catchment.lake.tables import Lake
from catchment.schemas.shape import Struct
from catchment.schemas.signature import signature

STATE = "catchment.promotion"
_NO_DAY = -(2**31)

PROMOTED = metrics.counter(
    "lake_promoted_rows_total", "Rows of which values went from additional_properties to columns.", "rows", ["table"]
)
PENDING = metrics.gauge(
    "lake_promotion_pending_rows", "Rows of older files that promotion has not looked at yet.", "rows", ["table"]
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a table is: rows and files that are settled, of all that there are."""

    rows: int
    total_rows: int
    files: int
    total_files: int
    moved: int = 0
    """Rows that this run has changed."""

    @property
    def is_done(self) -> bool:
        return self.files == self.total_files


@dataclass(frozen=True, slots=True)
class _State:
    """Settled are files up to sequence number `settled`, and of `day` and later days those up to `until`."""

    split: str
    settled: int = 0
    until: int = 0
    day: int | None = None

    def holds(self, found: _Found) -> bool:
        is_behind = self.day is not None and found.day >= self.day
        return found.number <= self.settled or (is_behind and found.number <= self.until)


@dataclass(frozen=True, slots=True)
class _Found:
    """A data file, its day (since the epoch) and its sequence number."""

    file: DataFile
    day: int
    number: int


def progress(lake: Lake, name: str, shape: Struct) -> Progress:
    """How far the table is for `shape`, its schema's; read from the metadata alone. Raises Missing."""
    table = lake.load(name)
    return _progress(table, signature(fitted(shape, table.schema().as_arrow())[0]))


def promote(lake: Lake, name: str, shape: Struct, at: Callable[[str], None] = nothing) -> Generator[Progress]:
    """Go over the table once. It makes a piece of work (some rows of a file, or a commit) between two values, so that
    whoever drives it decides how fast it goes; dropped anywhere, it leaves nothing behind.

    The table is grown to the columns of `shape` first. Raises Missing, Incompatible, Corrupt, and the transient
    Conflict, Unavailable and Unknown; what was committed until then stays. `at` is told the points of a commit and
    `file_rewritten`, `group_committed`, `day_settled`.
    """
    shape, _ = fitted(shape, lake.load(name).schema().as_arrow())
    lake.ensure(name, row_schema(shape))
    split = signature(shape)
    moved = 0
    while True:
        table = lake.load(name)
        state = _state(table, split)
        resumes = state.day is not None
        until = state.until if resumes else table.metadata.next_sequence_number() - 1
        now = _progress(table, split)
        pending = [found for found in _pending(table, split) if found.number <= until]
        rows, files = now.rows, now.files
        for day in sorted({found.day for found in pending}, reverse=True):
            of_day = [found.file for found in pending if found.day == day]
            for step in Rewriting(lake, table, shape, at).run(of_day):
                rows += step.rows
                files += bool(step.rows)
                moved += step.moved
                PROMOTED.labels(name).inc(step.moved)
                PENDING.labels(name).set(now.total_rows - rows)
                yield Progress(rows, now.total_rows, files, now.total_files, moved)
            _settle(lake, name, _State(split, state.settled, until, day))
            at("day_settled")
        if pending or resumes:
            _settle(lake, name, _State(split, until))
            at("pass_settled")
        if not resumes:
            break
    yield Progress(rows, now.total_rows, files, now.total_files, moved)


def _progress(table: Table, split: str) -> Progress:
    state = _state(table, split)
    files = list(_files(table))
    settled = [found.file for found in files if _is_settled(found, state)]
    return Progress(
        sum(file.record_count for file in settled),
        sum(found.file.record_count for found in files),
        len(settled),
        len(files),
    )


def _pending(table: Table, split: str) -> list[_Found]:
    state = _state(table, split)
    return [found for found in _files(table) if not _is_settled(found, state)]


def _is_settled(found: _Found, state: _State) -> bool:
    return split_of(found.file.file_path) == state.split or state.holds(found)


def _files(table: Table) -> Iterator[_Found]:
    """Every data file of the table's version; none that another engine has laid out by another partition spec."""
    name = ".".join(table.name())
    snapshot = table.current_snapshot()
    try:
        for manifest in snapshot.manifests(table.io) if snapshot else ():
            if manifest.content != ManifestContent.DATA:
                raise Incompatible(f"table {name}: it has row-level deletes; compact it with the engine that made them")
            if manifest.partition_spec_id != table.spec().spec_id:
                continue
            for entry in manifest.fetch_manifest_entry(table.io):
                file = entry.data_file
                day = file.partition[0] if len(file.partition) else None
                yield _Found(file, _NO_DAY if day is None else int(day), entry.sequence_number or 0)
    except OSError as error:
        raise Unavailable(f"table {name}: its list of files cannot be read: {error}") from error


def _state(table: Table, split: str) -> _State:
    """What the table says of `split`; nothing is settled when it speaks of another one."""
    text = table.properties.get(STATE)
    state = _State(**json.loads(text)) if text else _State(split)
    return state if state.split == split else _State(split)


def _settle(lake: Lake, name: str, state: _State) -> None:
    """Write the state down. Who is faster beside this only loses what somebody else has found out."""
    update = SetPropertiesUpdate(updates={STATE: json.dumps(asdict(state), separators=(",", ":"))})
    for _ in range(ATTEMPTS):
        table = lake.load(name)
        try:
            lake.catalog.commit_table(table, (AssertTableUUID(uuid=table.metadata.table_uuid),), (update,))
        except CommitFailedException:
            continue
        except OSError as error:
            raise Unavailable(f"table {name}: its state of promotion cannot be written: {error}") from error
        return
    raise Conflict(f"table {name}: others committed first {ATTEMPTS} times; promote it again")
