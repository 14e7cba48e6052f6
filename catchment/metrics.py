"""Metrics: each declared once, beside its user, with name, unit, labels and meaning.

A declaration returns the prometheus_client object itself; `declared()` lists all of them for `docs/metrics.md` and for
the test that holds that page to the code. `exposition()` is what a service's `/metrics` answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest


@dataclass(frozen=True, slots=True)
class Declaration:
    name: str
    kind: str
    unit: str
    labels: tuple[str, ...]
    meaning: str


_DECLARED: dict[str, Declaration] = {}


def _declare(kind: str, name: str, meaning: str, unit: str, labels: Sequence[str]) -> tuple[str, str, tuple[str, ...]]:
    full = f"catchment_{name}"
    _DECLARED[full] = Declaration(full, kind, unit, tuple(labels), meaning)
    return full, f"{meaning} [{unit}]", tuple(labels)


def counter(name: str, meaning: str, unit: str, labels: Sequence[str] = ()) -> Counter:
    """A total that only grows; `name` should end in `_total`."""
    return Counter(*_declare("counter", name, meaning, unit, labels))


def gauge(name: str, meaning: str, unit: str, labels: Sequence[str] = ()) -> Gauge:
    """A value that goes up and down."""
    return Gauge(*_declare("gauge", name, meaning, unit, labels))


def histogram(
    name: str, meaning: str, unit: str, labels: Sequence[str] = (), buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS
) -> Histogram:
    """A distribution over `buckets` (upper bounds, in `unit`)."""
    full, help_text, names = _declare("histogram", name, meaning, unit, labels)
    return Histogram(full, help_text, names, buckets=buckets)


def declared() -> list[Declaration]:
    """All declarations of the modules imported so far, by name."""
    return [_DECLARED[name] for name in sorted(_DECLARED)]


def exposition() -> bytes:
    """All metrics of this process in Prometheus text format 0.0.4."""
    return generate_latest(REGISTRY)
