"""Counts of the lake's tables: rows by minute, read from the data files that each version added or removed.

A table's position is the last version counted. From there to the present version every commit tells its files; a
compaction moves rows without changing their number. Where the history is cut (versions expire after minutes, and the
ledger may have been away) all live files are counted, which replaces what was known of the table. Only the columns that
make the heading are read. Counted are the tables that carry offsets of topic raw: what the loader and the replay
write. `monitoring.errors` and `monitoring.deferred` tell namespace and doctype in columns, a document's table in its
name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.manifest import DataFile, ManifestEntryStatus
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot, ancestors_of

from catchment.errors import CatchmentError
from catchment.events import Events
from catchment.ingestion.decoder.failure import ERRORS_TABLE
from catchment.ingestion.ledger.book import Entry, Gap, Page
from catchment.ingestion.ledger.headings import MINUTE_S, Heading, name_of
from catchment.ingestion.ledger.topics import minute_at
from catchment.ingestion.limits.rows import DEFERRED_TABLE
from catchment.lake.datafiles import PARTITION_COLUMN
from catchment.lake.plan import plan
from catchment.lake.snapshots import OFFSETS, offsets_of
from catchment.lake.tables import Lake
from catchment.log.port import Log, TopicPartition

_DOCUMENTS = re.compile(r"(?P<namespace>.+)\.(?P<doctype>.+)_v[0-9]+")
_UNREGISTERED = ".unregistered"
_NAMED = ("document_namespace", "document_type")
LOST = "record_lost"
"""Code of the errors that stand for raw records of which nothing is left; they are the named drops."""
_Run = tuple[TopicPartition, int, int, int]


class TableCounter:
    """Counts on, from the positions that the database has. One thread uses it."""

    def __init__(self, log: Log, lake: Lake, positions: Mapping[str, int], events: Events) -> None:
        """`positions` are those of the database, kept up to date by the caller."""
        self._log = log
        self._lake = lake
        self._positions = positions
        self._events = events
        self.failure = ""
        """Why a table cannot be counted now, empty when all can."""

    def count(self, page: Page) -> None:
        """Add what has changed since to the page. A table that cannot be read is left for the next turn."""
        failure = ""
        for name in self._lake.tables():
            try:
                self._count(name, page)
            except (CatchmentError, OSError) as error:
                failure = f"table {name} cannot be counted: {error}"
        if failure and failure != self.failure:
            self._events.warning("ledger_cannot_count", error=failure)
        self.failure = failure

    def _count(self, name: str, page: Page) -> None:
        table = self._lake.load(name)
        current, known = table.current_snapshot(), self._positions.get(label(name))
        if current is None or current.snapshot_id == known or not _is_counted(table):
            return
        commits = _since(table, known)
        try:
            parts = [_whole(table)] if commits is None else [_changed(table, snapshot) for snapshot in commits]
            found = [_counts(table, name, files) for files in parts]
        except FileNotFoundError:  # what a commit removed is gone already
            commits, found = None, [_counts(table, name, _whole(table))]
        if commits is None:
            page.whole |= _all_of(name)
        for counts, lost in found:
            page.counts.update(counts)
            page.gaps += [self._gap(*run) for run in lost]
        page.moves[label(name)] = (known, current.snapshot_id)

    def _gap(self, source: TopicPartition, first: int, next_: int, found_s: int) -> Gap:
        """The minutes around lost records cannot be judged: the ledger may have read them when they were there. A clock
        that was set back in between makes the earlier record the later minute."""
        before_s = minute_at(self._log, source, first - 1)
        after_s = minute_at(self._log, source, next_) or found_s
        since_s, until_s = min(before_s, after_s), max(before_s, after_s, found_s)
        return Gap(f"lost {source}", first, next_, LOST, since_s, until_s)


def label(table: str) -> str:
    """The table's name in the ledger's positions."""
    return f"table {table}"


def _is_counted(table: Table) -> bool:
    has_offsets = any(
        snapshot.summary is not None and OFFSETS in snapshot.summary.additional_properties
        for snapshot in ancestors_of(table.current_snapshot(), table.metadata)
    )
    return has_offsets and all(source.startswith("raw/") for source in offsets_of(table))


def _since(table: Table, known: int | None) -> list[Snapshot] | None:
    """The commits after version `known`; None when the table's history does not go back to it."""
    commits: list[Snapshot] = []
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        if snapshot.snapshot_id == known:
            return commits
        commits.append(snapshot)
    return None


