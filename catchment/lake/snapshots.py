"""Snapshots: how one version of a table becomes the next.

A version is a manifest list that names manifests, which name data files. An append writes one manifest with the new
files and a list of it and all earlier ones. So that lists stay short, manifests are merged in tiers, as in a
log-structured tree: as soon as `FAN_IN` of them hold about equally many files they become one, so an entry is
rewritten a logarithmic number of times, where the library's merge rewrites all of them each time.

The summary of each snapshot holds the row and file totals, and under `OFFSETS` the source offsets of the whole table.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pyiceberg.manifest import (
    DataFile,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Operation, Snapshot, Summary, ancestors_of
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertRefSnapshotId,
    AssertTableUUID,
    RemoveSnapshotsUpdate,
    SetSnapshotRefUpdate,
)

from catchment.errors import Conflict
from catchment.lake.catalog import Requirements, Updates

OFFSETS = "catchment.offsets"
REPLACED = "replaced-"
"""Tags of versions whose files a compaction has replaced begin with this, the time in ms follows."""
FAN_IN = 16
SNAPSHOTS_KEPT = 200
"""A commit forgets the oldest versions beyond these, so that commits stay quick where nobody maintains the table."""
_CODEC: Literal["deflate"] = "deflate"
_TOTALS = ("total-data-files", "total-records", "total-files-size")


def offsets_of(table: Table) -> dict[str, int]:
    """The source offsets that the newest version with any has recorded; {} when none has."""
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        text = snapshot.summary.additional_properties.get(OFFSETS) if snapshot.summary else None
        if text is not None:
            return {str(source): int(end) for source, end in json.loads(text).items()}
    return {}


@dataclass(frozen=True, slots=True)
class Change:
    """What a new version does: `added` and `removed` files, and the offsets that it records."""

    operation: Operation
    added: Sequence[DataFile]
    removed: frozenset[str]
    offsets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Draft:
    """A version written to files but not yet named by the catalog."""

    snapshot: Snapshot
    written: tuple[str, ...]
    requirements: Requirements
    updates: Updates


def draft(table: Table, change: Change, now_ms: int) -> Draft:
    """Write the manifests of the next version. Raises Conflict when a file to remove is not in the table any more.

    A version that removes files keeps its parent under a tag, `replaced-<ms>`, for queries that still read them.
    """
    return _Drafting(table, change, now_ms).draft()


class _Drafting:
    def __init__(self, table: Table, change: Change, now_ms: int) -> None:
        self._table = table
        self._change = change
        self._now_ms = now_ms
        self._parent = table.current_snapshot()
        self._id = table.metadata.new_snapshot_id()
        self._name = uuid.uuid4()
        self._written: list[str] = []
        self._removed: list[DataFile] = []

    def draft(self) -> Draft:
        manifests = self._merged(self._kept())
        if self._change.added:
            entries = [self._entry(ManifestEntryStatus.ADDED, file) for file in self._change.added]
            manifests.insert(0, self._manifest(entries, self._table.spec().spec_id))
        location = self._location(f"snap-{self._id}-0-{self._name}.avro")
        number = self._table.metadata.next_sequence_number()
        parent_id = self._parent.snapshot_id if self._parent else None
        with write_manifest_list(2, self._table.io.new_output(location), self._id, parent_id, number, _CODEC) as writer:
            writer.add_manifests(manifests)
        snapshot = Snapshot.model_validate(
            {
                "snapshot-id": self._id,
                "parent-snapshot-id": parent_id,
                "sequence-number": number,
                "timestamp-ms": max(self._now_ms, self._table.metadata.last_updated_ms),
                "manifest-list": location,
                "summary": self._summary(),
                "schema-id": self._table.metadata.current_schema_id,
            }
        )
        return Draft(snapshot, tuple(self._written), self._requirements(), self._updates(snapshot))

    def _kept(self) -> list[ManifestFile]:
        """Manifests of the parent that go on, those that named a removed file rewritten without it."""
        if self._parent is None:
            return []
        pending = set(self._change.removed)
        kept = []
        for manifest in self._parent.manifests(self._table.io):
            if not (manifest.has_added_files() or manifest.has_existing_files()):
                continue  # only tells what an earlier version removed
            gone = []
            if pending:
                entries = manifest.fetch_manifest_entry(self._table.io)
                gone = [entry for entry in entries if entry.data_file.file_path in pending]
            if not gone:
                kept.append(manifest)
                continue
            pending -= {entry.data_file.file_path for entry in gone}
            self._removed += [entry.data_file for entry in gone]
            gone_paths = {entry.data_file.file_path for entry in gone}
            rewritten = [
                self._entry(
                    ManifestEntryStatus.DELETED
                    if entry.data_file.file_path in gone_paths
                    else ManifestEntryStatus.EXISTING,
                    entry.data_file,
                    entry,
                )
                for entry in entries
            ]
            kept.append(self._manifest(rewritten, manifest.partition_spec_id))
        if pending:
            name = ".".join(self._table.name())
            raise Conflict(f"table {name}: {len(pending)} files to remove are gone already; look again")
        return kept

    def _merged(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        tiers: dict[tuple[int, int], list[ManifestFile]] = defaultdict(list)
        result = []
        for manifest in manifests:
            files = (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)
            if manifest.content != ManifestContent.DATA or manifest.added_snapshot_id == self._id:
                result.append(manifest)  # delete files, or a manifest that tells what this version removes
            else:
                tiers[manifest.partition_spec_id, _tier(files)].append(manifest)
        for (spec_id, _), group in sorted(tiers.items()):
            if len(group) < FAN_IN:
                result += group
            else:
                result.append(self._manifest(self._entries_of(group), spec_id))
        return result

    def _entries_of(self, manifests: Iterable[ManifestFile]) -> list[ManifestEntry]:
        return [
            self._entry(ManifestEntryStatus.EXISTING, entry.data_file, entry)
            for manifest in manifests
            for entry in manifest.fetch_manifest_entry(self._table.io)
        ]

    def _entry(
        self, status: ManifestEntryStatus, file: DataFile, earlier: ManifestEntry | None = None
    ) -> ManifestEntry:
        keeps_snapshot = earlier is not None and status == ManifestEntryStatus.EXISTING
        return ManifestEntry.from_args(
            status=status,
            snapshot_id=earlier.snapshot_id if earlier is not None and keeps_snapshot else self._id,
            sequence_number=earlier.sequence_number if earlier else None,
            file_sequence_number=earlier.file_sequence_number if earlier else None,
            data_file=file,
        )

    def _manifest(self, entries: Iterable[ManifestEntry], spec_id: int) -> ManifestFile:
        location = self._location(f"{self._name}-m{len(self._written)}.avro")
        spec = self._table.specs()[spec_id]
        output = self._table.io.new_output(location)
        with write_manifest(2, spec, self._table.schema(), output, self._id, _CODEC) as writer:
            for entry in entries:
                writer.add_entry(entry)
        return writer.to_manifest_file()

    def _location(self, name: str) -> str:
        location = f"{self._table.location()}/metadata/{name}"
        self._written.append(location)
        return location

    def _summary(self) -> Summary:
        before = self._parent.summary.additional_properties if self._parent and self._parent.summary else {}
        gained = _sizes(self._change.added)
        lost = _sizes(self._removed)
        totals = {
            name: str(int(before.get(name, 0)) + plus - minus)
            for name, plus, minus in zip(_TOTALS, gained, lost, strict=True)
        }
        changes = {
            "added-data-files": gained[0],
            "added-records": gained[1],
            "added-files-size": gained[2],
            "deleted-data-files": lost[0],
            "deleted-records": lost[1],
            "removed-files-size": lost[2],
        }
        offsets = json.dumps(dict(sorted(self._change.offsets.items())), separators=(",", ":"))
        return Summary(
            self._change.operation,
            **{name: str(count) for name, count in changes.items() if count},
            **totals,
            **{"total-delete-files": "0", "total-position-deletes": "0", "total-equality-deletes": "0"},
            **{OFFSETS: offsets},
        )

    def _requirements(self) -> Requirements:
        head = {"ref": MAIN_BRANCH, "snapshot-id": self._parent.snapshot_id if self._parent else None}
        return (
            AssertTableUUID(uuid=self._table.metadata.table_uuid),
            AssertRefSnapshotId.model_validate(head),
        )

    def _updates(self, snapshot: Snapshot) -> Updates:
        head = {"ref-name": MAIN_BRANCH, "type": SnapshotRefType.BRANCH, "snapshot-id": snapshot.snapshot_id}
        updates: Updates = (AddSnapshotUpdate(snapshot=snapshot), SetSnapshotRefUpdate.model_validate(head))
        if self._removed and self._parent is not None:
            tag = {
                "ref-name": f"{REPLACED}{snapshot.timestamp_ms}",
                "type": SnapshotRefType.TAG,
                "snapshot-id": self._parent.snapshot_id,
            }
            updates = (*updates, SetSnapshotRefUpdate.model_validate(tag))
        beyond = len(self._table.metadata.snapshots) + 1 - SNAPSHOTS_KEPT
        if beyond <= 0:
            return updates
        named = {ref.snapshot_id for ref in self._table.metadata.refs.values()}
        oldest = [old.snapshot_id for old in self._table.metadata.snapshots if old.snapshot_id not in named][:beyond]
        return (*updates, RemoveSnapshotsUpdate.model_validate({"snapshot-ids": oldest})) if oldest else updates


def _tier(files: int) -> int:
    tier = 0
    while files >= FAN_IN:
        files //= FAN_IN
        tier += 1
    return tier


def _sizes(files: Iterable[DataFile]) -> tuple[int, int, int]:
    listed = list(files)
    return (
        len(listed),
        sum(file.record_count for file in listed),
        sum(file.file_size_in_bytes for file in listed),
    )
