"""What the landfill promises beside crashes: it waits for its store, counts, expires, and finds damage."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from catchment.clock import SystemClock
from catchment.errors import Corrupt
from catchment.events import Events
from catchment.ingestion.landfill.archiver import GROUP, Archiver, edge_name
from catchment.ingestion.landfill.layout import HOUR_NS
from catchment.ingestion.landfill.packing import Pack, look, opened
from catchment.ingestion.landfill.settings import LandfillSettings
from catchment.ingestion.landfill.shelf import Landfill
from catchment.log.port import MAX_PAYLOAD_BYTES, Log, Record, TopicPartition
from tests.landfill import yard

RAW = TopicPartition("raw", 0)
WITHIN_S = 30.0


class Running:
    """An archiver on a thread of this process."""

    def __init__(self, log: Log, landfill: Landfill, settings: LandfillSettings) -> None:
        self.told = io.StringIO()
        self._changed = threading.Condition()
        self.points: list[str] = []
        clock = SystemClock()
        self.archiver = Archiver(settings, "edge-1", log, landfill, clock, Events("archiver", self.told), at=self._at)
        self._thread = threading.Thread(target=self.archiver.run)
        self._thread.start()

    def wait_for(self, claim: Callable[[], bool]) -> None:
        """Until `claim` holds after one of the archiver's points or retries."""
        deadline = time.monotonic() + WITHIN_S
        with self._changed:
            while not claim():
                assert time.monotonic() < deadline, self.told.getvalue()
                self._changed.wait(0.05)

    def stop(self) -> None:
        self.archiver.stop()
        self._thread.join(WITHIN_S)
        assert not self._thread.is_alive()

    def _at(self, point: str) -> None:
        with self._changed:
            self.points.append(point)
            self._changed.notify_all()


def append(log: Log, payloads: list[bytes]) -> None:
    log.create("raw", 1)
    writer = log.open_writer(RAW)
    writer.append(payloads)
    writer.close()


def packed(payloads: list[bytes], first: int = 0) -> Pack:
    pack = Pack("edge-1.0", RAW, first)
    for offset, payload in enumerate(payloads, start=first):
        pack.add(Record(offset, payload), look(payload))
    return pack


def store(landfill: Landfill, pack: Pack) -> int:
    return landfill.store(pack.seal(), RAW, lambda point: None)


def test_while_the_store_is_away_the_log_holds_and_shipping_resumes(tmp_path: Path) -> None:
    log, landfill = yard.open_yard(tmp_path)
    (tmp_path / "objects").write_text("a store that is away")
    payloads = yard.records_of(0, 40)
    append(log, payloads)
    running = Running(log, landfill, LandfillSettings(object_bytes=1024, object_age_s=0.1))
    running.wait_for(lambda: "Not a directory" in running.archiver.last_error)
    assert log.committed(GROUP, RAW) is None
    (tmp_path / "objects").unlink()
    running.wait_for(lambda: log.committed(GROUP, RAW) == len(payloads))
    running.stop()
    assert "archiver_waits" in running.told.getvalue()
    yard.check(tmp_path, {"raw/0": payloads})
    log.close()


def test_raw_is_kept_until_it_is_archived(tmp_path: Path) -> None:
    from catchment.log.settings import LogSettings, retention_of

    assert GROUP in retention_of(LogSettings(), "raw").held_by


def test_a_stop_leaves_the_rest_in_the_log_unless_it_is_asked_to_ship(tmp_path: Path) -> None:
    log, landfill = yard.open_yard(tmp_path)
    payloads = [yard.raw_record(number, time.time_ns()) for number in range(5)]
    append(log, payloads)
    kept = Running(log, landfill, LandfillSettings(ship_at_stop=False))
    kept.wait_for(lambda: bool(kept.points))
    kept.stop()
    assert log.committed(GROUP, RAW) is None
    shipped = Running(log, landfill, LandfillSettings(ship_at_stop=True))
    shipped.wait_for(lambda: bool(shipped.points))
    shipped.stop()
    assert log.committed(GROUP, RAW) == len(payloads)
    log.close()


def test_an_index_counts_doctypes_and_times(tmp_path: Path) -> None:
    _, landfill = yard.open_yard(tmp_path)
    records = [yard.raw_record(number, yard.START_NS + number, "refund" if number else "order") for number in range(3)]
    assert store(landfill, packed([*records, b"no message"])) == 4
    (index,) = landfill.indexes(yard.START_NS, yard.START_NS + 1)
    counts = {(count.namespace, count.doctype): count.records for count in index.contents}
    assert counts == {("shop", "order"): 1, ("shop", "refund"): 2, ("", ""): 1}
    assert (index.earliest_ns, index.latest_ns) == (yard.START_NS, yard.START_NS + 2)
    assert landfill.indexes(yard.START_NS + 3, yard.START_NS + HOUR_NS) == []