def _changed(table: Table, snapshot: Snapshot) -> Iterator[tuple[DataFile, int]]:
    """The files that a commit added (1) and removed (-1); none of a compaction."""
    if _operation(snapshot) == Operation.REPLACE:
        return
    for manifest in snapshot.manifests(table.io):
        if manifest.added_snapshot_id != snapshot.snapshot_id:
            continue
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
            if entry.snapshot_id == snapshot.snapshot_id and entry.status != ManifestEntryStatus.EXISTING:
                yield entry.data_file, 1 if entry.status == ManifestEntryStatus.ADDED else -1


def _operation(snapshot: Snapshot) -> Operation | None:
    return snapshot.summary.operation if snapshot.summary is not None else None


def _whole(table: Table) -> Iterator[tuple[DataFile, int]]:
    return ((file, 1) for file in plan(table, AlwaysTrue()))


def _counts(table: Table, name: str, files: Iterable[tuple[DataFile, int]]) -> tuple[Counter[Entry], list[_Run]]:
    """Rows by what they are counted as, and the runs of lost records that they name."""
    counts: Counter[Entry] = Counter()
    lost: list[_Run] = []
    for file, sign in files:
        rows = _read(table, file, [PARTITION_COLUMN, *_columns_of(name)])
        for entry, records in _entries(name, rows).items():
            counts[entry] += sign * records
        if sign > 0 and name == ERRORS_TABLE and LOST in rows.column("code").unique().to_pylist():
            lost += _runs(_read(table, file, [PARTITION_COLUMN, "code", "source", "source_offset"]))
    return counts, lost


def _read(table: Table, file: DataFile, columns: Sequence[str]) -> pa.Table:
    """Some columns of a file, those that it has; of the time its minute (s)."""
    with table.io.new_input(file.file_path).open() as stream:
        parquet = pq.ParquetFile(stream)
        rows = parquet.read(columns=[column for column in columns if column in parquet.schema_arrow.names])
    seconds = pc.cast(pc.cast(rows.column(PARTITION_COLUMN), pa.timestamp("s", "UTC"), safe=False), pa.int64())
    minutes = pc.multiply(pc.divide(seconds, MINUTE_S), MINUTE_S)
    return rows.set_column(rows.column_names.index(PARTITION_COLUMN), PARTITION_COLUMN, minutes)


def _entries(name: str, rows: pa.Table) -> Counter[Entry]:
    grouped = rows.group_by(rows.column_names).aggregate([([], "count_all")])
    counts: Counter[Entry] = Counter()
    for row in grouped.to_pylist():
        counts[_entry(name, row)] += row["count_all"]
    return counts


def _runs(rows: pa.Table) -> list[_Run]:
    """Lost records that follow each other, as source, first, next, and the minute at which they were missed."""
    named = sorted(
        (row["source"], row["source_offset"], row[PARTITION_COLUMN])
        for row in rows.filter(pc.equal(rows.column("code"), LOST)).to_pylist()
    )
    runs: list[_Run] = []
    for source, offset, minute_s in named:
        topic, _, number = source.rpartition("/")
        place = TopicPartition(topic, int(number))
        if runs and runs[-1][0] == place and runs[-1][2] == offset:
            runs[-1] = (place, runs[-1][1], offset + 1, minute_s)
        else:
            runs.append((place, offset, offset + 1, minute_s))
    return runs


def _entry(name: str, row: Mapping[str, Any]) -> Entry:
    kind, minute_s, doctype = _kind_of(name), row[PARTITION_COLUMN] or 0, row.get("document_type")
    if kind != "stored":
        code = row.get("code") or ""
        if code == LOST:
            return Heading(0, "", ""), "dropped", LOST
        return Heading(minute_s, name_of(row["document_namespace"]), name_of(doctype)), kind, code
    if name.endswith(_UNREGISTERED):
        return Heading(minute_s, name.removesuffix(_UNREGISTERED), name_of(doctype)), kind, name
    found = _DOCUMENTS.fullmatch(name)
    return Heading(minute_s, *(found["namespace"], found["doctype"]) if found else (name, "")), kind, name


def _kind_of(name: str) -> str:
    return {ERRORS_TABLE: "errors", DEFERRED_TABLE: "deferred"}.get(name, "stored")


def _all_of(name: str) -> set[tuple[str, str]]:
    """Kinds and details of counts that come from this table alone."""
    kind = _kind_of(name)
    return {(kind, name)} if kind == "stored" else {(kind, ""), *([("dropped", LOST)] if kind == "errors" else [])}


def _columns_of(name: str) -> tuple[str, ...]:
    if name == ERRORS_TABLE:
        return (*_NAMED, "code")
    if name == DEFERRED_TABLE:
        return _NAMED
    return ("document_type",) if name.endswith(_UNREGISTERED) else ()
