"""Duplicates: exact within the window, the same answer after any crash, shared by all processes."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import struct
import tempfile
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from decoder_kit import GENERIC_URI, TID, accepted, raw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from catchment.clock import ManualClock
from catchment.errors import Closed, Corrupt
from catchment.events import Events
from catchment.ingestion.deduplication import DeduplicationSettings, Deduplicator, Sighting
from catchment.ingestion.marking import Repeat
from catchment.log.port import TopicPartition

HOUR = 3_600_000_000_000
NOON = 1_530_000_000 * 1_000_000_000
WINDOW = 25 * HOUR
KEYS = [bytes([number]) * 24 for number in range(4)]


def sight(key: int, time_ns: int, offset: int, partition: int = 0) -> Sighting:
    return Sighting(KEYS[key] if key < len(KEYS) else struct.pack(">QQQ", key, key, key), time_ns, 7, partition, offset)


def opened(directory: Path, clock: ManualClock | None = None) -> Deduplicator:
    clock = clock or ManualClock(NOON)
    return Deduplicator(directory / "dedup", DeduplicationSettings(), clock, Events("loader", StringIO()))


@pytest.fixture
def ids(tmp_path: Path) -> Iterator[Deduplicator]:
    found = opened(tmp_path)
    yield found
    found.close()


def forget_the_boot(directory: Path) -> None:
    """As after a crash of the machine: the index is of another boot."""
    for boot in (directory / "dedup").glob("*/boot"):
        boot.write_text("another boot")


def test_a_second_delivery_is_a_repeat_and_says_how_far_away(ids: Deduplicator) -> None:
    assert ids.mark([sight(0, NOON, 0), sight(0, NOON + 5 * HOUR, 1)]) == [None, Repeat(5 * HOUR)]
    assert ids.mark([sight(0, NOON - 2 * HOUR, 2)]) == [Repeat(2 * HOUR)]


def test_c37_the_same_id_of_another_doctype_or_namespace_is_another_document(ids: Deduplicator) -> None:
    first = accepted(raw())
    other = accepted(raw(uri=f"/submit/telemetry/bar/1/{TID}"))
    third = accepted(raw(uri=f"/submit/telemetry/main2/1/{TID}"))
    source = TopicPartition("raw", 0)
    sightings = [Sighting.of(document, source, at) for at, document in enumerate((first, other, third, first))]
    assert ids.mark(sightings) == [None, None, None, Repeat(0)]


def test_an_id_in_another_case_or_version_is_the_same_document(ids: Deduplicator) -> None:
    source = TopicPartition("raw", 0)
    upper, lower = accepted(raw()), accepted(raw(uri=GENERIC_URI.replace(TID, TID.lower())))
    assert ids.mark([Sighting.of(upper, source, 0), Sighting.of(lower, source, 1)]) == [None, Repeat(0)]


def test_the_window_is_exact_on_both_sides(ids: Deduplicator) -> None:
    assert ids.mark([sight(0, NOON, 0)]) == [None]
    assert ids.mark([sight(0, NOON + WINDOW + 1, 1)]) == [None]
    assert ids.mark([sight(0, NOON - WINDOW - 1, 2)]) == [None]
    assert ids.mark([sight(1, NOON, 3), sight(1, NOON + WINDOW, 4), sight(1, NOON - WINDOW, 5)]) == [
        None,
        Repeat(WINDOW),
        Repeat(WINDOW),
    ]


def test_a_repeat_carries_the_window_on(ids: Deduplicator) -> None:
    times = [NOON + hours * HOUR for hours in (0, 20, 40, 60, 86)]
    assert ids.mark([sight(0, at, offset) for offset, at in enumerate(times)]) == [
        None,
        Repeat(20 * HOUR),
        Repeat(20 * HOUR),
        Repeat(20 * HOUR),
        None,
    ]


def test_the_same_record_again_is_no_repeat_of_itself(ids: Deduplicator) -> None:
    batch = [sight(0, NOON, 0), sight(0, NOON, 1), sight(1, NOON, 2), sight(0, NOON + 24 * HOUR, 3)]
    answers = ids.mark(batch)
    assert answers == [None, Repeat(0), None, Repeat(24 * HOUR)]
    again = ids.mark(batch)
    assert [answer is None for answer in again] == [True, False, True, False]


def test_the_same_offset_of_another_partition_is_another_record(ids: Deduplicator) -> None:
    assert ids.mark([sight(0, NOON, 0, partition=0), sight(0, NOON, 0, partition=1)]) == [None, Repeat(0)]


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.mark([sight(0, NOON, 0)])
    first.close()
    second = opened(tmp_path)
    assert second.mark([sight(0, NOON, 1), sight(0, NOON, 0)]) == [Repeat(0), None]
    second.close()


def test_what_was_synced_survives_a_crash_of_the_machine_and_the_rest_is_decided_anew(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.mark([sight(0, NOON, 0), sight(1, NOON - 30 * HOUR, 1)])
    first.sync()
    first.mark([sight(2, NOON, 2)])
    first.close()
    forget_the_boot(tmp_path)
    second = opened(tmp_path)
    assert second.mark([sight(0, NOON, 10), sight(1, NOON - 30 * HOUR, 11)]) == [Repeat(0), Repeat(0)]
    assert second.mark([sight(2, NOON, 12)]) == [None]
    assert second.mark([sight(0, NOON, 0)]) == [None]
    second.close()


def test_a_torn_journal_counts_up_to_the_tear(tmp_path: Path) -> None:
    first = opened(tmp_path)
    for key in range(3):
        first.mark([sight(key, NOON, key)])
        first.sync()
    first.close()
    (journal,) = (tmp_path / "dedup").glob("*/*.journal")
    journal.write_bytes(journal.read_bytes()[:-5])
    forget_the_boot(tmp_path)
    second = opened(tmp_path)
    assert second.mark([sight(key, NOON, 10 + key) for key in range(3)]) == [Repeat(0), Repeat(0), None]
    second.close()


def test_a_repeat_that_is_durable_makes_durable_what_it_repeats(tmp_path: Path) -> None:
    """The first owner dies before its sync, another loader has synced a repeat, then the machine crashes: when the
    first record is read again it must still be the accepted one, or the document would be nowhere."""
    directory = str(tmp_path)
    child = multiprocessing.get_context("spawn").Process(target=mark_and_die, args=(directory,))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    other = opened(tmp_path)
    assert other.mark([sight(0, NOON + 20 * HOUR, 90, partition=1)]) == [Repeat(20 * HOUR)]
    other.sync()
    other.close()
    forget_the_boot(tmp_path)
    heir = opened(tmp_path)
    assert heir.mark([sight(0, NOON, 0)]) == [None]
    assert heir.mark([sight(0, NOON + 20 * HOUR, 90, partition=1)]) == [Repeat(0)]
    heir.close()


def mark_and_die(directory: str) -> None:
    opened(Path(directory)).mark([sight(0, NOON, 0)])
    os.kill(os.getpid(), signal.SIGKILL)


def mark_partition(directory: str, partition: int, answers: multiprocessing.Queue[list[bool]]) -> None:
    ids = opened(Path(directory))
    order = random.Random(partition).sample(range(3000), 3000)
    accepted_here = []
    for start in range(0, len(order), 100):
        batch = [sight(1000 + key, NOON + key * HOUR // 100, key, partition) for key in order[start : start + 100]]
        accepted_here += [
            sighting.offset for sighting, answer in zip(batch, ids.mark(batch), strict=True) if answer is None
        ]
    ids.sync()
    ids.close()
    answers.put(accepted_here)


def test_two_loaders_accept_each_document_exactly_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[list[int]] = context.Queue()
    children = [
        context.Process(target=mark_partition, args=(str(tmp_path), partition, answers)) for partition in range(2)
    ]
    for child in children:
        child.start()
    accepted_by = [answers.get(timeout=60) for _ in children]
    for child in children:
        child.join(60)
    answers.close()
    answers.join_thread()
    assert sorted(accepted_by[0] + accepted_by[1]) == list(range(3000))


def test_the_index_grows_with_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catchment.ingestion.idtable.FIRST_PLACES", 3)
    ids = opened(tmp_path)
    batch = [sight(1000 + number, NOON, number) for number in range(5000)]
    assert ids.mark(batch) == [None] * 5000
    assert all(answer is not None for answer in ids.mark([s._replace(offset=s.offset + 9999) for s in batch]))
    ids.close()


def test_old_ids_are_removed_when_both_clocks_have_passed_them(tmp_path: Path) -> None:
    clock = ManualClock(NOON)
    ids = opened(tmp_path, clock)

    def there() -> int:
        return len(list((tmp_path / "dedup").glob("0*")))

    ids.mark([sight(0, NOON, 0)])
    ids.mark([sight(1, NOON + 1000 * HOUR, 1)])
    assert there() == 2, "a message from the future removes nothing"
    clock.advance(24 * 3600)
    ids.mark([sight(2, clock.time_ns(), 2)])
    assert ids.mark([sight(0, NOON, 3)]) == [Repeat(0)]
    before = there()
    clock.advance(60 * 3600)
    ids.mark([sight(3, clock.time_ns(), 4)])
    clock.advance(61)
    ids.mark([sight(3, clock.time_ns(), 5)])
    assert there() < before + 1
    assert ids.mark([sight(0, NOON, 6)]) == [None]
    ids.close()


def test_a_loader_that_was_down_for_days_still_knows_the_ids_before(tmp_path: Path) -> None:
    clock = ManualClock(NOON)
    ids = opened(tmp_path, clock)
    ids.mark([sight(0, NOON, 0)])
    clock.advance(5 * 86_400)
    assert ids.mark([sight(0, NOON + HOUR, 1)]) == [Repeat(HOUR)]
    ids.close()


def test_one_loader_goes_on_when_another_has_removed_what_it_holds_open(tmp_path: Path) -> None:
    ids = opened(tmp_path)
    ids.mark([sight(0, NOON, 0)])
    for generation in (tmp_path / "dedup").glob("0*"):
        shutil.rmtree(generation)
    assert ids.mark([sight(0, NOON, 1)]) == [None]
    assert ids.mark([sight(0, NOON, 2)]) == [Repeat(0)]
    ids.sync()
    ids.close()


def test_times_from_before_1970_and_far_away_are_times(ids: Deduplicator) -> None:
    for offset, time_ns in enumerate((-HOUR, 0, -(2**63), 2**63 - 1)):
        assert ids.mark([sight(offset, time_ns, 2 * offset), sight(offset, time_ns, 2 * offset + 1)]) == [
            None,
            Repeat(0),
        ]


def test_more_half_windows_than_stay_open_are_all_remembered(ids: Deduplicator) -> None:
    batch = [sight(0, NOON + number * 26 * HOUR, number) for number in range(40)]
    assert ids.mark(batch) == [None] * 40
    again = ids.mark([s._replace(offset=s.offset + 100) for s in batch])
    assert again == [Repeat(0)] * 40
    ids.sync()


def test_a_closed_deduplicator_says_so(tmp_path: Path) -> None:
    ids = opened(tmp_path)
    ids.close()
    ids.close()
    with pytest.raises(Closed, match="open another"):
        ids.mark([sight(0, NOON, 0)])


def test_a_damaged_index_is_refused_with_advice(tmp_path: Path) -> None:
    ids = opened(tmp_path)
    ids.mark([sight(0, NOON, 0)])
    ids.sync()
    ids.close()
    (index,) = (tmp_path / "dedup").glob("*/index")
    index.write_bytes(b"\xff" * 16_384)
    with pytest.raises(Corrupt, match="remove index"):
        opened(tmp_path).mark([sight(0, NOON, 1)])
    index.unlink()
    healed = opened(tmp_path)
    assert healed.mark([sight(0, NOON, 1)]) == [Repeat(0)]
    healed.close()


class DeduplicationMachine(RuleBasedStateMachine):
    """Against a list of all sightings: a repeat is one within the window of an earlier one, unless it is the record
    that was accepted. Whatever crashes, a replay of what was not synced gives the same answers."""

    @initialize()
    def start(self) -> None:
        self.directory = Path(tempfile.mkdtemp(dir=os.environ["CATCHMENT_TEST_IDS"]))
        self.ids = opened(self.directory)
        self.durable: list[tuple[Sighting, bool]] = []
        self.model: list[tuple[Sighting, bool]] = []
        self.times: dict[tuple[int, int], tuple[int, int]] = {}

    def expected(self, sighting: Sighting) -> Repeat | None:
        near = [
            (seen, is_accepted)
            for seen, is_accepted in self.model
            if seen.key == sighting.key and abs(seen.submission_ns - sighting.submission_ns) <= WINDOW
        ]
        if not near or any(is_accepted and seen == sighting for seen, is_accepted in near):
            return None
        return Repeat(min(abs(seen.submission_ns - sighting.submission_ns) for seen, _ in near))

    @rule(batch=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 1)), min_size=1, max_size=6))
    def mark(self, batch: list[tuple[int, int, int]]) -> None:
        """A record is what its partition and offset say: offset n of a partition always has the same id and time."""
        sightings = []
        for key, number, partition in batch:
            hours = self.times.setdefault((partition, number), (key, (number * 37 + partition * 5) % 90))
            sightings.append(sight(hours[0], NOON + hours[1] * HOUR, number, partition))
        answers = self.ids.mark(sightings)
        for sighting, answer in zip(sightings, answers, strict=True):
            expected = self.expected(sighting)
            assert (answer is None) == (expected is None), (sighting, answer, expected)
            if expected is not None and answer is not None:
                # Between the first and the last sighting of a half-window the nearest one is not kept.
                assert expected.delta_ns <= answer.delta_ns <= WINDOW
            self.model.append((sighting, answer is None))

    @rule()
    def sync(self) -> None:
        self.ids.sync()
        self.durable = list(self.model)

    @rule()
    def stop_and_start(self) -> None:
        self.sync()
        self.ids.close()
        self.ids = opened(self.directory)

    @rule()
    def kill(self) -> None:
        """The loader had not committed what it had not synced: it reads that again, and every answer is the same."""
        self.ids.close()
        self.ids = opened(self.directory)
        self.replay()

    @rule()
    def crash_of_the_machine(self) -> None:
        self.ids.close()
        forget_the_boot(self.directory)
        self.ids = opened(self.directory)
        self.replay()

    def replay(self) -> None:
        again = self.model[len(self.durable) :]
        answers = self.ids.mark([sighting for sighting, _ in again])
        assert [answer is None for answer in answers] == [is_accepted for _, is_accepted in again]

    def teardown(self) -> None:
        if hasattr(self, "ids"):
            self.ids.close()


def test_every_history_agrees_with_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATCHMENT_TEST_IDS", str(tmp_path))
    run_state_machine_as_test(
        DeduplicationMachine,
        settings=settings(
            max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )


@settings(max_examples=30, deadline=None)
@given(
    records=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60)), min_size=1, max_size=25),
    crash_at=st.integers(0, 24),
    replay_from=st.integers(0, 24),
)
def test_a_replay_after_a_crash_gives_each_record_its_first_answer(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[int, int]], crash_at: int, replay_from: int
) -> None:
    directory = tmp_path_factory.mktemp("ids")
    sightings = [sight(key, NOON + hours * HOUR, offset) for offset, (key, hours) in enumerate(records)]
    first = opened(directory)
    answers = [first.mark([sighting])[0] is None for sighting in sightings[: crash_at + 1]]
    first.close()
    second = opened(directory)
    start = min(replay_from, len(answers) - 1)
    replayed = [answer is None for answer in second.mark(sightings[start : len(answers)])]
    second.close()
    assert replayed == answers[start:]
