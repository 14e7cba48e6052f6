"""Documents that are noted, because they come into the tables by another way than the loader's."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from catchment.clock import ManualClock
from catchment.errors import Closed
from catchment.events import Events
from catchment.ingestion.deduplication import Accepted, DeduplicationSettings, Deduplicator, Repeat, Sighting

HOUR = 3_600_000_000_000
NOON = 1_530_000_000 * 1_000_000_000
WINDOW = 25 * HOUR


def sight(time_ns: int, offset: int, key: int = 1) -> Sighting:
    return Sighting(bytes((key,)) * 24, time_ns, 7, 0, offset)


def opened(directory: Path) -> Deduplicator:
    return Deduplicator(directory / "ids", DeduplicationSettings(), ManualClock(NOON), Events("loader", StringIO()))


@pytest.fixture
def ids(tmp_path: Path) -> Iterator[Deduplicator]:
    found = opened(tmp_path)
    yield found
    found.close()


@pytest.mark.parametrize("distance_ns", [1, 13 * HOUR, WINDOW])
def test_a_delivery_within_the_window_of_a_noted_one_is_a_repeat(ids: Deduplicator, distance_ns: int) -> None:
    assert ids.note([sight(NOON, 5)]) == [None]
    assert ids.mark([sight(NOON + distance_ns, 9), sight(NOON - distance_ns, 10, 2)]) == [Repeat(distance_ns), None]


def test_a_delivery_behind_the_window_of_a_noted_one_is_accepted(ids: Deduplicator) -> None:
    ids.note([sight(NOON, 5)])
    assert ids.mark([sight(NOON + WINDOW + 1, 9)]) == [None]


def test_what_is_noted_outlives_the_process_and_a_crash_of_the_machine(tmp_path: Path, ids: Deduplicator) -> None:
    ids.note([sight(NOON, 5)])
    ids.sync()
    for boot in (tmp_path / "ids").glob("*/boot"):
        boot.write_text("another boot")
    again = opened(tmp_path)
    assert again.mark([sight(NOON + HOUR, 9)]) == [Repeat(HOUR)]
    again.close()


def test_noting_tells_of_another_accepted_record_and_not_of_itself(ids: Deduplicator) -> None:
    ids.mark([sight(NOON, 5)])
    assert ids.note([sight(NOON, 5)]) == [None]
    assert ids.note([sight(NOON - HOUR, 3), sight(NOON - WINDOW - HOUR, 2)]) == [Accepted(0, 5), None]
    assert ids.mark([sight(NOON, 5)]) == [None]  # it stays the accepted one
    assert ids.mark([sight(NOON - 2 * HOUR, 6)]) == [Repeat(HOUR)]


def test_noting_again_changes_nothing(ids: Deduplicator) -> None:
    for _ in range(2):
        assert ids.note([sight(NOON, 5), sight(NOON, 5)]) == [None, None]
    assert ids.mark([sight(NOON + HOUR, 9)]) == [Repeat(HOUR)]


def test_nothing_is_noted_of_a_time_that_the_window_has_passed(tmp_path: Path, ids: Deduplicator) -> None:
    ids.note([sight(NOON - 40 * 24 * HOUR, 5)])
    assert [path for path in (tmp_path / "ids").iterdir() if path.is_dir()] == []
    ids.mark([sight(NOON - 30 * 24 * HOUR, 1, 2)])  # a loader that is far behind
    ids.note([sight(NOON - 30 * 24 * HOUR, 6)])
    assert ids.mark([sight(NOON - 30 * 24 * HOUR + HOUR, 9)]) == [Repeat(HOUR)]


def test_nothing_is_noted_after_close(tmp_path: Path) -> None:
    closed = opened(tmp_path)
    closed.close()
    with pytest.raises(Closed):
        closed.note([sight(NOON, 5)])
