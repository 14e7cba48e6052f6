"""Token buckets: what goes through, whatever the times, and that the same input gives the same decisions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catchment import config
from catchment.errors import BadConfig
from catchment.ingestion.limits import buckets as module
from catchment.ingestion.limits.buckets import SHARED, Bucket, Buckets
from catchment.ingestion.limits.settings import Limit, LimitSettings, limit_of

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
MAIN = ("telemetry", "main")


def buckets_of(rate: float, burst: float) -> Buckets:
    return Buckets(lambda namespace, doctype: Limit.of(rate, burst))


def test_a_burst_goes_through_and_then_the_rate() -> None:
    buckets = buckets_of(2, 5)
    assert [buckets.admits(MAIN, START) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [buckets.admits(MAIN, START + SECOND) for _ in range(3)] == [True, True, False]
    assert [buckets.admits(MAIN, START + 3600 * SECOND) for _ in range(6)] == [True] * 5 + [False]


def test_doctypes_do_not_take_from_each_other() -> None:
    buckets = buckets_of(1, 1)
    assert buckets.admits(MAIN, START) and not buckets.admits(MAIN, START)
    assert buckets.admits(("telemetry", "event"), START)


def test_time_that_runs_back_fills_nothing_and_does_not_stop_the_filling() -> None:
    buckets = buckets_of(1, 1)
    assert buckets.admits(MAIN, START + 10**9 * SECOND)
    assert not buckets.admits(MAIN, START)
    assert buckets.admits(MAIN, START + SECOND)


def test_no_limit_keeps_no_buckets() -> None:
    buckets = buckets_of(0, 0)
    assert all(buckets.admits(MAIN, START) for _ in range(1000))
    assert buckets.held == {}


@given(st.floats(0.1, 100), st.integers(1, 50), st.lists(st.integers(0, 3 * SECOND), max_size=200))
def test_never_more_than_the_burst_and_the_rate(rate: float, burst: int, pauses: list[int]) -> None:
    buckets, time_ns, admitted = buckets_of(rate, burst), START, 0
    for pause_ns in pauses:
        time_ns += pause_ns
        admitted += buckets.admits(MAIN, time_ns)
        assert admitted <= burst + rate * (time_ns - START) / SECOND + 1e-6


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-SECOND, SECOND)), max_size=100), st.integers(0, 100))
def test_going_on_from_kept_buckets_decides_the_same(steps: list[tuple[str, int]], cut: int) -> None:
    once, first, times = buckets_of(1, 2), buckets_of(1, 2), []
    time_ns = START
    for _, step_ns in steps:
        time_ns += step_ns
        times.append(time_ns)
    keys = [("shop", name) for name, _ in steps]
    decided = [once.admits(key, time) for key, time in zip(keys, times, strict=True)]
    begun = [first.admits(key, time) for key, time in zip(keys[:cut], times[:cut], strict=True)]
    second = buckets_of(1, 2)
    second.held = {key: Bucket(bucket.tokens, bucket.at_ns) for key, bucket in first.held.items()}
    assert begun + [second.admits(key, time) for key, time in zip(keys[cut:], times[cut:], strict=True)] == decided


def test_invented_doctypes_take_no_memory_and_share_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 10)
    buckets = buckets_of(1, 2)
    admitted = sum(buckets.admits(("evil", f"type{number}"), START) for number in range(1000))
    assert len(buckets.held) == 11 and SHARED in buckets.held
    assert admitted == 10 + 2
    later = START + 3600 * SECOND
    assert buckets.admits(("evil", "another"), later)
    assert len(buckets.held) <= 2


def test_the_narrowest_rule_holds() -> None:
    settings = LimitSettings(rate=1, doctypes=("telemetry/main=50:500", "telemetry/*=5", "shop/order=0"))
    assert limit_of(settings, "telemetry", "main") == Limit(50, 500)
    assert limit_of(settings, "telemetry", "event") == Limit(5, 50)
    assert limit_of(settings, "shop", "order").rate == 0
    assert limit_of(settings, "shop", "refund") == Limit(1, 10)
    assert not LimitSettings(doctypes=("shop/order=0",)).is_on


@pytest.mark.parametrize(
    "rule", ["main=5", "telemetry/main", "telemetry/main=", "telemetry/main=-1", "a/b=1:x", "*/*=1"]
)
def test_a_bad_rule_is_refused_with_an_example(rule: str) -> None:
    with pytest.raises(BadConfig, match=r"must be namespace/doctype=rate or …=rate:burst, for example"):
        config.load({"limits": LimitSettings}, environment={"CATCHMENT_LIMITS__DOCTYPES": f"shop/order=1,{rule}"})
