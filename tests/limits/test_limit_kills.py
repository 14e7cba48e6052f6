"""With limits on, each record is loaded or deferred, never both and never neither, wherever the loader is killed; also
when it comes back with other limits."""

from __future__ import annotations

import multiprocessing
import signal
import uuid
from pathlib import Path

import pytest

from catchment.database.database import open_database
from catchment.database.settings import DatabaseSettings
from catchment.ingestion.limits.rows import DEFERRED_TABLE
from catchment.ingestion.limits.settings import LimitSettings
from tests.ledger import scene as counting
from tests.loader import scene

RECORDS = 40
LIMITS = LimitSettings(doctypes=("shop/order=0.001:3",))
OTHERS = (LimitSettings(), LimitSettings(doctypes=("shop/*=0.001:1",)))
KINDS = (
    "batch_handled",
    "flush_started",
    "decisions_durable",
    "outputs_durable",
    "catalog_updated",
    f"table_committed {DEFERRED_TABLE}",
    "table_committed shop.order_v1",
    "group_committed",
)
Places = set[tuple[str, int]]

_children = multiprocessing.get_context("forkserver")
_children.set_forkserver_preload(["tests.loader.scene"])


def run_child(home: Path, die_at: int | None, limits: LimitSettings, journal: Path | None = None) -> int:
    child = _children.Process(target=scene.run_loader, args=(home, die_at, journal), kwargs={"limits": limits})
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


def prepare(home: Path) -> None:
    home.mkdir()
    log, _ = scene.open_parts(home)
    scene.fill(home, log, RECORDS)
    log.close()


class Found:
    """Where the raw records went, by source and offset; a document's id tells its own."""

    def __init__(self, home: Path) -> None:
        log, lake = scene.open_parts(home)
        documents = [name for name in lake.tables() if not name.startswith("monitoring.")]
        ids = [uuid.UUID(str(text)).int for name in documents for text in scene.column(lake, name, "document_id")]
        self.stored = [(f"raw/{number >> 64}", number & (1 << 64) - 1) for number in ids]
        self.errors = self._rows(lake, "monitoring.errors")
        self.deferred = self._rows(lake, DEFERRED_TABLE) if DEFERRED_TABLE in lake.tables() else []
        self.duplicates, self.told = self._records(log, "duplicates"), self._records(log, "deferred")
        log.close()

    def _rows(self, lake: scene.Lake, name: str) -> list[tuple[str, int]]:
        rows = lake.load(name).scan(selected_fields=("source", "source_offset")).to_arrow().to_pylist()
        return [(row["source"], row["source_offset"]) for row in rows]

    def _records(self, log: scene.Log, topic: str) -> list[tuple[str, int]]:
        return [
            (f"raw/{partition}", int(str(offset)))
            for partition in range(scene.PARTITIONS)
            for offset in scene.source_offsets(log, topic, partition)
        ]


EVERY = {(f"raw/{partition}", offset) for partition in range(scene.PARTITIONS) for offset in range(RECORDS // 2)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, list[str]]:
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    prepare(home)
    assert run_child(home, None, LIMITS, home / "journal") == 0
    return Found(home), (home / "journal").read_text().splitlines()


def test_three_orders_of_a_partition_are_within_the_limit(undisturbed: tuple[Found, list[str]]) -> None:
    found, _ = undisturbed
    gone = sorted([*found.stored, *found.errors, *found.duplicates, *found.deferred])
    assert gone == sorted(EVERY)
    assert found.told == sorted(found.deferred)
    orders = {(source, offset) for source, offset in EVERY if offset % 5 != 4 and offset % 13 != 8}
    loaded_orders = orders & {*found.stored, *found.errors, *found.duplicates}
    assert len(loaded_orders) >= 3 * scene.PARTITIONS
    assert len(found.deferred) > 15


def die_points(points: list[str]) -> list[int]:
    """Of each kind the first, counted from 1, and of what happens often one in the middle."""
    places = {kind: [number for number, point in enumerate(points, 1) if point == kind] for kind in KINDS}
    return sorted({number for found in places.values() for number in (found[0], found[len(found) // 2])})


@pytest.mark.parametrize("shard", range(4))
def test_a_kill_at_any_point_changes_no_decision(
    tmp_path: Path, undisturbed: tuple[Found, list[str]], shard: int
) -> None:
    expected, points = undisturbed
    for die_at in die_points(points)[shard::4]:
        home = tmp_path / f"home-{die_at}"
        prepare(home)
        assert run_child(home, die_at, LIMITS) == -signal.SIGKILL, points[die_at - 1]
        assert run_child(home, None, LIMITS) == 0
        found = Found(home)
        for part in ("stored", "errors", "duplicates", "deferred", "told"):
            assert sorted(getattr(found, part)) == sorted(getattr(expected, part)), (part, points[die_at - 1])


@pytest.mark.parametrize("others", OTHERS, ids=["off", "tighter"])
def test_other_limits_after_a_kill_put_no_record_in_two_tables_or_in_none(
    tmp_path: Path, undisturbed: tuple[Found, list[str]], others: LimitSettings
) -> None:
    points = undisturbed[1]
    for kind in ("decisions_durable", "catalog_updated", "table_committed shop.order_v1", "group_committed"):
        die_at = points.index(kind) + 1
        home = tmp_path / f"home-{die_at}"
        prepare(home)
        assert run_child(home, die_at, LIMITS) == -signal.SIGKILL, kind
        assert run_child(home, None, others) == 0
        found = Found(home)
        in_tables = [*found.stored, *found.errors, *found.deferred]
        assert len(in_tables) == len(set(in_tables)), kind
        assert {*in_tables, *found.duplicates} == EVERY, kind


def test_what_was_deferred_is_in_the_ledger_and_balances(tmp_path: Path) -> None:
    home = tmp_path / "home"
    prepare(home)
    scene.run_loader(home, None, limits=LIMITS)
    database = open_database(DatabaseSettings(), home)
    clock = counting.clock_after()
    counting.count_all(home, database, clock)
    lines = counting.read(home, database, clock)
    totals = counting.totals(lines)
    assert totals["deferred"] == len(Found(home).deferred) > 15
    assert totals["balance"] == 0
    assert {line.doctype for line in lines if line.counts["deferred"]} == {"order"}
    database.close()
