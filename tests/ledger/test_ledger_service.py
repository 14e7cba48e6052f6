"""The service: what it tells while something waits or is wrong, and that it ends well."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest

from catchment.clock import ManualClock
from catchment.database.database import open_database
from catchment.database.settings import DatabaseSettings
from catchment.events import Events
from catchment.health import ERROR, WARNING
from catchment.ingestion.ledger.loop import Ledger
from catchment.ingestion.ledger.settings import LedgerSettings
from catchment.log.port import TopicPartition
from tests.ledger import scene
from tests.ledger.conftest import RECORDS
from tests.loader import scene as loading

WITHIN_S = 30.0


class Told:
    """A ledger over a home, and the events that it wrote."""

    def __init__(self, home: Path, clock: ManualClock, **settings: float) -> None:
        self.stream = io.StringIO()
        self.database = open_database(DatabaseSettings(busy_s=1), home)
        log, self.lake = loading.open_parts(home)
        self.ledger = Ledger(
            LedgerSettings(**settings), log, self.lake, self.database, clock, Events("ledger", self.stream)
        )

    def turn(self) -> list[tuple[str, int]]:
        """Turns until nothing is left; the findings."""
        while self.ledger.turn():
            continue
        return [(finding.code, finding.level) for finding in self.ledger.check()]

    def close(self) -> None:
        self.ledger.close()
        self.database.close()


def test_waiting_is_a_warning_and_missing_is_an_error(tmp_path: Path, expected: loading.Expected) -> None:
    clock = scene.clock_after()
    told = Told(tmp_path, clock)
    assert told.turn() == []
    clock.advance(scene.LATER_S)
    assert told.turn() == [("ledger_waiting", WARNING)]
    assert f"{RECORDS} records wait for the loader" in told.ledger.check()[0].text

    loading.run_loader(tmp_path, None)
    assert told.turn() == []
    assert told.stream.getvalue().count(" warning ledger ledger_unbalanced state=waiting") == 1
    assert told.stream.getvalue().count("ledger_balanced") == 1

    scene.rewrite(told.lake, "shop.order_v1", lambda rows: rows.slice(3))
    told.turn()
    clock.advance(scene.LATER_S)
    assert told.turn() == told.turn() == [("ledger_unbalanced", ERROR)]
    assert told.stream.getvalue().count(" error ledger ledger_unbalanced state=unbalanced") == 1
    told.close()


def test_a_table_whose_history_is_cut_is_counted_whole(home: Path) -> None:
    """Versions expire while no ledger runs; rows are the same afterwards, compacted or not."""
    from catchment.lake.maintenance import maintain
    from catchment.lake.settings import LakeSettings

    clock = scene.clock_after()
    told = Told(home, clock)
    told.turn()
    before = scene.picture(home, told.database, clock)
    told.close()
    for name in told.lake.tables():
        scene.rewrite(told.lake, name, lambda rows: rows)
        clock.advance(7200)
        maintain(told.lake, name, loading.SystemClock(), LakeSettings(snapshot_age_s=1e-9, compact_min_files=2))
    again = Told(home, clock)
    again.turn()
    assert scene.picture(home, again.database, clock) == before
    again.close()


def test_a_compaction_changes_no_count(home: Path) -> None:
    from catchment.lake.maintenance import compact
    from catchment.lake.settings import LakeSettings

    clock = scene.clock_after()
    told = Told(home, clock)
    told.turn()
    before = scene.picture(home, told.database, clock)
    _, made = compact(told.lake, "shop.order_v1", clock, LakeSettings(compact_min_files=2))
    assert made
    told.turn()
    assert scene.picture(home, told.database, clock) == before
    told.close()


def test_a_database_that_is_busy_keeps_the_page(home: Path) -> None:
    clock = scene.clock_after()
    told = Told(home, clock)
    with told.database.write():
        assert told.turn() == [("ledger_waits", WARNING)]
    assert told.turn() == []
    assert scene.totals(scene.read(home, told.database, clock))["balance"] == 0
    assert scene.totals(scene.read(home, told.database, clock))["accepted"] == RECORDS
    told.close()


def spoil(home: Path, length: int) -> None:
    """Turn bytes round, from a third of a raw segment on."""
    segment = next((home / "log" / "raw" / "0").glob("*.log"))
    content = bytearray(segment.read_bytes())
    begin = len(content) // 3
    content[begin : begin + length] = bytes(byte ^ 0xFF for byte in content[begin : begin + length])
    segment.write_bytes(content)


def test_a_damaged_record_is_passed_over_and_told(home: Path) -> None:
    spoil(home, 1)
    clock = scene.clock_after()
    told = Told(home, clock)
    assert told.turn() == []
    assert "ledger_gap source=raw/0 " in told.stream.getvalue()
    assert scene.totals(scene.read(home, told.database, clock))["accepted"] == RECORDS
    told.close()


def test_what_is_lost_at_the_end_of_the_log_is_told_with_the_next_record(home: Path) -> None:
    spoil(home, 1 << 30)
    clock = scene.clock_after()
    told = Told(home, clock)
    assert told.turn() == []
    assert RECORDS / 2 < scene.totals(scene.read(home, told.database, clock))["accepted"] < RECORDS
    log, _ = loading.open_parts(home)
    writer = log.open_writer(TopicPartition("raw", 0))
    writer.append([loading.raw_record(f"/submit/shop/order/1/{'0' * 36}", b"{}", 1)])
    log.close()
    assert told.turn() == []
    assert "ledger_gap source=raw/0 " in told.stream.getvalue()
    assert scene.totals(scene.read(home, told.database, clock))["accepted"] == RECORDS + 1
    told.close()


def test_a_place_that_cannot_be_read_is_told(home: Path) -> None:
    offsets = home / "log" / ".groups" / "ledger" / "offsets"
    offsets.mkdir(parents=True)
    (offsets / "raw.0").write_text("12\n")
    told = Told(home, scene.clock_after())
    assert ("ledger_cannot_count", ERROR) in told.turn()
    assert "remove the file" in told.ledger.check()[0].text
    told.close()


@pytest.mark.parametrize("period_s", [0.1, 3600.0])
def test_it_stops_when_told_after_a_last_count(tmp_path: Path, expected: loading.Expected, period_s: float) -> None:
    clock = scene.clock_after()
    told = Told(tmp_path, clock, period_s=period_s)
    thread = threading.Thread(target=told.ledger.run)
    thread.start()
    told.ledger.stop()
    thread.join(WITHIN_S)
    assert not thread.is_alive()
    assert scene.totals(scene.read(tmp_path, told.database, clock))["accepted"] == RECORDS
    told.database.close()
