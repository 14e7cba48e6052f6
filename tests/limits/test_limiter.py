"""The limiter alone: what it tells, what it refuses to guess, and that it costs nothing when it is off."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from catchment import message
from catchment.clock import ManualClock
from catchment.errors import Corrupt, Unavailable
from catchment.events import Events
from catchment.health import WARNING
from catchment.ingestion.limits.limiter import RECENT_S, Limiter
from catchment.ingestion.limits.rows import encode_deferral
from catchment.ingestion.limits.settings import LimitSettings
from catchment.log.port import Record, TopicPartition
from tests.loader.scene import ADDRESS, START_NS, raw_record

RAW = TopicPartition("raw", 0)
ONE = LimitSettings(rate=0.001, burst=1)
ID = "00000000-0000-4000-8000-000000000000"


def orders(count: int, first: int = 0) -> list[Record]:
    path = f"/submit/shop/order/1/{ID}"
    return [Record(offset, raw_record(path, b"{}", offset)) for offset in range(first, first + count)]


class Desk:
    """A limiter of one partition, its clock and what it told."""

    def __init__(self, directory: Path, settings: LimitSettings = ONE, committed: int = 0) -> None:
        self.clock = ManualClock()
        self.told = io.StringIO()
        self.limiter = Limiter(settings, directory, self.clock, Events("loader", self.told))
        self.limiter.assigned(RAW, committed)

    def deferred(self, records: list[Record]) -> list[int]:
        return [deferral.offset for deferral in self.limiter.part(RAW, records)[1]]


def test_a_deferral_says_where_the_record_is_and_holds_no_address(tmp_path: Path) -> None:
    admitted, (deferral,) = Desk(tmp_path).limiter.part(RAW, orders(2))
    assert [record.offset for record in admitted] == [0]
    encoded = encode_deferral(deferral, RAW)
    found = message.decode(encoded)
    assert (found.logger, found.type, found.timestamp) == ("shop", "deferred", START_NS + 1_000_000)
    assert {field.name: field.value for field in found.fields} == {
        "documentId": ID,
        "docType": "order",
        "docVersion": 1.0,
        "uri": f"/submit/shop/order/1/{ID}",
        "rateLimit": "0.001/s, 1 at once",
        "sourceTopic": "raw",
        "sourcePartition": 0,
        "sourceOffset": 1,
    }
    assert ADDRESS.encode() not in encoded


def test_what_is_not_understood_goes_through_and_becomes_an_error(tmp_path: Path) -> None:
    records = [Record(offset, payload) for offset, payload in enumerate([b"", b"no message"] * 5)]
    records += [Record(10 + offset, raw_record("/submit/nonsense", b"", offset)) for offset in range(5)]
    assert Desk(tmp_path).deferred(records) == []


def test_a_flood_is_told_once_a_minute_and_is_a_warning_until_it_is_over(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.limiter.check() == []
    for first in range(0, 50, 10):
        desk.deferred(orders(10, first))
    assert desk.told.getvalue().count("limit_exceeded") == 1
    (finding,) = desk.limiter.check()
    assert (finding.code, finding.level) == ("limit_exceeded", WARNING)
    assert finding.text.startswith("shop/order: over the limit, deferred")
    desk.clock.advance(61)
    desk.deferred(orders(10, 50))
    assert "limit_exceeded namespace=shop doctype=order deferred=50 " in desk.told.getvalue().splitlines()[1]
    desk.clock.advance(RECENT_S + 1)
    assert desk.limiter.check() == []


def test_without_limits_nothing_is_written(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "limits", LimitSettings())
    records = orders(100)
    assert desk.limiter.part(RAW, records) == (records, ())
    desk.limiter.keep()
    assert not (tmp_path / "limits").exists()


def test_limits_that_are_turned_off_keep_what_was_decided_before(tmp_path: Path) -> None:
    first = Desk(tmp_path)
    assert first.deferred(orders(5)) == [1, 2, 3, 4]
    first.limiter.keep()
    later = Desk(tmp_path, LimitSettings(), committed=2)
    assert later.deferred(orders(8, 2)) == [2, 3, 4]


def test_what_the_group_will_not_read_again_is_forgotten(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.deferred(orders(100))
    desk.limiter.keep()
    size = (tmp_path / "raw.0.json").stat().st_size
    desk.limiter.committed({RAW: 100})
    desk.deferred(orders(1, 100))
    desk.limiter.keep()
    assert (tmp_path / "raw.0.json").stat().st_size < size / 2


def test_decisions_that_cannot_be_read_are_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "raw.0.json").write_bytes(b'{"until": 5, "defer')
    with pytest.raises(Corrupt, match=r"raw\.0\.json: not the decisions on limits .*restore it, or remove it"):
        Desk(tmp_path)


def test_decisions_that_cannot_be_kept_are_tried_again(tmp_path: Path) -> None:
    place = tmp_path / "limits"
    desk = Desk(place)
    assert desk.deferred(orders(3)) == [1, 2]
    place.write_bytes(b"in the way")
    with pytest.raises(Unavailable, match=r"decisions on limits cannot be kept: .*; try again"):
        desk.limiter.keep()
    place.unlink()
    desk.limiter.keep()
    assert (place / "raw.0.json").is_file()
