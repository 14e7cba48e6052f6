"""The lake: tables by name, made and grown from Arrow schemas, filled by exactly-once commits.

Every table has Iceberg format 2, is partitioned by the day of `submission_timestamp` and sorted by `sample_id` where
it has these columns. Any number of processes may use the same lake; within one, any thread may read, and one at a time
may write a table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import IcebergType, ListType, MapType, NestedField, StructType

from catchment.clock import Clock, utc
from catchment.errors import Conflict, Fenced, Incompatible, Missing, Unavailable
from catchment.events import Events
from catchment.lake import datafiles
from catchment.lake.catalog import METADATA_KEPT, Catalog, nothing
from catchment.lake.commit import (
    ATTEMPTS,
    BYTES,
    COMMITS,
    ROWS,
    SECONDS,
    Committed,
    Committer,
    Span,
    check_spans,
)
from catchment.lake.evolution import differences, iceberg_schema
from catchment.lake.files import delete_files
from catchment.lake.snapshots import Change, offsets_of
from catchment.lake.versions import Version, schema_of, unite, views_of


@dataclass(frozen=True, slots=True)
class ColumnDescription:
    """One column or nested field. `type` is as Iceberg writes it, with `struct` for structs, whose parts are in
    `fields` (also those of structs in lists and maps)."""

    name: str
    type: str
    comment: str
    fields: tuple[ColumnDescription, ...]


@dataclass(frozen=True, slots=True)
class TableDescription:
    """A table as it is now. `committed_at` is None before the first commit."""

    name: str
    columns: tuple[ColumnDescription, ...]
    rows: int
    files: int
    size_bytes: int
    committed_at: datetime | None
    offsets: Mapping[str, int]


class Lake:
    """All tables. `open_lake` makes one."""

    def __init__(self, catalog: Catalog, clock: Clock, events: Events) -> None:
        self.catalog = catalog
        self.committer = Committer(catalog, clock, events)
        self._events = events
        self._fitting: dict[str, tuple[pa.Schema, int]] = {}

    def close(self) -> None:
        """Let the catalog go. May be called again."""
        self.catalog.close()

    def tables(self) -> list[str]:
        """Names of all tables, `namespace.table`, sorted."""
        return self.catalog.list_tables()

    def views(self) -> dict[str, tuple[Version, ...]]:
        """The views over all versions of a doctype, `namespace.doctype`, with their tables, the newest first."""
        return views_of(self.tables())

    def load(self, table: str) -> Table:
        """The Iceberg table as it is now. Raises Missing."""
        return self.committer.load(table)

    def ensure(self, table: str, schema: pa.Schema) -> None:
        """Make the table, or grow it, so that rows of `schema` fit. Cheap when nothing has changed.

        A field's metadata `doc` becomes the column's comment. Raises Incompatible when a column would have to change
        its type, Conflict when others kept changing the table.
        """
        held = self._fitting.get(table)
        if held is not None and held[0].equals(schema):
            return
        wanted = iceberg_schema(schema)
        for _ in range(ATTEMPTS):
            try:
                self._ensure(table, wanted)
            except (TableAlreadyExistsError, CommitFailedException):
                continue  # somebody else made or grew it: look again
            except OSError as error:
                raise Unavailable(f"table {table}: its new version cannot be written: {error}") from error
            self._fitting[table] = (schema, self.load(table).metadata.current_schema_id)
            return
        raise Conflict(f"table {table}: others changed its schema {ATTEMPTS} times; try again")

    def commit(
        self,
        table: str,
        rows: pa.Table,
        offsets: Mapping[str, Span],
        at: Callable[[str], None] = nothing,
    ) -> Committed:
        """Add `rows` and record `offsets` (source → span), both or nothing; durable and visible when this returns.

        Without rows nothing is done, and the offsets are not recorded. The rows must fit the table (`ensure`). `at` is
        called at the points that the module `commit` names. Raises Fenced when a recorded offset is not the expected
        one, Incompatible, Missing, and the transient Conflict, Unavailable and Unknown.
        """
        if rows.num_rows == 0:
            return Committed(None, 0, 0, 0)
        started = time.monotonic()
        current = self.load(table)
        check_spans(table, offsets_of(current), offsets)
        self._check_fit(table, current, rows.schema)
        at("before_files")
        files = self._write(table, current, rows)
        at("files_written")
        ends = {source: span.end for source, span in offsets.items()}

        def prepare(latest: Table) -> Change:
            recorded = offsets_of(latest)
            check_spans(table, recorded, offsets)
            return Change(Operation.APPEND, files, frozenset(), {**recorded, **ends})

        try:
            snapshot_id, _ = self.committer.commit(table, prepare, at)
        except (Fenced, Conflict):
            self._delete(table, current, files)
            raise
        at("committed")
        size = sum(file.file_size_in_bytes for file in files)
        COMMITS.labels(table).inc()
        ROWS.labels(table).inc(rows.num_rows)
        BYTES.labels(table).inc(size)
        SECONDS.observe(time.monotonic() - started)
        return Committed(snapshot_id, rows.num_rows, len(files), size)

    def offsets(self, table: str) -> dict[str, int]:
        """What the table has recorded of each source (`topic/partition`): the next offset to read. Raises Missing."""
        return offsets_of(self.load(table))

    def describe(self, table: str) -> TableDescription:
        """Columns and totals of a table or a view, read from metadata alone. Raises Missing."""
        try:
            found = self.load(table)
        except Missing:
            versions = self.views().get(table)
            if versions is None:
                raise
            return self._describe_view(table, versions)
        snapshot = found.current_snapshot()
        totals = snapshot.summary.additional_properties if snapshot and snapshot.summary else {}
        return TableDescription(
            name=table,
            columns=tuple(_described(field) for field in found.schema().fields),
            rows=int(totals.get("total-records", 0)),
            files=int(totals.get("total-data-files", 0)),
            size_bytes=int(totals.get("total-files-size", 0)),
            committed_at=utc(snapshot.timestamp_ms * 1_000_000) if snapshot else None,
            offsets=offsets_of(found),
        )

    def _describe_view(self, view: str, versions: Sequence[Version]) -> TableDescription:
        columns = schema_of(unite([(number, self.load(table).schema()) for number, table in versions])).fields
        tables = [self.describe(version.table) for version in versions]
        committed = [table.committed_at for table in tables if table.committed_at is not None]
        return TableDescription(
            name=view,
            columns=tuple(_described(field) for field in columns),
            rows=sum(table.rows for table in tables),
            files=sum(table.files for table in tables),
            size_bytes=sum(table.size_bytes for table in tables),
            committed_at=max(committed, default=None),
            offsets={},
        )

    def _ensure(self, table: str, wanted: Schema) -> None:
        try:
            current = self.load(table)
        except Missing:
            self.catalog.create_table(table, wanted, _partitions(wanted), _order(wanted), _properties(wanted))
            self._events.info("table_made", table=table, columns=len(wanted.fields))
            return
        changes = differences(table, current.schema().as_struct(), wanted.as_struct())
        if changes:
            with current.update_schema() as update:
                update.union_by_name(wanted)
            self._events.info("table_grew", table=table, columns=",".join(changes))

    def _check_fit(self, table: str, current: Table, schema: pa.Schema) -> None:
        held = self._fitting.get(table)
        if held is not None and held[1] == current.metadata.current_schema_id and held[0].equals(schema):
            return
        missing = differences(table, current.schema().as_struct(), iceberg_schema(schema).as_struct())
        if missing:
            raise Incompatible(f"table {table}: its schema has not {', '.join(missing)}; ensure the schema first")
        self._fitting[table] = (schema, current.metadata.current_schema_id)

    def _write(self, name: str, table: Table, rows: pa.Table) -> list[DataFile]:
        try:
            return datafiles.write(table, rows)
        except OSError as error:
            raise Unavailable(f"table {name}: rows cannot be written: {error}; nothing was changed") from error

    def _delete(self, name: str, table: Table, files: list[DataFile]) -> None:
        left = delete_files(table.io, [file.file_path for file in files])
        if left:
            self._events.warning("orphans_left", table=name, files=len(left))


def _described(field: NestedField) -> ColumnDescription:
    inner: IcebergType = field.field_type
    while isinstance(inner, (ListType, MapType)):
        inner = inner.element_type if isinstance(inner, ListType) else inner.value_type
    parts = inner.fields if isinstance(inner, StructType) else ()
    return ColumnDescription(
        field.name, _short(field.field_type), field.doc or "", tuple(_described(part) for part in parts)
    )


def _short(kind: IcebergType) -> str:
    if isinstance(kind, StructType):
        return "struct"
    if isinstance(kind, ListType):
        return f"list<{_short(kind.element_type)}>"
    if isinstance(kind, MapType):
        return f"map<{_short(kind.key_type)}, {_short(kind.value_type)}>"
    return str(kind)


def _partitions(schema: Schema) -> PartitionSpec:
    column = next((field for field in schema.fields if field.name == datafiles.PARTITION_COLUMN), None)
    if column is None:
        return PartitionSpec()
    return PartitionSpec(PartitionField(column.field_id, 1000, DayTransform(), f"{column.name}_day"))


def _order(schema: Schema) -> SortOrder:
    column = next((field for field in schema.fields if field.name == datafiles.SORT_COLUMN), None)
    return SortOrder(SortField(column.field_id, IdentityTransform())) if column else SortOrder()


def _properties(schema: Schema) -> dict[str, str]:
    """What other writers of the table should keep to."""
    measured = {
        f"write.metadata.metrics.column.{field.name}": "truncate(16)"
        for field in schema.fields
        if datafiles.is_measured(field.name)
    }
    return {
        "write.format.default": "parquet",
        "write.parquet.compression-codec": "zstd",
        "write.metadata.delete-after-commit.enabled": "true",
        "write.metadata.previous-versions-max": str(METADATA_KEPT),
        "write.metadata.metrics.default": "none",
        "commit.manifest-merge.enabled": "true",
        **measured,
    }
