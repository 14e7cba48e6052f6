"""The last five minutes: samples of the platform's totals in a ring, and the rates that follow from them.

A total that a service counts itself starts anew when the service does; `Growth` turns such counters into totals that
only grow, so that a restart is neither a leap nor a fall. Rates are means over `RATE_WINDOW_S`: the loader commits in
steps of seconds, and a rate over less would jump between nothing and plenty.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from catchment.observation import TOPICS, Series, Snapshot

SPAN_S = 300.0
RATE_WINDOW_S = 10.0

_COUNTED = {
    "catchment_lake_rows_total": "rows",
    "catchment_lake_commits_total": "commits",
    "catchment_lake_commit_seconds_sum": "commit_s",
    "catchment_lake_commit_seconds_count": "commits_timed",
    "catchment_edge_flush_seconds_sum": "flush_s",
    "catchment_edge_flush_seconds_count": "flushes",
}
"""Metric → name of the total that is made of it, over all its series."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Totals at one moment. `lag` is a level, not a total: records that wait for the loader."""

    at_s: float
    """On the monotonic clock."""
    time_ns: int
    totals: Mapping[str, float]
    lag: int


@dataclass(frozen=True, slots=True)
class Point:
    """A value `age_s` seconds before the newest sample."""

    age_s: float
    value: float


class Growth:
    """Adds up how much the services' counters grew since they were first seen."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], dict[Series, float]] = {}
        self._sums: dict[str, float] = {}
        self._began_ns: int | None = None

    def take(self, snapshot: Snapshot) -> Mapping[str, float]:
        """The totals after `snapshot`. A service that did not answer keeps its last values."""
        if self._began_ns is None:
            self._began_ns = snapshot.at_ns
        seen: dict[tuple[str, int], dict[Series, float]] = {}
        for service in snapshot.services:
            place = (service.run.name, service.run.pid)
            counted = {series: value for series, value in service.metrics.items() if _name(series)}
            before = self._seen.get(place)
            if before is None and service.run.started_ns <= self._began_ns:
                before = counted  # it ran before we looked: what it had counted by then is not growth
            self._add(before or {}, counted)
            seen[place] = counted or self._seen.get(place, {})
        self._seen = {place: counted for place, counted in seen.items() if counted}
        return dict(self._sums)

    def _add(self, before: Mapping[Series, float], counted: Mapping[Series, float]) -> None:
        for series, value in counted.items():
            name = _name(series)
            assert name is not None
            self._sums[name] = self._sums.get(name, 0.0) + max(value - before.get(series, 0.0), 0.0)


def _name(series: Series) -> str | None:
    metric, labels = series
    if metric == "catchment_edge_requests_total":
        return "accepted" if ("status", "200") in labels else "refused"
    return _COUNTED.get(metric)


class History:
    """A ring of samples, for one writer; `series` and the others read the samples handed to them."""

    def __init__(self, sample_s: float) -> None:
        self._ring: deque[Sample] = deque(maxlen=int((SPAN_S + RATE_WINDOW_S) / sample_s) + 2)
        self._growth = Growth()

    def take(self, snapshot: Snapshot, at_s: float) -> tuple[Sample, ...]:
        """Add a look at the platform; return all samples, the oldest first."""
        totals: dict[str, float] = {topic: float(snapshot.records(topic)) for topic in TOPICS}
        totals["loaded"] = totals["raw"] - snapshot.lag
        totals.update(self._growth.take(snapshot))
        self._ring.append(Sample(at_s, snapshot.at_ns, totals, snapshot.lag))
        return tuple(self._ring)


def growth(samples: Sequence[Sample], name: str, end: int = -1) -> tuple[float, float]:
    """By how much a total grew in the window before sample `end`, and the window's real length in seconds."""
    last = samples[end]
    first = last
    for index in range(len(samples) + end if end < 0 else end, -1, -1):
        if last.at_s - samples[index].at_s > RATE_WINDOW_S + 1e-6:
            break
        first = samples[index]
    grown = last.totals.get(name, 0.0) - first.totals.get(name, 0.0)
    return max(grown, 0.0), last.at_s - first.at_s


def rate(samples: Sequence[Sample], name: str, end: int = -1) -> float:
    """Growth per second in the window before sample `end`; 0 while there is only one sample."""
    grown, seconds = growth(samples, name, end)
    return grown / seconds if seconds > 0 else 0.0


def rates(samples: Sequence[Sample], name: str) -> list[Point]:
    """The rate at each sample of the last five minutes but the first, which has nothing to be compared with."""
    now_s = samples[-1].at_s
    return [
        Point(now_s - samples[index].at_s, rate(samples, name, index))
        for index in range(1, len(samples))
        if now_s - samples[index].at_s <= SPAN_S
    ]


def lags(samples: Sequence[Sample]) -> list[Point]:
    """Records waiting for the loader, at each sample of the last five minutes."""
    now_s = samples[-1].at_s
    return [Point(now_s - sample.at_s, sample.lag) for sample in samples if now_s - sample.at_s <= SPAN_S]


def delay_s(samples: Sequence[Sample]) -> float | None:
    """How old the oldest record is that the loader has not finished; 0 when none waits, None when older than known."""
    last = samples[-1]
    loaded = last.totals["loaded"]
    if last.lag <= 0:
        return 0.0
    for sample in reversed(samples):
        if sample.totals["raw"] <= loaded:
            return last.at_s - sample.at_s
    return None
