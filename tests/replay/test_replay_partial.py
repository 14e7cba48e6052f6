"""A replay of some deliveries of a document among others: each is in its table once, and every one is accounted for."""

from __future__ import annotations

import multiprocessing
import signal
import uuid
import zlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from catchment.clock import SystemClock
from catchment.database.database import open_database
from catchment.database.settings import DatabaseSettings
from catchment.events import Events
from catchment.ingestion.deduplication import DIRECTORY, DeduplicationSettings, Deduplicator, Sighting, doctype_hash
from catchment.ingestion.loader.loop import GROUP
from catchment.log.port import TopicPartition
from tests.ledger import scene as ledger
from tests.loader import scene
from tests.replay import stage

RAW = TopicPartition("raw", 0)
ORDERS, ERRORS = "shop.order_v1", "monitoring.errors"
ERRORS_ONLY = replace(stage.ALL, errors_only=True)
HOUR_NS = 3_600 * 10**9
ID = str(uuid.UUID(int=77))
REFUSED, GOOD = {"item": "first", "count": "many"}, {"item": "second", "count": 2}
"""The mended schema takes both."""

_children = multiprocessing.get_context("forkserver")
_children.set_forkserver_preload(["tests.replay.stage"])


class Where(NamedTuple):
    """Where the deliveries are: items of the rows, codes of the errors, and how many duplicates."""

    rows: list[str]
    codes: list[str]
    duplicates: int


