"""Metrics: declared once, listed, and shown in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from catchment import metrics


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Take what a test declares out of the process again."""
    declared, registered = dict(metrics._DECLARED), set(REGISTRY._collector_to_names)
    yield
    metrics._DECLARED.clear()
    metrics._DECLARED.update(declared)
    for collector in set(REGISTRY._collector_to_names) - registered:
        REGISTRY.unregister(collector)


def shown(name: str) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        tuple(sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


def test_a_counter_is_listed_with_its_meaning_and_shown_with_its_labels() -> None:
    stones = metrics.counter("test_stones_total", "Stones thrown.", "stones", ["colour"])
    stones.labels("red").inc()
    stones.labels("blue").inc(2)
    assert shown("catchment_test_stones_total") == {("red",): 1.0, ("blue",): 2.0}
    assert (
        metrics.Declaration("catchment_test_stones_total", "counter", "stones", ("colour",), "Stones thrown.")
        in metrics.declared()
    )


def test_a_gauge_goes_down_too() -> None:
    level = metrics.gauge("test_level", "Water level.", "m")
    level.set(3)
    level.dec()
    assert shown("catchment_test_level") == {(): 2.0}


def test_a_histogram_counts_into_its_buckets() -> None:
    took = metrics.histogram("test_took_seconds", "Time taken.", "s", buckets=(0.1, 1.0))
    for seconds in (0.05, 0.5, 5.0):
        took.observe(seconds)
    assert shown("catchment_test_took_seconds_bucket") == {("0.1",): 1.0, ("1.0",): 2.0, ("+Inf",): 3.0}


def test_a_name_is_declared_once() -> None:
    metrics.gauge("test_twice", "First.", "m")
    with pytest.raises(ValueError, match="Duplicated"):
        metrics.gauge("test_twice", "Second.", "m")


def test_declarations_come_sorted_by_name() -> None:
    metrics.gauge("test_b", "B.", "m")
    metrics.gauge("test_a", "A.", "m")
    names = [declaration.name for declaration in metrics.declared()]
    assert names == sorted(names)
