"""Upkeep of a table: old versions are forgotten, small files become large ones, leftovers of crashes go.

    expire   versions older than `snapshot_age_s` (never the newest that has offsets), and what only they named
    compact  small files of one day and about one size → one file, in one commit that carries the offsets on
    orphans  files that no version names, `orphan_age_s` after their last change

A compaction keeps the version before it under a tag for `replaced_age_s`, so a query that was planned on the replaced
files finishes; then the tag, and those files, go. Files are taken together only when they are of about one size (a
factor of `_STEP`), so that a row is rewritten a logarithmic number of times; those of a day that is over are all taken.
Any of this may run beside writers and beside itself: what conflicts is left for the next time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot, ancestors_of
from pyiceberg.table.update import AssertTableUUID, RemoveSnapshotRefUpdate, RemoveSnapshotsUpdate

from catchment.clock import Clock
from catchment.errors import Conflict, Corrupt
from catchment.lake.catalog import Updates
from catchment.lake.commit import ATTEMPTS
from catchment.lake.datafiles import ParquetFile, in_order, new_location, split_of
from catchment.lake.files import delete_files
from catchment.lake.plan import plan
from catchment.lake.reading import read_all
from catchment.lake.settings import LakeSettings
from catchment.lake.snapshots import OFFSETS, REPLACED, Change, offsets_of
from catchment.lake.tables import Lake

_STEP = 8
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Report:
    """What one round did. `left` are files that should have been deleted and could not."""

    expired: int
    compacted: int
    made: int
    orphans: int
    left: int


def maintain(lake: Lake, table: str, clock: Clock, settings: LakeSettings | None = None) -> Report:
    """One round of upkeep. Raises Missing, and Unavailable when the lake cannot be read or written."""
    settings = settings or LakeSettings()
    expired, left = expire(lake, table, clock, settings)
    compacted, made = compact(lake, table, clock, settings)
    orphans, more = delete_orphans(lake, table, clock, settings)
    return Report(expired, compacted, made, orphans, len(left) + len(more))


def expire(lake: Lake, name: str, clock: Clock, settings: LakeSettings) -> tuple[int, list[str]]:
    """Forget old versions and delete what only they named. Returns how many, and the files that could not go."""
    now_ms = clock.time_ns() // 1_000_000
    for _ in range(ATTEMPTS):
        table = lake.load(name)
        over = [
            ref
            for ref in table.metadata.refs
            if ref.startswith(REPLACED) and _stamp(ref) + settings.replaced_age_s * 1000 <= now_ms
        ]
        kept = _kept(table, set(over), now_ms - round(settings.snapshot_age_s * 1000))
        gone = [snapshot for snapshot in table.snapshots() if snapshot.snapshot_id not in kept]
        if not gone and not over:
            return 0, []
        files = _only_named_by(table, gone, with_rows=bool(over))
        updates: Updates = tuple(RemoveSnapshotRefUpdate.model_validate({"ref-name": ref}) for ref in over)
        ids = [snapshot.snapshot_id for snapshot in gone]
        if ids:
            updates = (*updates, RemoveSnapshotsUpdate.model_validate({"snapshot-ids": ids}))
        try:
            lake.catalog.commit_table(table, (AssertTableUUID(uuid=table.metadata.table_uuid),), updates)
        except CommitFailedException:
            continue  # somebody committed meanwhile
        return len(gone), delete_files(table.io, files)
    raise Conflict(f"table {name}: others committed first {ATTEMPTS} times; its old versions stay until the next round")


def _stamp(ref: str) -> int:
    text = ref.removeprefix(REPLACED)
    return int(text) if text.isdigit() else 2**62


def _kept(table: Table, over: set[str], since_ms: int) -> set[int]:
    """Ids of versions that stay: young ones, named ones, and the newest that has offsets."""
    kept = {snapshot.snapshot_id for snapshot in table.snapshots() if snapshot.timestamp_ms >= since_ms}
    kept |= {ref.snapshot_id for name, ref in table.metadata.refs.items() if name not in over}
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        if snapshot.summary is not None and OFFSETS in snapshot.summary.additional_properties:
            kept.add(snapshot.snapshot_id)
            break
    return kept


def _only_named_by(table: Table, gone: list[Snapshot], with_rows: bool) -> list[str]:
    """Files that no other version names. Data files are looked for only `with_rows`, since only a compaction, which
    leaves a tag, takes them out of a table."""
    ids = {snapshot.snapshot_id for snapshot in gone}
    stays = {m for s in table.snapshots() if s.snapshot_id not in ids for m in s.manifests(table.io)}
    goes = {m for s in gone for m in s.manifests(table.io)} - stays
    found = [snapshot.manifest_list for snapshot in gone] + [manifest.manifest_path for manifest in goes]
    if with_rows:
        held = {entry.data_file.file_path for m in stays for entry in m.fetch_manifest_entry(table.io)}
        rows = {entry.data_file.file_path for m in goes for entry in m.fetch_manifest_entry(table.io)}
        found += sorted(rows - held)
    return found


def compact(lake: Lake, name: str, clock: Clock, settings: LakeSettings) -> tuple[int, int]:
    """Make small files into larger ones. Returns how many files were replaced, and by how many."""
    today = clock.time_ns() // 1_000_000_000 // _DAY_S
    replaced = made = 0
    for chosen in _groups(lake.load(name), today, settings):
        table = lake.load(name)
        files = [_rewritten(table, group) for group in _that_fit(table, chosen, settings.compact_max_bytes)]
        if not files:
            continue
        gone = frozenset(path for _, paths in files for path in paths)
        added = [file for file, _ in files]

        def prepare(latest: Table, added: list[DataFile] = added, gone: frozenset[str] = gone) -> Change:
            return Change(Operation.REPLACE, added, gone, offsets_of(latest))

        try:
            lake.committer.commit(name, prepare)
        except Conflict:
            delete_files(table.io, [file.file_path for file in added])
            continue  # another process was compacting the same files
        replaced += len(gone)
        made += len(added)
    return replaced, made


def _groups(table: Table, today: int, settings: LakeSettings) -> list[list[DataFile]]:
    """Files to be taken together: of one day, small, and (unless the day is over) of about one size."""
    tiers: dict[tuple[int, int | None, int], list[DataFile]] = defaultdict(list)
    days: dict[tuple[int, int | None], list[DataFile]] = defaultdict(list)
    for file in plan(table, AlwaysTrue()):
        if file.file_size_in_bytes * 2 < settings.target_file_bytes:
            day = _day(file)
            days[file.spec_id, day].append(file)
            tiers[file.spec_id, day, _tier(file.file_size_in_bytes)].append(file)
    over = {key for key in days if key[1] is not None and key[1] < today - 1}
    groups = [files for key, files in days.items() if key in over]
    groups += [files for key, files in tiers.items() if key[:2] not in over]
    return [files for files in groups if len(files) >= settings.compact_min_files]


def _day(file: DataFile) -> int | None:
    return int(file.partition[0]) if len(file.partition) and file.partition[0] is not None else None


def _tier(size: int) -> int:
    tier = 0
    while size >= 64 * 1024:
        size //= _STEP
        tier += 1
    return tier


def _that_fit(table: Table, files: Iterable[DataFile], limit_bytes: int) -> Iterator[list[DataFile]]:
    """Cut `files` so that each part takes at most `limit_bytes` of memory, roughly; parts of one file are left out."""
    part: list[DataFile] = []
    size = 0
    for file in files:
        with table.io.new_input(file.file_path).open() as stream:
            metadata = pq.read_metadata(stream)
        needs = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
        if part and size + needs > limit_bytes:
            if len(part) > 1:
                yield part
            part, size = [], 0
        part.append(file)
        size += needs
    if len(part) > 1:
        yield part


def _rewritten(table: Table, files: list[DataFile]) -> tuple[DataFile, list[str]]:
    """One new file with the rows of `files`, in the table's present schema; and the paths that it replaces."""
    rows = in_order(pa.concat_tables(read_all(table, file) for file in files))
    held = sum(file.record_count for file in files)
    if rows.num_rows != held:
        raise Corrupt(
            f"table {'.'.join(table.name())}: {len(files)} files give {rows.num_rows} rows, their manifests {held}; "
            "nothing was changed, compare the files with a backup"
        )
    day = files[0].partition
    splits = {split_of(file.file_path) for file in files}
    location = new_location(table, day, rows.schema, splits.pop() if len(splits) == 1 else "")
    with ParquetFile(table, location, day, rows.schema) as file:
        file.write(rows)
    return file.result(), [old.file_path for old in files]


def delete_orphans(lake: Lake, name: str, clock: Clock, settings: LakeSettings) -> tuple[int, list[str]]:
    """Delete old files that no version names. Returns how many, and those that could not go."""
    before_s = clock.time_ns() / 1e9 - settings.orphan_age_s
    listed = lake.catalog.files.listed(lake.load(name).location())
    old = {location for location, changed_s in listed if changed_s < before_s}
    if not old:
        return 0, []
    orphans = sorted(old - _named(lake.load(name)))
    left = delete_files(lake.load(name).io, orphans)
    return len(orphans) - len(left), left


def _named(table: Table) -> set[str]:
    """Every file that a version of the table names, and the versions' own."""
    named = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    manifests = set()
    for snapshot in table.snapshots():
        named.add(snapshot.manifest_list)
        manifests.update(snapshot.manifests(table.io))
    for manifest in manifests:
        named.add(manifest.manifest_path)
        named.update(entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io))
    return named
