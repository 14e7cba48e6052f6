"""Retention: which segments go, which stay, and what a reader or a group sees of it."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest

from catchment.clock import ManualClock
from catchment.errors import Missing
from catchment.log.embedded.disk import Disk
from catchment.log.embedded.log import WARM_SEGMENTS, EmbeddedLog
from catchment.log.embedded.topics import Topics
from catchment.log.port import Retention, TopicPartition
from tests.log.opening import MANY, RAW, open_embedded, payloads_of, segments

DAY_S = 86_400.0


def fill(log: EmbeddedLog, count: int, source: TopicPartition = RAW) -> None:
    """Append `count` records of 300 bytes: four of them make a segment."""
    writer = log.open_writer(source)
    for number in range(count):
        writer.append([b"%03d" % number * 100])
    writer.close()


def now() -> ManualClock:
    return ManualClock(time.time_ns())


def test_old_sealed_segments_go_and_the_one_in_use_stays(tmp_path: Path) -> None:
    clock = now()
    log = open_embedded(tmp_path, clock=clock)
    log.create("raw", 1, Retention(max_age_s=DAY_S))
    fill(log, 10)
    log.enforce()
    assert log.bounds(RAW) == (0, 10)
    clock.advance(DAY_S + 60)
    log.enforce()
    assert [path.name for path in segments(tmp_path)] == ["00000000000000000008.log"]
    assert log.bounds(RAW) == (8, 10)
    log.close()


def test_the_oldest_go_first_over_all_partitions_until_the_topic_fits(tmp_path: Path) -> None:
    log = open_embedded(tmp_path)
    log.create("raw", 2)
    other = TopicPartition("raw", 1)
    for source in (RAW, other):
        fill(log, 10, source)
    for partition, begin in (("0", 3000), ("1", 1000)):
        for index, path in enumerate(sorted((tmp_path / "raw" / partition).glob("*.log"))):
            os.utime(path, (begin + index, begin + index))
    log.create("raw", 2, Retention(max_bytes=4000))
    log.enforce()
    assert (log.bounds(RAW), log.bounds(other)) == ((0, 10), (8, 10))
    log.close()


def test_a_group_that_holds_keeps_what_it_has_not_passed(tmp_path: Path) -> None:
    clock = now()
    log = open_embedded(tmp_path, clock=clock)
    log.create("raw", 1, Retention(max_bytes=0, max_age_s=DAY_S, held_by=("loader", "archiver")))
    fill(log, 14)
    clock.advance(2 * DAY_S)
    starts = []
    for loader, archiver in ((None, None), (14, None), (14, 7), (5, 14), (14, 14)):
        for group, offset in (("loader", loader), ("archiver", archiver)):
            if offset is not None:
                consumer = log.open_consumer(group, ["raw"])
                consumer.poll(1, 1, 0)
                consumer.commit({RAW: offset})
                consumer.close()
        log.enforce()
        starts.append(log.bounds(RAW).start)
    assert starts == [0, 0, 4, 4, 12]
    log.close()


def test_without_a_limit_nothing_goes(tmp_path: Path) -> None:
    clock = now()
    log = open_embedded(tmp_path, clock=clock)
    log.create("kept", 1)
    fill(log, 10, TopicPartition("kept", 0))
    clock.advance(1000 * DAY_S)
    log.enforce()
    assert log.bounds(TopicPartition("kept", 0)) == (0, 10)
    log.close()


def test_the_writer_enforces_it_whenever_it_seals_a_segment(tmp_path: Path) -> None:
    log = open_embedded(tmp_path)
    log.create("raw", 1, Retention(max_bytes=3000))
    fill(log, 100)
    assert len(segments(tmp_path)) == 3
    log.close()


class ForgettingDisk(Disk):
    """Remembers what was forgotten."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    def forget(self, path: Path) -> None:
        super().forget(path)
        self.forgotten.append(path.name)


