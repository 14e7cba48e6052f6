"""Upkeep loses no row, keeps the offsets, and spares what readers still need."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from numbered import SCHEMA, START, make_rows, numbers
from pyiceberg.expressions import AlwaysTrue

from catchment.clock import ManualClock
from catchment.lake.commit import Span
from catchment.lake.maintenance import compact, maintain
from catchment.lake.plan import plan
from catchment.lake.reading import read_all
from catchment.lake.settings import LakeSettings
from catchment.lake.tables import Lake

TABLE = "telemetry.main_v4"
SETTINGS = LakeSettings(compact_min_files=4)


def fill(lake: Lake, commits: int, day: int = 0, first: int = 0) -> None:
    lake.ensure(TABLE, SCHEMA)
    for number in range(first, first + commits):
        recorded = lake.offsets(TABLE).get("raw/0")
        lake.commit(TABLE, make_rows(number * 10, 10, day), {"raw/0": Span(recorded, (recorded or 0) + 10)})


def data_files(home: Path) -> list[Path]:
    return sorted(home.rglob("*.parquet"))


def test_a_compaction_keeps_rows_and_offsets_and_sorts(tmp_path: Path, lake: Lake, clock: ManualClock) -> None:
    fill(lake, 6, day=0)
    fill(lake, 6, day=1, first=6)
    assert compact(lake, TABLE, clock, SETTINGS) == (12, 2)
    assert numbers(lake, TABLE) == list(range(120))
    assert lake.offsets(TABLE) == {"raw/0": 120}
    described = lake.describe(TABLE)
    assert (described.rows, described.files) == (120, 2)
    samples = [pq.read_table(path).column("sample_id").to_pylist() for path in data_files(tmp_path)]
    compacted = [found for found in samples if len(found) == 60]
    assert len(compacted) == 2
    assert all(found == sorted(found) for found in compacted)


def test_replaced_files_stay_for_readers_and_then_go(tmp_path: Path, lake: Lake, clock: ManualClock) -> None:
    fill(lake, 6)
    replaced = data_files(tmp_path)
    maintain(lake, TABLE, clock, SETTINGS)
    assert set(replaced) < set(data_files(tmp_path))
    clock.advance(SETTINGS.replaced_age_s - 1)
    maintain(lake, TABLE, clock, SETTINGS)
    assert set(replaced) < set(data_files(tmp_path))
    clock.advance(2)
    maintain(lake, TABLE, clock, SETTINGS)
    assert not set(replaced) & set(data_files(tmp_path))
    assert numbers(lake, TABLE) == list(range(60))
    assert list(lake.load(TABLE).refs()) == ["main"]


def test_expiry_deletes_what_only_old_versions_named(tmp_path: Path, lake: Lake, clock: ManualClock) -> None:
    for number in range(40):
        clock.advance(5)
        fill(lake, 1, first=number)
    clock.advance(SETTINGS.snapshot_age_s + 1)
    report = maintain(lake, TABLE, clock, LakeSettings(compact_min_files=1000))
    assert report.expired == 39
    table = lake.load(TABLE)
    assert len(table.snapshots()) >= 1
    lists = list(tmp_path.rglob("snap-*.avro"))
    manifests = [path for path in tmp_path.rglob("*.avro") if path not in lists]
    named = {path for snapshot in table.snapshots() for path in snapshot.manifests(table.io)}
    assert len(lists) == len(table.snapshots())
    assert len(manifests) == len(named)
    assert numbers(lake, TABLE) == list(range(400))
    assert lake.offsets(TABLE) == {"raw/0": 400}


def test_offsets_survive_expiry_behind_a_version_that_has_none(lake: Lake, clock: ManualClock) -> None:
    fill(lake, 2)
    lake.load(TABLE).delete("submission_timestamp >= '2020-01-01T00:00:00+00:00'")  # by one that knows no offsets
    clock.advance(SETTINGS.snapshot_age_s + 10**7)
    maintain(lake, TABLE, clock, LakeSettings())
    assert lake.offsets(TABLE) == {"raw/0": 20}
    lake.commit(TABLE, make_rows(20, 10), {"raw/0": Span(20, 30)})
    assert numbers(lake, TABLE) == list(range(20, 30))


def test_orphans_go_after_their_time(tmp_path: Path, lake: Lake, clock: ManualClock) -> None:
    fill(lake, 2)
    orphan = data_files(tmp_path)[0].with_name("orphan.parquet")
    pq.write_table(make_rows(0, 1), orphan)
    now_s = clock.time_ns() / 1e9
    for path in tmp_path.rglob("*"):
        os.utime(path, (now_s, now_s))
    clock.advance(SETTINGS.orphan_age_s - 10)
    assert maintain(lake, TABLE, clock, LakeSettings()).orphans == 0
    assert orphan.exists()
    clock.advance(20)
    assert maintain(lake, TABLE, clock, LakeSettings()).orphans == 1
    assert not orphan.exists()
    assert numbers(lake, TABLE) == list(range(20))


def test_a_compaction_and_an_append_at_once_both_count(
    lake: Lake, reopen: Callable[[], Lake], clock: ManualClock
) -> None:
    fill(lake, 4)
    other = reopen()

    def compacting(point: str) -> None:
        if point == "manifests_written" and lake.describe(TABLE).files == 4:
            assert compact(other, TABLE, clock, SETTINGS) == (4, 1)

    lake.commit(TABLE, make_rows(40, 10), {"raw/0": Span(40, 50)}, at=compacting)
    assert numbers(lake, TABLE) == list(range(50))
    assert lake.offsets(TABLE) == {"raw/0": 50}
    assert lake.describe(TABLE).files == 2


def test_two_compactions_at_once_keep_each_row_once(
    tmp_path: Path, lake: Lake, reopen: Callable[[], Lake], clock: ManualClock
) -> None:
    fill(lake, 4)
    other = reopen()
    commit, done = lake.committer.commit, []

    class Slow:
        """The first compaction, which stops before its commit until the second is done."""

        def __getattr__(self, name: str) -> object:
            return getattr(type(lake.committer), name).__get__(lake.committer)

        def commit(self, *arguments: object) -> object:
            done.append(compact(other, TABLE, clock, SETTINGS))
            return commit(*arguments)  # type: ignore[arg-type]

    slow = reopen()
    slow.committer = Slow()  # type: ignore[assignment]
    assert compact(slow, TABLE, clock, SETTINGS) == (0, 0)
    assert done == [(4, 1)]
    assert numbers(lake, TABLE) == list(range(40))
    assert len(data_files(tmp_path)) == 5


def test_compacted_files_of_different_ages_have_the_present_schema(lake: Lake, clock: ManualClock) -> None:
    nested = pa.struct([("a", pa.int64())])
    grown = pa.struct([("b", pa.string()), ("a", pa.int64())])
    old = pa.table(
        {"submission_timestamp": pa.array([START], pa.timestamp("us", "UTC")), "s": pa.array([{"a": 1}], nested)}
    )
    new = pa.table(
        {
            "submission_timestamp": pa.array([START], pa.timestamp("us", "UTC")),
            "s": pa.array([{"b": "x", "a": 2}], grown),
            "more": pa.array([["y"]], pa.list_(pa.string())),
        }
    )
    for number, rows in enumerate([old, old, new, new]):
        lake.ensure(TABLE, rows.schema)
        lake.commit(TABLE, rows, {"raw/0": Span(number or None, number + 1)})
    assert compact(lake, TABLE, clock, SETTINGS) == (4, 1)
    found = lake.load(TABLE).scan().to_arrow().to_pylist()
    key = [(row["s"], row["more"]) for row in found]
    assert sorted(key, key=str) == sorted(
        [({"a": 1, "b": None}, None)] * 2 + [({"a": 2, "b": "x"}, ["y"])] * 2, key=str
    )


def test_a_compaction_tells_null_from_empty(lake: Lake, clock: ManualClock) -> None:
    item = pa.struct([("a", pa.int64())])
    kinds = {"l": pa.list_(item), "m": pa.map_(pa.string(), item), "s": item, "t": pa.struct([("l", pa.list_(item))])}
    values = [
        {"l": None, "m": None, "s": None, "t": None},
        {"l": [], "m": [], "s": {"a": None}, "t": {"l": None}},
        {"l": [None, {"a": 1}], "m": [("k", {"a": 2}), ("l", None)], "s": {"a": 3}, "t": {"l": [{"a": 4}]}},
    ]
    columns = {name: pa.array([value[name] for value in values], kind) for name, kind in kinds.items()}
    stamps = {"submission_timestamp": pa.array([START] * 3, pa.timestamp("us", "UTC"))}
    for number in range(4):
        rows = pa.table({**stamps, **columns}).slice(number % 2)
        lake.ensure(TABLE, rows.schema)
        lake.commit(TABLE, rows, {"raw/0": Span(number or None, number + 1)})
    assert compact(lake, TABLE, clock, SETTINGS) == (4, 1)
    [file] = plan(lake.load(TABLE), AlwaysTrue())
    found = [{name: row[name] for name in kinds} for row in read_all(lake.load(TABLE), file).to_pylist()]
    assert sorted(found, key=str) == sorted((values + values[1:]) * 2, key=str)
