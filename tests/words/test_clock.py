"""Clocks: wall time in ns since the epoch, and time that tests turn by hand."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from catchment.clock import EPOCH, ManualClock, SystemClock, utc

END_OF_DATETIME_NS = 253_402_300_799_999_999_999


def test_the_system_clock_tells_the_time_of_the_machine() -> None:
    clock = SystemClock()
    before = datetime.now(UTC)
    told = utc(clock.time_ns())
    assert abs((told - before).total_seconds()) < 5
    assert clock.monotonic_s() <= clock.monotonic_s()


def test_a_manual_clock_moves_only_when_told_to() -> None:
    clock = ManualClock(1_000)
    assert [clock.time_ns(), clock.time_ns()] == [1_000, 1_000]
    started = clock.monotonic_s()
    clock.advance(2.5)
    assert clock.time_ns() == 2_500_001_000
    assert clock.monotonic_s() - started == 2.5


@given(st.integers(0, END_OF_DATETIME_NS))
def test_a_moment_keeps_its_microseconds_exactly(time_ns: int) -> None:
    moment = utc(time_ns)
    since = moment - EPOCH
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    assert moment.tzinfo is UTC
    assert microseconds == time_ns // 1000
