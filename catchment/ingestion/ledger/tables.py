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
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.manifest import DataFile, ManifestEntryStatus
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot, ancestors_of

from catchment.errors import CatchmentError
from catchment.events import Events
from catchment.ingestion.ledger.book import Entry, Page
from catchment.ingestion.ledger.headings import MINUTE_S, Heading, name_of
from catchment.ingestion.limits.rows import DEFERRED_TABLE
from catchment.ingestion.loader.failures import ERRORS_TABLE
from catchment.lake.datafiles import PARTITION_COLUMN
from catchment.lake.plan import plan
from catchment.lake.snapshots import OFFSETS, offsets_of
from catchment.lake.tables import Lake

_DOCUMENTS = re.compile(r"(?P<namespace>.+)\.(?P<doctype>.+)_v[0-9]+")
_UNREGISTERED = ".unregistered"
_NAMED = ("document_namespace", "document_type")


class TableCounter:
    """Counts on, from the positions that the database has. One thread uses it."""

    def __init__(self, lake: Lake, positions: dict[str, int], events: Events) -> None:
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
            counts = _whole(table, name) if commits is None else _changes(table, name, commits)
        except FileNotFoundError:  # what a commit removed is gone already
            commits, counts = None, _whole(table, name)
        if commits is None:
            count = _count_of(name)
            page.whole.add((count, name if count == "stored" else ""))
        page.counts.update(counts)
        page.moves[label(name)] = (known, current.snapshot_id)


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


def _changes(table: Table, name: str, commits: Iterable[Snapshot]) -> Counter[Entry]:
    """Rows that the commits added, less those that they removed."""
    counts: Counter[Entry] = Counter()
    for snapshot in commits:
        if snapshot.summary is not None and snapshot.summary.operation == Operation.REPLACE:
            continue
        for manifest in snapshot.manifests(table.io):
            if manifest.added_snapshot_id != snapshot.snapshot_id:
                continue
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
                if entry.snapshot_id != snapshot.snapshot_id or entry.status == ManifestEntryStatus.EXISTING:
                    continue
                rows = _rows(table, name, entry.data_file)
                counts.update(rows) if entry.status == ManifestEntryStatus.ADDED else counts.subtract(rows)
    return counts


def _whole(table: Table, name: str) -> Counter[Entry]:
    counts: Counter[Entry] = Counter()
    for file in plan(table, AlwaysTrue()):
        counts.update(_rows(table, name, file))
    return counts


def _rows(table: Table, name: str, file: DataFile) -> Counter[Entry]:
    """The rows of one file by what they are counted as."""
    count, wanted = _count_of(name), [PARTITION_COLUMN, *_columns_of(name)]
    with table.io.new_input(file.file_path).open() as stream:
        parquet = pq.ParquetFile(stream)
        rows = parquet.read(columns=[column for column in wanted if column in parquet.schema_arrow.names])
    seconds = pc.cast(pc.cast(rows.column(PARTITION_COLUMN), pa.timestamp("s", "UTC"), safe=False), pa.int64())
    keys = {PARTITION_COLUMN: pc.multiply(pc.divide(seconds, MINUTE_S), MINUTE_S)}
    keys |= {column: rows.column(column) for column in wanted[1:] if column in rows.column_names}
    grouped = pa.table(keys).group_by(list(keys)).aggregate([([], "count_all")])
    counts: Counter[Entry] = Counter()
    for row in grouped.to_pylist():
        counts[_entry(name, count, row)] += row["count_all"]
    return counts


def _entry(name: str, count: str, row: dict[str, str | int | None]) -> Entry:
    minute_s = int(row[PARTITION_COLUMN] or 0)
    doctype = str(row.get("document_type") or "")
    if count != "stored":
        namespace = str(row.get("document_namespace") or "")
        return Heading(minute_s, name_of(namespace), name_of(doctype)), count, str(row.get("code") or "")
    if name.endswith(_UNREGISTERED):
        return Heading(minute_s, name.removesuffix(_UNREGISTERED), name_of(doctype)), count, name
    found = _DOCUMENTS.fullmatch(name)
    namespace, doctype = (found["namespace"], found["doctype"]) if found else (name, "")
    return Heading(minute_s, namespace, doctype), count, name


def _count_of(name: str) -> str:
    return {ERRORS_TABLE: "errors", DEFERRED_TABLE: "deferred"}.get(name, "stored")


def _columns_of(name: str) -> tuple[str, ...]:
    if name == ERRORS_TABLE:
        return (*_NAMED, "code")
    if name == DEFERRED_TABLE:
        return _NAMED
    return ("document_type",) if name.endswith(_UNREGISTERED) else ()