@pytest.mark.parametrize("record", [b"", b"\x1e", b"x" * MAX_PAYLOAD_BYTES, b"\x0a\x10catchment.unreadable"])
def test_any_bytes_come_out_as_they_went_in(tmp_path: Path, record: bytes) -> None:
    _, landfill = yard.open_yard(tmp_path)
    store(landfill, packed([record]))
    (index,) = landfill.indexes(0, HOUR_NS)
    assert [found.payload for block in landfill.blocks(index) for found in block] == [record]


def test_a_message_that_only_looks_enclosed_is_itself() -> None:
    from catchment import message

    found = message.encode(message.Message(bytes(16), 1, "catchment.unreadable", fields=[]))
    assert opened(found) == found


def test_damage_is_found_and_an_object_is_never_replaced(tmp_path: Path) -> None:
    _, landfill = yard.open_yard(tmp_path)
    payloads = [yard.raw_record(number, yard.START_NS) for number in range(20)]
    store(landfill, packed(payloads))
    (index,) = landfill.indexes(yard.START_NS, yard.START_NS + 1)
    path = tmp_path / "objects" / index.key
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        path.write_bytes(content[:position] + bytes((content[position] ^ 1,)) + content[position + 1 :])
        assert landfill.problem(index) is not None
        with pytest.raises(Corrupt, match="its bytes have changed"):
            list(landfill.blocks(index))
    with pytest.raises(Corrupt, match="move it and its index away"):
        store(landfill, packed(payloads))
    path.write_bytes(content)
    assert landfill.problem(index) is None


def test_an_unsealed_object_of_other_records_is_not_taken_over(tmp_path: Path) -> None:
    _, landfill = yard.open_yard(tmp_path)
    other = packed([yard.raw_record(99, yard.START_NS)]).seal()
    path = tmp_path / "objects" / other.index.key
    path.parent.mkdir(parents=True)
    path.write_bytes(other.content)
    with pytest.raises(Corrupt, match="other records under this name"):
        store(landfill, packed([yard.raw_record(1, yard.START_NS)]))


def test_an_unsealed_object_that_is_damaged_is_put_again(tmp_path: Path) -> None:
    from catchment.errors import Unavailable

    _, landfill = yard.open_yard(tmp_path)
    sealed = packed([yard.raw_record(1, yard.START_NS)]).seal()
    path = tmp_path / "objects" / sealed.index.key
    path.parent.mkdir(parents=True)
    path.write_bytes(sealed.content[:-2])
    with pytest.raises(Unavailable, match="put again"):
        landfill.store(sealed, RAW, lambda point: None)
    assert landfill.store(sealed, RAW, lambda point: None) == 1


def test_objects_go_when_their_records_and_they_themselves_are_old(tmp_path: Path) -> None:
    _, landfill = yard.open_yard(tmp_path)
    now_ns = time.time_ns()
    store(landfill, packed([yard.raw_record(1, now_ns - 100 * HOUR_NS)]))
    store(landfill, packed([yard.raw_record(2, now_ns)], first=1))
    assert landfill.expire(now_ns, 3_600) == 0  # put just now
    assert landfill.expire(now_ns + HOUR_NS + 5_000_000_000, 3_600) == 1
    (left,) = landfill.indexes(now_ns - 200 * HOUR_NS, now_ns + HOUR_NS)
    assert left.first == 1
    assert landfill.expire(now_ns + 4 * HOUR_NS, 3_600) == 1
    assert not [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]


def test_a_home_keeps_its_name(tmp_path: Path) -> None:
    name = edge_name(tmp_path / "one")
    assert edge_name(tmp_path / "one") == name
    assert edge_name(tmp_path / "two") != name


def test_records_that_the_disk_has_lost_are_a_hole_between_two_objects(tmp_path: Path) -> None:
    yard.fill(tmp_path, 40)
    segment = sorted((tmp_path / "log" / "raw" / "0").glob("*.log"))[0]
    content = bytearray(segment.read_bytes())
    content[1500] ^= 1
    segment.write_bytes(content)
    yard.run_archiver(tmp_path, None)
    _, landfill = yard.open_yard(tmp_path)
    indexes = [index for index in landfill.indexes(0, 1 << 62) if index.source == "raw/0"]
    held = [record.offset for index in indexes for block in landfill.blocks(index) for record in block]
    (lost,) = set(range(40)) - set(held)
    assert len(held) == 39
    assert {index.end for index in indexes} > {lost}
    assert {index.first for index in indexes} > {lost + 1}
