"""The catalog: which metadata file is the current version of each table.

A commit writes a new metadata file and then moves the table's pointer (`pointers`) from the version that it read to the
new one, in one statement; whoever loses that race gets a conflict and nothing is changed. The library's own SqlCatalog
is not used because it parses the metadata anew for every commit, copies it deeply, and costs 0.6 s of imports
(SQLAlchemy); measured in `docs/lake.md`. Other catalogs are the library's (`library`).

`Catalog` names the four verbs of pyiceberg's catalogs that the lake needs. Metadata files that a commit displaces
are deleted as the table's properties say.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, cast

from pyiceberg.catalog import Catalog as AnyCatalog
from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.io import FileIO
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.locations import load_location_provider
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRef, SnapshotRefType
from pyiceberg.table.snapshots import MetadataLogEntry, SnapshotLogEntry
from pyiceberg.table.sorting import SortOrder
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    RemoveSnapshotsUpdate,
    SetSnapshotRefUpdate,
    TableRequirement,
    TableUpdate,
    update_table_metadata,
)

from catchment.lake.files import LakeFiles
from catchment.lake.pointers import Key, Pointers

METADATA_KEPT = 20
"""Metadata files of earlier versions that stay beside the current one."""

Requirements = tuple[TableRequirement, ...]
Updates = tuple[TableUpdate, ...]


def nothing(point: str) -> None:
    """Does nothing; the default of `at`, which is called at the named points of a commit."""


class Catalog(Protocol):
    """What the lake asks of a catalog; names and meanings are pyiceberg's, but for `at`, which tests stop at. One that
    does not answer is an OSError."""

    @property
    def files(self) -> LakeFiles:
        """Where the files of the tables are."""
        ...

    def create_table(
        self, identifier: str, schema: Schema, partition_spec: PartitionSpec, sort_order: SortOrder, properties: Any
    ) -> Table:
        """Make the table and its namespace. Raises TableAlreadyExistsError."""
        ...

    def load_table(self, identifier: str) -> Table:
        """The table as it is now. Raises NoSuchTableError."""
        ...

    def commit_table(
        self, table: Table, requirements: Requirements, updates: Updates, at: Callable[[str], None] = nothing
    ) -> CommitTableResponse:
        """Change the table, all or nothing. Raises CommitFailedException when a requirement does not hold or somebody
        else was faster; after any other exception the outcome is not known."""
        ...

    def list_tables(self) -> list[str]:
        """Names as `namespace.table`, sorted."""
        ...

    def close(self) -> None: ...


class PointerCatalog:
    """A catalog of our own: metadata files, and pointers to them. Safe to use from threads and processes."""

    def __init__(self, pointers: Pointers, files: LakeFiles, warehouse: str) -> None:
        """`warehouse` is the location below which tables are made, `file:///…` or `s3://…`."""
        self.files = files
        self._pointers = pointers
        self._warehouse = warehouse.rstrip("/")
        self._loaded: dict[Key, tuple[str, TableMetadata]] = {}

    def close(self) -> None:
        self._pointers.close()

    table_name_from = staticmethod(AnyCatalog.table_name_from)  # pyiceberg's Table calls these three

    def supports_server_side_planning(self) -> bool:
        return False

    def _delete_old_metadata(self, io: FileIO, base: TableMetadata, metadata: TableMetadata) -> None:
        """`commit_table` has deleted it."""

    def list_tables(self) -> list[str]:
        return self._pointers.names()

    def load_table(self, identifier: str | tuple[str, ...]) -> Table:
        key = _key(identifier)
        location = self._location(key)
        while True:
            held = self._loaded.get(key)
            if held is not None and held[0] == location:
                return self._table(key, *held)
            try:
                self._loaded[key] = (location, FromInputFile.table_metadata(self.files.new_input(location)))
            except FileNotFoundError:
                before, location = location, self._location(key)
                if location == before:  # not displaced while we looked: it is lost
                    raise

    def _location(self, key: Key) -> str:
        location = self._pointers.get(key)
        if location is None:
            raise NoSuchTableError(f"Table does not exist: {'.'.join(key)}")
        return location

    def create_table(
        self,
        identifier: str | tuple[str, ...],
        schema: Schema,
        partition_spec: PartitionSpec,
        sort_order: SortOrder,
        properties: Any,
    ) -> Table:
        namespace, name = key = _key(identifier)
        location = f"{self._warehouse}/{namespace}/{name}"
        metadata = new_table_metadata(
            location=location,
            schema=schema,
            partition_spec=partition_spec,
            sort_order=sort_order,
            properties=properties,
        )
        metadata_location = load_location_provider(location, properties).new_table_metadata_file_location()
        self._write(metadata, metadata_location)
        if not self._pointers.add(key, metadata_location):
            self.files.delete(metadata_location)
            raise TableAlreadyExistsError(f"Table already exists: {namespace}.{name}")
        return self._table(key, metadata_location, metadata)

    def commit_table(
        self, table: Table, requirements: Requirements, updates: Updates, at: Callable[[str], None] = nothing
    ) -> CommitTableResponse:
        key = _key(table.name())
        current = self.load_table(key)
        for requirement in requirements:
            requirement.validate(current.metadata)
        metadata = _updated(current, updates)
        provider = load_location_provider(metadata.location, metadata.properties)
        location = provider.new_table_metadata_file_location(_version(current.metadata_location) + 1)
        self._write(metadata, location)
        at("metadata_written")
        if not self._pointers.move(key, current.metadata_location, location):
            with suppress(OSError):  # an orphan that maintenance would delete
                self.files.delete(location)
            raise CommitFailedException(f"Table has been updated by another process: {'.'.join(key)}")
        at("catalog_updated")
        self._loaded[key] = (location, metadata)
        self._delete_displaced(current.metadata, metadata)
        return CommitTableResponse.model_validate({"metadata": metadata, "metadata-location": location})

    def _delete_displaced(self, before: TableMetadata, after: TableMetadata) -> None:
        kept = {entry.metadata_file for entry in after.metadata_log}
        for entry in before.metadata_log:
            if entry.metadata_file not in kept:
                with suppress(OSError):  # an orphan that maintenance would delete
                    self.files.delete(entry.metadata_file)

    def _table(self, key: tuple[str, str], location: str, metadata: TableMetadata) -> Table:
        return Table(key, metadata, location, cast(FileIO, self.files), cast(AnyCatalog, self))

    def _write(self, metadata: TableMetadata, location: str) -> None:
        with self.files.new_output(location).create() as stream:
            stream.write(metadata.model_dump_json(exclude_none=True, by_alias=True).encode())


def _key(identifier: str | tuple[str, ...]) -> Key:
    parts = tuple(identifier.split(".")) if isinstance(identifier, str) else identifier
    if len(parts) != 2:
        raise NoSuchTableError(f"Table does not exist: {'.'.join(parts)}; names are namespace.table")
    return (parts[0], parts[1])


def _version(location: str) -> int:
    return MetastoreCatalog._parse_metadata_version(location)


def _updated(table: Table, updates: Updates) -> TableMetadata:
    """The metadata with `updates` applied.

    The library copies the whole metadata deeply for each change, which for 300 columns costs more than the rest of a
    commit. Snapshots that are added to or removed from the main branch touch few fields, so those are applied here on a
    shallow copy; everything else goes through the library.
    """
    added = next((update.snapshot for update in updates if isinstance(update, AddSnapshotUpdate)), None)
    plain = all(
        isinstance(update, (AddSnapshotUpdate, RemoveSnapshotsUpdate))
        or (isinstance(update, SetSnapshotRefUpdate) and update.ref_name == MAIN_BRANCH)
        for update in updates
    )
    if added is None or not plain or sum(isinstance(update, AddSnapshotUpdate) for update in updates) != 1:
        return update_table_metadata(table.metadata, updates, metadata_location=table.metadata_location)
    base = table.metadata
    removed = {
        snapshot_id
        for update in updates
        if isinstance(update, RemoveSnapshotsUpdate)
        for snapshot_id in update.snapshot_ids
    }
    kept = [
        snapshot.model_copy(update={"parent_snapshot_id": None}) if snapshot.parent_snapshot_id in removed else snapshot
        for snapshot in base.snapshots
        if snapshot.snapshot_id not in removed
    ]
    log = [entry for entry in base.snapshot_log if entry.snapshot_id not in removed]
    stamp = {"snapshot-id": added.snapshot_id, "timestamp-ms": added.timestamp_ms}
    displaced = {"metadata-file": table.metadata_location, "timestamp-ms": base.last_updated_ms}
    main = {"snapshot-id": added.snapshot_id, "type": SnapshotRefType.BRANCH}
    return base.model_copy(
        update={
            "last_updated_ms": added.timestamp_ms,
            "last_sequence_number": added.sequence_number,
            "snapshots": [*kept, added],
            "snapshot_log": [*log, SnapshotLogEntry.model_validate(stamp)],
            "current_snapshot_id": added.snapshot_id,
            "refs": {**base.refs, MAIN_BRANCH: SnapshotRef.model_validate(main)},
            "metadata_log": [*base.metadata_log[1 - METADATA_KEPT :], MetadataLogEntry.model_validate(displaced)],
        }
    )
