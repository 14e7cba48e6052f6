"""Time as an argument: whoever needs the time takes a `Clock`, so that tests turn it by hand.

Wall time is nanoseconds since 1970-01-01 UTC (`time_ns`); durations are measured on `monotonic_s`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    def time_ns(self) -> int:
        """Wall time, ns since the epoch, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clocks; the wall clock shifted by `offset_s`."""

    def __init__(self, offset_s: float = 0.0) -> None:
        self._offset_ns = round(offset_s * 1e9)

    def time_ns(self) -> int:
        return time.time_ns() + self._offset_ns

    def monotonic_s(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to; for tests and replays."""

    def __init__(self, time_ns: int = 1_500_000_000_000_000_000) -> None:
        self._now_ns = time_ns

    def time_ns(self) -> int:
        return self._now_ns

    def monotonic_s(self) -> float:
        return self._now_ns / 1e9

    def advance(self, seconds: float) -> None:
        """Move both clocks forward by `seconds` (≥ 0)."""
        self._now_ns += round(seconds * 1e9)


def utc(time_ns: int) -> datetime:
    """`time_ns` as an aware UTC datetime, cut to microseconds (floor)."""
    return EPOCH + timedelta(microseconds=time_ns // 1000)