def test_sealed_segments_leave_memory_but_for_the_newest_and_are_read_from_the_disk(tmp_path: Path) -> None:
    disk = ForgettingDisk()
    log = open_embedded(tmp_path, disk=disk)
    fill(log, 42)
    assert disk.forgotten == [path.name for path in segments(tmp_path)[:-WARM_SEGMENTS]]
    assert len(disk.forgotten) == 6
    assert payloads_of(log) == [b"%03d" % number * 100 for number in range(42)]
    log.close()


def test_a_reader_is_told_and_a_consumer_goes_on_at_the_start_and_tells_of_the_gap(tmp_path: Path) -> None:
    told = io.StringIO()
    log = open_embedded(tmp_path, told)
    fill(log, 10)
    consumer = log.open_consumer("group", ["raw"])
    consumer.poll(2, MANY, 0)
    consumer.commit({RAW: 2})
    consumer.close()
    reader = log.open_reader(RAW, 2)
    log.create("raw", 1, Retention(max_bytes=0))
    log.enforce()
    with pytest.raises(Missing, match="first one kept is 8"):
        reader.read(1, 1, 0)
    consumer = log.open_consumer("group", ["raw"])
    batch = consumer.poll(10, MANY, 0)
    assert batch is not None
    assert [record.offset for record in batch.records] == [8, 9]
    assert "gap group=group source=raw/0 first=2 next=8" in told.getvalue()
    log.close()


def test_a_reader_finishes_the_segment_that_is_removed_under_it(tmp_path: Path) -> None:
    log = open_embedded(tmp_path)
    fill(log, 10)
    reader = log.open_reader(RAW, 0)
    assert reader.read(1, MANY, 0)[0].offset == 0
    log.create("raw", 1, Retention(max_bytes=0))
    log.enforce()
    assert [record.offset for record in reader.read(10, MANY, 0)] == [1, 2, 3]
    with pytest.raises(Missing, match="offsets 4 to 7"):
        reader.read(10, MANY, 0)
    assert reader.next_kept() == 8
    log.close()


def test_cut_off_bytes_expire_like_the_records_beside_them(tmp_path: Path) -> None:
    clock = now()
    log = open_embedded(tmp_path, clock=clock)
    log.create("raw", 1, Retention(max_age_s=DAY_S))
    fill(log, 1)
    with segments(tmp_path)[0].open("ab") as file:
        file.write(b"address 192.0.2.1")
    log.open_writer(RAW)
    torn = list((tmp_path / "raw" / "0").glob("*.torn-*"))
    assert len(torn) == 1
    log.enforce()
    assert torn[0].exists()
    clock.advance(DAY_S + 60)
    log.enforce()
    assert not torn[0].exists()
    log.close()


def test_a_damaged_offset_of_a_holding_group_keeps_everything_and_is_told(tmp_path: Path) -> None:
    told = io.StringIO()
    log = open_embedded(tmp_path, told)
    log.create("raw", 1, Retention(max_bytes=0, held_by=("loader",)))
    fill(log, 10)
    consumer = log.open_consumer("loader", ["raw"])
    consumer.poll(1, 1, 0)
    consumer.commit({RAW: 10})
    consumer.close()
    (tmp_path / ".groups" / "loader" / "offsets" / "raw.0").write_bytes(b"garbage")
    log.enforce()
    assert log.bounds(RAW) == (0, 10)
    assert "error test retention_failed topic=raw" in told.getvalue()
    log.close()


def test_a_topic_keeps_its_rule_when_it_is_made_again_without_one(tmp_path: Path) -> None:
    log = open_embedded(tmp_path)
    rule = Retention(max_bytes=7, max_age_s=1.5, held_by=("loader",))
    log.create("raw", 1, rule)
    log.create("raw", 3)
    log.close()
    again = open_embedded(tmp_path)
    assert Topics(tmp_path, again._disk).retention("raw") == rule
    assert again.topics() == {"raw": 3}
    again.close()
