"""Everything that the live part of the front page says, made of one `Picture`; nothing here looks at the platform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from catchment.observation import ServiceState
from catchment.units import size
from catchment.web import drawing, history
from catchment.web.drawing import Line
from catchment.web.formats import clock_time, count, duration, rate, short
from catchment.web.history import Point, Sample
from catchment.web.running import QueryCounts
from catchment.web.sampling import Picture
from catchment.web.stages import LEVELS, Stage, stages
from catchment.web.verdict import Verdict, verdict

TABLE_STEP_S = 10.0


@dataclass(frozen=True, slots=True)
class ServiceRow:
    name: str
    level: str
    state: str
    running: str
    memory: str
    port: str
    admin_port: str
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """A named line of a chart; `kind` decides its colour."""

    name: str
    kind: str
    line: Line


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with the table behind it: `rows` hold a time and a value for each curve, the newest first."""

    key: str
    title: str
    unit: str
    top: str
    middle: str
    ages: tuple[str, ...]
    """Labels of the time axis, from left to right."""
    curves: tuple[Curve, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Flow:
    number: int
    at: str
    failure: str
    verdict: Verdict
    stages: tuple[Stage, ...]
    services: tuple[ServiceRow, ...]
    charts: tuple[Chart, ...]
    disk: str
    memory: str
    is_moving: bool


def flow(picture: Picture, queries: QueryCounts) -> Flow:
    """Everything that the live part of the front page shows."""
    snapshot, samples = picture.snapshot, picture.samples
    memory_bytes = sum(service.memory_bytes for service in snapshot.services)
    return Flow(
        number=picture.number,
        at=clock_time(snapshot.at_ns, snapshot.at_ns),
        failure=picture.failure,
        verdict=verdict(snapshot, samples),
        stages=stages(snapshot, samples, queries),
        services=tuple(_service(service, snapshot.at_ns) for service in snapshot.services),
        charts=charts(samples),
        disk=f"{size(snapshot.home_bytes)} used, {size(snapshot.free_bytes)} free",
        memory=size(memory_bytes) if memory_bytes else "",
        is_moving=history.rate(samples, "raw") > 0,
    )


def _service(service: ServiceState, now_ns: int) -> ServiceRow:
    run = service.run
    return ServiceRow(
        run.name,
        LEVELS[service.state],
        service.state,
        duration((now_ns - run.started_ns) / 1e9),
        size(service.memory_bytes) if service.memory_bytes else "",
        f"{run.host}:{run.port}" if run.port else "",
        str(run.admin_port),
        service.findings,
    )


def charts(samples: Sequence[Sample]) -> tuple[Chart, ...]:
    """What came and what was loaded; and what waited."""
    flows = [
        ("arrived", "in", history.rates(samples, "raw")),
        ("loaded", "out", history.rates(samples, "loaded")),
        ("errors", "errors", history.rates(samples, "errors")),
    ]
    now_ns = samples[-1].time_ns
    return (
        _chart("rates", "Pings per second: arrived, loaded, refused", "pings/s", flows, now_ns),
        _chart("lag", "Pings that wait for the loader", "pings", [("waiting", "lag", history.lags(samples))], now_ns),
    )


def _chart(key: str, title: str, unit: str, lines: Sequence[tuple[str, str, list[Point]]], now_ns: int) -> Chart:
    top = drawing.ceiling(max((point.value for _, _, points in lines for point in points), default=1.0))
    written = rate if unit == "pings/s" else count
    rows = []
    next_s = 0.0
    for places in zip(*(reversed(points) for _, _, points in lines), strict=True):
        if places[0].age_s + 1e-6 >= next_s:
            at = clock_time(now_ns - round(places[0].age_s * 1e9), now_ns)
            rows.append((at, *(written(point.value) for point in places)))
            next_s = places[0].age_s + TABLE_STEP_S
    span_s = drawing.span_of(lines[0][2])
    ages = (*(f"{duration(span_s * part / 4)} ago" for part in (4, 3, 2, 1)), "now")
    curves = tuple(Curve(name, kind, drawing.line(points, top, span_s)) for name, kind, points in lines)
    return Chart(key, title, unit, short(top), short(top / 2), ages, curves, tuple(rows))
