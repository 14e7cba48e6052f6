"""What the `Log` port promises, over every backend."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catchment.errors import BadConfig, Busy, CatchmentError, Closed, Fenced, Missing, TooLarge
from catchment.log.embedded.log import EmbeddedLog
from catchment.log.port import MAX_PAYLOAD_BYTES, Bounds, Consumer, Log, Reader, Record, Retention, TopicPartition
from tests.log.backends import EMBEDDED, NAMES, WITHIN_S, Backend, kafka_backend

RAW = TopicPartition("raw", 0)
MANY = 1 << 30


@pytest.fixture(params=NAMES)
def backend(request: pytest.FixtureRequest) -> Backend:
    return backend_named(request.param, request)


def backend_named(name: str, request: pytest.FixtureRequest) -> Backend:
    return EMBEDDED if name == "embedded" else kafka_backend(request.getfixturevalue("kafka_server"))


def own(consumer: Consumer, is_met: Callable[[], bool]) -> None:
    """Poll, with no record there, until the group has shared its partitions out as wanted."""
    deadline_s = time.monotonic() + WITHIN_S
    while not is_met():
        assert time.monotonic() < deadline_s
        assert consumer.poll(1, 1, 0.01) is None


@pytest.fixture
def log(backend: Backend, tmp_path: Path) -> Iterator[Log]:
    opened = backend.open(tmp_path)
    opened.create("raw", 2)
    yield opened
    opened.close()


def numbered(first: int, count: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


def drain(reader: Reader) -> list[bytes]:
    payloads: list[bytes] = []
    while records := reader.read(1000, MANY, 0):
        payloads += [record.payload for record in records]
    return payloads


def poll_all(consumer: Consumer, count: int) -> list[tuple[TopicPartition, Record]]:
    """Poll until `count` records came."""
    found: list[tuple[TopicPartition, Record]] = []
    deadline_s = time.monotonic() + WITHIN_S
    while len(found) < count:
        batch = consumer.poll(1000, MANY, deadline_s - time.monotonic())
        assert batch is not None, f"{len(found)} of {count} records came within {WITHIN_S} s"
        found += [(batch.source, record) for record in batch.records]
    return found


class TestTopics:
    def test_a_topic_grows_and_never_shrinks(self, log: Log) -> None:
        log.create("raw", 3)
        log.create("raw", 1)
        assert log.topics() == {"raw": 3}

    def test_an_unknown_partition_is_missing(self, log: Log) -> None:
        for source in (TopicPartition("raw", 2), TopicPartition("other", 0)):
            with pytest.raises(Missing, match=str(source)):
                log.open_writer(source)
            with pytest.raises(Missing, match=str(source)):
                log.open_reader(source, 0)
            with pytest.raises(Missing, match=str(source)):
                log.bounds(source)

    def test_a_name_that_is_no_name_is_refused(self, log: Log) -> None:
        for name in ("", ".hidden", "a/b", "../up", "x" * 201):
            with pytest.raises(BadConfig, match="topic name"):
                log.create(name, 1)

    def test_making_a_topic_again_without_retention_keeps_it(self, log: Log) -> None:
        log.create("kept", 1, Retention(held_by=("nobody",), max_bytes=0))
        log.create("kept", 2)
        assert log.topics()["kept"] == 2


class TestWriter:
    def test_offsets_are_consecutive_from_zero(self, log: Log) -> None:
        writer = log.open_writer(RAW)
        assert [writer.append(numbered(0, count)) for count in (2, 0, 1)] == [range(2), range(2, 2), range(2, 3)]
        assert log.bounds(RAW) == Bounds(0, 3)

    def test_a_partition_has_one_writer(self, backend: Backend, log: Log, tmp_path: Path) -> None:
        writer = log.open_writer(RAW)
        if not backend.fences_writers:  # whoever owns the source in its group is the writer: docs/kafka.md
            assert (writer.append([b"0"]), log.open_writer(RAW).append([b"1"])) == (range(1), range(1, 2))
            return
        other = backend.open(tmp_path)
        with pytest.raises(Fenced, match="raw/0"):
            other.open_writer(RAW)
        writer.close()
        assert other.open_writer(RAW).append([b"next"]) == range(1)
        other.close()

    def test_a_log_opened_again_goes_on_where_it_ended(self, backend: Backend, log: Log, tmp_path: Path) -> None:
        log.open_writer(RAW).append(numbered(0, 500))
        log.close()
        again = backend.open(tmp_path)
        assert again.open_writer(RAW).append([b"500"]) == range(500, 501)
        assert drain(again.open_reader(RAW, 0)) == numbered(0, 501)
        again.close()

    def test_a_record_may_be_empty_or_as_large_as_the_limit_but_not_larger(self, log: Log) -> None:
        writer = log.open_writer(RAW)
        largest = bytes(MAX_PAYLOAD_BYTES)
        writer.append([b"", largest, b"after"])
        with pytest.raises(TooLarge, match=str(MAX_PAYLOAD_BYTES + 1)):
            writer.append([b"fits", largest + b"x"])
        assert drain(log.open_reader(RAW, 0)) == [b"", largest, b"after"]

    def test_answers_come_once_and_in_order_and_close_gives_all_of_them(self, log: Log) -> None:
        writer = log.open_writer(RAW)
        answers: list[range | CatchmentError] = []
        for first in range(0, 300, 3):
            writer.submit(numbered(first, 3), answers.append)
        writer.close()
        assert answers == [range(first, first + 3) for first in range(0, 300, 3)]
        writer.close()
        with pytest.raises(Closed):
            writer.submit([b"late"], answers.append)

    def test_a_callback_that_fails_stops_nobody_else(self, log: Log) -> None:
        writer = log.open_writer(RAW)

        def fail(answer: range | CatchmentError) -> None:
            raise ValueError("mine")

        writer.submit([b"0"], fail)
        assert writer.append([b"1"]) == range(1, 2)

    def test_a_full_queue_is_busy_and_takes_again_once_it_has_flushed(self, log: Log) -> None:
        writer = log.open_writer(RAW)
        flushing, go_on = threading.Event(), threading.Event()
        answers: list[range | CatchmentError] = []

        def hold(answer: range | CatchmentError) -> None:
            flushing.set()
            assert go_on.wait(WITHIN_S)

        writer.submit([b"first"], hold)
        assert flushing.wait(WITHIN_S)
        block = bytes(1024 * 1024)
        taken = 0
        with pytest.raises(Busy, match="max_queue_bytes"):
            for _ in range(1000):
                writer.submit([block], answers.append)
                taken += 1
        assert taken >= 1
        go_on.set()
        writer.close()
        assert answers == [range(1 + number, 2 + number) for number in range(taken)]

    def test_threads_may_share_a_writer_and_batches_stay_whole(self, log: Log) -> None:
        writer = log.open_writer(RAW)
        placed: dict[int, range] = {}

        def work(worker: int) -> None:
            for turn in range(20):
                number = worker * 1000 + turn
                placed[number] = writer.append([b"%d.%d" % (number, index) for index in range(3)])

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = drain(log.open_reader(RAW, 0))
        assert len(found) == 240
        for number, offsets in placed.items():
            assert found[offsets.start : offsets.stop] == [b"%d.%d" % (number, index) for index in range(3)]


class TestReader:
    def test_limits_of_records_and_bytes_are_kept_but_one_record_always_comes(self, log: Log) -> None:
        log.open_writer(RAW).append([b"x" * 100] * 10)
        reader = log.open_reader(RAW, 0)
        assert [len(reader.read(*limits, 0)) for limits in ((3, MANY), (MANY, 250), (MANY, 1))] == [3, 2, 1]
        assert reader.position == 6

    def test_it_starts_and_seeks_anywhere(self, log: Log) -> None:
        log.open_writer(RAW).append(numbered(0, 1000))
        reader = log.open_reader(RAW, 700)
        assert reader.read(1, MANY, 0) == [Record(700, b"700")]
        for offset in (0, 999, 1, 500):
            reader.seek(offset)
            assert reader.position == offset
            assert reader.read(1, MANY, 0) == [Record(offset, b"%d" % offset)]

    def test_beyond_the_end_it_waits_for_the_log_to_get_there(self, log: Log) -> None:
        writer = log.open_writer(RAW)
        reader = log.open_reader(RAW, 5)
        assert reader.read(10, MANY, 0) == []
        writer.append(numbered(0, 5))
        assert reader.read(10, MANY, 0) == []
        writer.append(numbered(5, 2))
        assert reader.read(10, MANY, 0) == [Record(5, b"5"), Record(6, b"6")]

    def test_at_the_end_it_returns_nothing_after_its_timeout(self, log: Log) -> None:
        reader = log.open_reader(RAW, 0)
        started = time.monotonic()
        assert reader.read(1, 1, 0.05) == []
        assert time.monotonic() - started >= 0.049

    def test_a_waiting_reader_is_woken_by_the_writer(self, backend: Backend, log: Log, tmp_path: Path) -> None:
        writer = log.open_writer(RAW)
        other = backend.open(tmp_path)
        reader = other.open_reader(RAW, 0)
        for number in range(50):
            thread = threading.Thread(target=writer.append, args=([b"%d" % number],))
            thread.start()
            assert reader.read(10, MANY, WITHIN_S) == [Record(number, b"%d" % number)]
            thread.join()
        other.close()

    def test_reading_after_close_is_an_error(self, log: Log) -> None:
        reader = log.open_reader(RAW, 0)
        reader.close()
        reader.close()
        with pytest.raises(Closed):
            reader.read(1, 1, 0)


class TestConsumer:
    def test_a_new_group_starts_at_the_start_and_a_committed_one_where_it_committed(self, log: Log) -> None:
        log.open_writer(RAW).append(numbered(0, 10))
        assert log.committed("group", RAW) is None
        first = log.open_consumer("group", ["raw"])
        assert [record.offset for _, record in poll_all(first, 10)] == list(range(10))
        first.commit({RAW: 4})
        first.close()
        assert log.committed("group", RAW) == 4
        second = log.open_consumer("group", ["raw"])
        assert [record.offset for _, record in poll_all(second, 6)] == list(range(4, 10))

    def test_groups_are_independent(self, log: Log) -> None:
        log.open_writer(RAW).append(numbered(0, 3))
        for group in ("one", "two"):
            assert len(poll_all(log.open_consumer(group, ["raw"]), 3)) == 3

    def test_all_partitions_get_their_turn(self, log: Log) -> None:
        for number in range(2):
            log.open_writer(TopicPartition("raw", number)).append(numbered(0, 100))
        consumer = log.open_consumer("group", ["raw"])
        sources: list[int] = []
        while len(sources) < 40:
            batch = consumer.poll(5, MANY, WITHIN_S)
            assert batch is not None
            assert len(batch.records) == 5
            sources.append(batch.source.partition)
        assert sources.count(0) == sources.count(1) == 20
        if isinstance(log, EmbeddedLog):  # a broker may send the whole of one partition before the other
            assert sources == [0, 1] * 20 or sources == [1, 0] * 20

    def test_it_seeks_in_what_it_owns(self, log: Log) -> None:
        log.open_writer(RAW).append(numbered(0, 5))
        consumer = log.open_consumer("group", ["raw"])
        poll_all(consumer, 5)
        consumer.seek(RAW, 3)
        assert [record.offset for _, record in poll_all(consumer, 2)] == [3, 4]

    def test_it_may_not_commit_or_seek_in_what_it_does_not_own(self, log: Log) -> None:
        consumer = log.open_consumer("group", ["raw"])
        for act in (lambda: consumer.commit({RAW: 0}), lambda: consumer.seek(RAW, 0)):
            with pytest.raises(Fenced, match="does not own"):
                act()

    def test_partitions_are_told_before_their_records_and_given_back_at_close(self, log: Log) -> None:
        log.open_writer(RAW).append([b"0"])
        told: list[tuple[str, list[TopicPartition]]] = []
        consumer: Consumer

        def revoked(sources: Sequence[TopicPartition]) -> None:
            consumer.commit({RAW: 1})  # still the owner's
            told.append(("revoked", sorted(sources)))

        consumer = log.open_consumer(
            "group", ["raw"], lambda sources: told.append(("assigned", list(sources))), revoked
        )
        assert told == []
        poll_all(consumer, 1)
        both = [RAW, TopicPartition("raw", 1)]
        assert told == [("assigned", both)]
        consumer.close()
        consumer.close()
        assert told == [("assigned", both), ("revoked", both)]
        assert log.committed("group", RAW) == 1
        with pytest.raises(Closed):
            consumer.poll(1, 1, 0)

    def test_a_second_member_gets_its_share_and_the_first_gets_it_back(self, log: Log) -> None:
        owned: dict[str, set[TopicPartition]] = {"one": set(), "two": set()}

        def join(name: str) -> Consumer:
            return log.open_consumer("group", ["raw"], owned[name].update, owned[name].difference_update)

        one = join("one")
        own(one, lambda: len(owned["one"]) == 2)
        two = join("two")
        deadline_s = time.monotonic() + WITHIN_S
        while not len(owned["one"]) == len(owned["two"]) == 1:
            assert time.monotonic() < deadline_s, owned
            assert one.poll(1, 1, 0.01) is None
            assert two.poll(1, 1, 0.01) is None
        assert owned["one"] | owned["two"] == {RAW, TopicPartition("raw", 1)}
        two.close()
        while len(owned["one"]) < 2:
            assert time.monotonic() < deadline_s, owned
            assert one.poll(1, 1, 0.01) is None

    def test_a_topic_may_be_made_or_grown_after_joining(self, log: Log) -> None:
        consumer = log.open_consumer("group", ["late"])
        assert consumer.poll(1, 1, 0) is None
        for count in (1, 2):
            log.create("late", count)
            log.open_writer(TopicPartition("late", count - 1)).append([b"here"])
            assert poll_all(consumer, 1)[0][0] == TopicPartition("late", count - 1)

    def test_wake_ends_the_waiting(self, log: Log) -> None:
        owned: list[TopicPartition] = []
        consumer = log.open_consumer("group", ["raw"], owned.extend)
        own(consumer, lambda: len(owned) == 2)
        consumer.wake()
        started = time.monotonic()
        assert consumer.poll(1, 1, WITHIN_S) is None
        assert time.monotonic() - started < WITHIN_S / 2
        consumer.close()
        consumer.wake()


Batches = list[list[bytes]]


@settings(max_examples=30)
@given(batches=st.lists(st.lists(st.binary(max_size=2000), max_size=5), max_size=8), limit=st.integers(1, 7))
def test_whatever_is_appended_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, batches: Batches, limit: int
) -> None:
    found = read_back(EMBEDDED, tmp_path_factory.mktemp("log"), batches, limit)
    assert found == [payload for batch in batches for payload in batch]


def test_what_is_appended_to_kafka_is_read_back(kafka_server: str, tmp_path: Path) -> None:
    batches = [[b"", b"one"], [], [b"x" * 2000] * 5, [bytes([number]) for number in range(256)]]
    found = read_back(kafka_backend(kafka_server), tmp_path, batches, 3)
    assert found == [payload for batch in batches for payload in batch]


def read_back(backend: Backend, folder: Path, batches: Batches, limit: int) -> list[bytes]:
    log = backend.open(folder)
    log.create("raw", 1)
    writer = log.open_writer(RAW)
    for batch in batches:
        writer.append(batch)
    reader = log.open_reader(RAW, 0)
    found: list[bytes] = []
    while records := reader.read(limit, 3000, 0):
        found += [record.payload for record in records]
    log.close()
    return found