class Shop:
    """A home with one partition, to which orders are sent at hours of its first day. It has one of another id."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        scene.write_schemas(home)
        self.home = home
        self._sent = 0
        log, _ = scene.open_parts(home)
        log.create("raw", 1)
        log.close()
        self.send({"item": "another"}, 0.5, str(uuid.UUID(int=78)))
        self.load()

    def send(self, body: dict[str, Any], hour: float, document_id: str = ID) -> None:
        self._sent += 1
        received_ns = stage.FIRST_NS + round(hour * HOUR_NS)
        log, _ = scene.open_parts(self.home)
        stage.append(log, 0, [stage.record(self._sent, received_ns, "order", document_id, orjson.dumps(body))])
        log.close()

    def load(self) -> None:
        """A loader of its own, which ends when it has loaded all."""
        scene.run_loader(self.home, None, flush_s=0.05)

    def where(self) -> Where:
        log, lake = scene.open_parts(self.home)
        items = list(map(str, scene.column(lake, ORDERS, "item")))
        codes = list(map(str, scene.column(lake, ERRORS, "code")))
        duplicates = len(scene.source_offsets(log, "duplicates", 0))
        assert len(items) + len(codes) + duplicates == log.committed(GROUP, RAW), "as the ledger counts"
        items.remove("another")
        log.close()
        lake.close()
        return Where(items, codes, duplicates)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "home")


def test_an_earlier_delivery_comes_in_and_the_later_one_is_told_of_as_a_repeat(shop: Shop) -> None:
    shop.send(REFUSED, 1)
    shop.send(GOOD, 2)
    shop.load()
    assert shop.where() == (["second"], ["schema_violation"], 0)
    stage.mend(shop.home)
    report = stage.replay(shop.home, ERRORS_ONLY).total()
    assert (report.tables[ORDERS].added, report.tables[ORDERS].replaced) == (0, 1)
    assert shop.where() == (["first"], ["repeat"], 0)
    rows = stage.rows(shop.home)
    stage.replay(shop.home, ERRORS_ONLY)
    assert stage.rows(shop.home) == rows


def test_what_was_displaced_is_told_of_whole_once_it_is_replayed_itself(shop: Shop) -> None:
    shop.send(REFUSED, 1)
    shop.send(GOOD, 2)
    shop.load()
    stage.mend(shop.home)
    stage.replay(shop.home, ERRORS_ONLY)
    assert "'source_offset': None" in repr(stage.rows(shop.home)[ERRORS])
    stage.replay(shop.home)
    assert shop.where() == (["first"], ["repeat"], 0)
    (row,) = stage.rows(shop.home)[ERRORS]
    assert "'source_offset': 2" in row
    assert "second" in row
    stage.replay(shop.home)
    assert stage.rows(shop.home)[ERRORS] == [row]


@pytest.mark.parametrize("hours", [(20, 30), (20, 44.9)])
def test_a_later_delivery_of_the_next_day_that_is_not_selected_is_displaced_too(
    shop: Shop, hours: tuple[float, float]
) -> None:
    shop.send(REFUSED, hours[0])
    shop.send(GOOD, hours[1])
    shop.load()
    stage.mend(shop.home)
    stage.replay(shop.home, replace(stage.ALL, until_ns=stage.FIRST_NS + stage.DAY_NS))
    assert shop.where() == (["first"], ["repeat"], 0)
    stage.replay(shop.home)
    assert shop.where() == (["first"], ["repeat"], 0)


def test_a_later_delivery_behind_the_window_stays(shop: Shop) -> None:
    shop.send(REFUSED, 20)
    shop.send(GOOD, 45.1)
    shop.load()
    stage.mend(shop.home)
    stage.replay(shop.home, ERRORS_ONLY)
    assert shop.where() == (["first", "second"], [], 0)


def test_a_replayed_delivery_gives_way_to_an_earlier_row_and_is_told_of(shop: Shop) -> None:
    shop.send(GOOD, 1)
    shop.send(REFUSED, 2)
    shop.load()
    stage.mend(shop.home)
    stage.replay(shop.home, ERRORS_ONLY)
    assert shop.where() == (["second"], ["repeat"], 0)
    stage.replay(shop.home, ERRORS_ONLY)
    assert shop.where() == (["second"], ["repeat"], 0)


def test_a_condition_that_selects_one_of_two_accounts_for_both(shop: Shop) -> None:
    shop.send(REFUSED, 1)
    shop.send(GOOD, 2)
    shop.load()
    stage.mend(shop.home)
    stage.replay(shop.home, replace(stage.ALL, where="source_offset = 1"))
    assert shop.where() == (["first"], ["repeat"], 0)


def test_a_document_that_came_in_and_is_sent_again_is_a_duplicate(shop: Shop) -> None:
    shop.send(REFUSED, 1)
    shop.load()
    stage.mend(shop.home)
    stage.replay(shop.home, ERRORS_ONLY)
    assert shop.where() == (["first"], [], 0)
    for number in (1, 2):
        shop.send(GOOD, 1 + number)
        shop.load()  # another process would, too: nothing of it is kept in memory
        assert shop.where() == (["first"], [], number)


def test_a_document_that_came_in_long_ago_is_sent_anew(shop: Shop) -> None:
    shop.send(REFUSED, 1)
    shop.load()
    stage.mend(shop.home)
    stage.replay(shop.home, ERRORS_ONLY)
    shop.send(GOOD, 27)
    shop.load()
    assert shop.where() == (["first", "second"], [], 0)


@pytest.mark.parametrize(
    "point", ["rows_written", "files_rewritten", "catalog_updated", f"table_replaced {ORDERS}", "day_finished"]
)
def test_a_kill_around_the_commit_brings_nothing_in_twice(shop: Shop, point: str) -> None:
    shop.send(REFUSED, 1)
    shop.load()
    stage.mend(shop.home)
    child = _children.Process(target=die_at, args=(shop.home, point))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    shop.send(GOOD, 2)
    shop.load()
    stage.replay(shop.home, ERRORS_ONLY)
    assert shop.where() == (["first"], [], 1)


def die_at(home: Path, point: str) -> None:
    stage.replay(home, ERRORS_ONLY, at=lambda passed: signal.raise_signal(signal.SIGKILL) if passed == point else None)


def test_a_delivery_that_a_loader_has_taken_and_not_committed_stays(shop: Shop) -> None:
    """Its row cannot be seen in the table yet, so the replayed one, though earlier, gives way to it."""
    shop.send(REFUSED, 1)
    shop.load()
    stage.mend(shop.home)
    shop.send(GOOD, 2)
    window = Deduplicator(shop.home / DIRECTORY, DeduplicationSettings(), SystemClock(), Events("test"))
    key = uuid.UUID(ID).bytes + doctype_hash("shop", "order")
    assert window.mark([Sighting(key, stage.FIRST_NS + 2 * HOUR_NS, zlib.crc32(b"raw"), 0, 2)]) == [None]
    window.close()
    stage.replay(shop.home, ERRORS_ONLY)
    assert shop.where() == ([], ["repeat"], 0)
    shop.load()
    assert shop.where() == (["second"], ["repeat"], 0)


def test_a_dry_run_leaves_the_live_window_as_it_is(shop: Shop) -> None:
    shop.send(REFUSED, 1)
    shop.load()
    stage.mend(shop.home)
    stage.replay(shop.home, ERRORS_ONLY, is_dry=True)
    shop.send(GOOD, 2)
    shop.load()
    assert shop.where() == (["second"], ["schema_violation"], 0)


def test_the_ledger_balances_in_every_minute_before_and_after(shop: Shop) -> None:
    shop.send(REFUSED, 1)
    shop.send(GOOD, 2)
    shop.send(REFUSED, 3)
    shop.send(GOOD, 4, str(uuid.UUID(int=80)))
    shop.load()
    clock = ledger.clock_after()
    clock.advance(stage.DAYS * 86_400)
    with closing(open_database(DatabaseSettings(), shop.home)) as database:
        for selection in (None, ERRORS_ONLY, stage.ALL):
            if selection is not None:
                stage.mend(shop.home)
                stage.replay(shop.home, selection)
            ledger.count_all(shop.home, database, clock)
            clock.advance(ledger.LATER_S)
            found = ledger.read(shop.home, database, clock)
            assert {line.state for line in found} == {"balanced"}
            assert ledger.totals(found)["accepted"] == 5
    assert shop.where().codes == ["repeat", "repeat"]
