"""The pings are valid by both schema sets, as large as asked for, and the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from catchment.producers import pings
from catchment.producers.histograms import KEYED, PROBES, draw_histogram, lower_bounds
from catchment.schemas.registry import BUILTIN, Registry

SEEDS = 40
SIZES = (500, 800, 1199, 1200, 2499, 2500, 5000, 8999, 9000, 12_000, 20_000, 35_000, 60_000)
Build = Callable[[random.Random], dict[str, Any]]


def sized(build: Callable[[random.Random, int], dict[str, Any]], size: int) -> Build:
    return lambda rng: build(rng, size)


BUILDERS: dict[str, tuple[tuple[str, str, int], Build]] = {
    **{f"main {size}": (("telemetry", "main", 4), sized(pings.main_ping, size)) for size in SIZES},
    **{f"event {size}": (("telemetry", "event", 4), sized(pings.event_ping, size)) for size in SIZES[::3]},
    "new-profile": (("telemetry", "new-profile", 4), pings.new_profile_ping),
    "crash": (("telemetry", "crash", 4), pings.crash_ping),
    "baseline": (("firefox-desktop", "baseline", 1), pings.baseline_ping),
    "health": (("firefox-desktop", "health", 1), pings.health_ping),
}


@pytest.fixture(scope="module")
def builtin() -> Registry:
    return Registry.load([BUILTIN])


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Registry:
    return Registry.load([shared_data / "pipeline-schemas" / "schemas"])


def check(registry: Registry, name: str) -> None:
    kind, build = BUILDERS[name]
    schema = registry.find(*kind)
    assert schema is not None
    for seed in range(SEEDS):
        assert schema.violation(orjson.loads(orjson.dumps(build(random.Random(seed))))) is None, (name, seed)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_ping_is_valid_by_the_built_in_schema(builtin: Registry, name: str) -> None:
    check(builtin, name)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_ping_is_valid_by_the_pipelines_own_schema(real: Registry, name: str) -> None:
    check(real, name)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_ping_follows_from_its_seed(name: str) -> None:
    _, build = BUILDERS[name]
    first, again, other = build(random.Random(3)), build(random.Random(3)), build(random.Random(4))
    assert orjson.dumps(first) == orjson.dumps(again) != orjson.dumps(other)


@pytest.mark.parametrize("size", SIZES)
def test_a_main_ping_is_as_large_as_asked_for(size: int) -> None:
    made = [len(orjson.dumps(pings.main_ping(random.Random(seed), size))) for seed in range(SEEDS)]
    assert all(size * 0.8 - 120 <= found <= size + 200 for found in made), made
    assert abs(sum(made) / SEEDS - size) < 0.1 * size + 100


def test_the_smallest_and_the_largest_are_reached() -> None:
    small = len(orjson.dumps(pings.main_ping(random.Random(1), pings.SMALLEST)))
    large = max(len(orjson.dumps(pings.main_ping(random.Random(seed), pings.LARGEST))) for seed in range(10))
    assert small < 650
    assert large > 59_800


def test_a_histogram_is_consistent_with_itself() -> None:
    rng = random.Random(5)
    for probe in [*PROBES, *(probe for probe, _ in KEYED)]:
        bounds = lower_bounds(probe.kind, probe.high, probe.bucket_count)
        assert len(bounds) == len(set(bounds)) == probe.bucket_count, probe.name
        assert list(bounds) == sorted(bounds)
        histogram = draw_histogram(rng, probe, hours=rng.random() * 3)
        values = {int(bound): count for bound, count in histogram["values"].items()}
        assert set(values) <= set(bounds), probe.name
        assert list(values) == sorted(values)
        assert sum(values.values()) >= 1
        above = dict(zip(bounds, [*bounds[1:], bounds[-1] + 1], strict=True))
        lowest = sum(bound * count for bound, count in values.items())
        assert lowest <= histogram["sum"] <= sum((above[bound] - 1) * count for bound, count in values.items())


def test_exponential_buckets_are_firefoxs() -> None:
    """The bounds that `{"bucket_count": 20, "range": [1, 30000]}` of a real Firefox shows."""
    assert {0, 12, 21, 37} <= set(lower_bounds(0, 30_000, 20))
    assert {80, 86, 93} <= set(lower_bounds(0, 10_000, 100))
    assert {3, 5, 23, 35} <= set(lower_bounds(0, 2000, 20))


def test_no_two_keyed_measures_share_a_name() -> None:
    names = [probe.name for probe in PROBES] + [probe.name for probe, _ in KEYED]
    assert len(names) == len(set(names))
