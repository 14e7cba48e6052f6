"""The stations of the flow: producers, edge, log, loader, lake, SQL.

Each has one number that matters, its last minutes as a line, and two facts. `level` is "ok", "warning", "bad" or "off"
and decides the colour; `state` says the same in a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from catchment.observation import Snapshot
from catchment.web import drawing, history
from catchment.web.drawing import Line
from catchment.web.formats import count, duration, rate
from catchment.web.history import Point, Sample
from catchment.web.running import QueryCounts
from catchment.web.verdict import LATE_S, REFUSED_SHARE

LEVELS = {"up": "ok", "unhealthy": "warning", "silent": "bad", "down": "bad"}
"""State of a service → level."""


@dataclass(frozen=True, slots=True)
class Fact:
    label: str
    value: str
    title: str = ""
    level: str = "ok"


@dataclass(frozen=True, slots=True)
class Stage:
    """One station of the flow. `unit` follows the headline number; `title` says what the line draws."""

    key: str
    name: str
    level: str
    state: str
    value: str
    unit: str
    line: Line
    title: str
    facts: tuple[Fact, ...]


def stages(snapshot: Snapshot, samples: Sequence[Sample], queries: QueryCounts) -> tuple[Stage, ...]:
    """The stations in the order of the flow."""
    return (
        _producers(snapshot, samples),
        _edge(snapshot, samples),
        _log(snapshot, samples),
        _loader(snapshot, samples),
        _lake(snapshot, samples),
        _sql(snapshot, queries),
    )


def _producers(snapshot: Snapshot, samples: Sequence[Sample]) -> Stage:
    answered = history.rate(samples, "accepted") + history.rate(samples, "refused")
    connections = snapshot.total("catchment_edge_connections")
    return Stage(
        "producers",
        "Producers",
        "ok" if answered else "off",
        "sending" if answered else "silent",
        rate(answered),
        "requests/s",
        _line(samples, "accepted"),
        _title("Accepted requests per second", history.rates(samples, "accepted")),
        (Fact("connections", count(connections), "Open connections to the edge"),),
    )


def _edge(snapshot: Snapshot, samples: Sequence[Sample]) -> Stage:
    refused = history.rate(samples, "refused")
    return Stage(
        "edge",
        "Edge",
        *_state(snapshot, "edge"),
        rate(history.rate(samples, "raw")),
        "pings/s",
        _line(samples, "raw"),
        _title("Pings made durable per second", history.rates(samples, "raw")),
        (
            Fact("on disk in", _mean(samples, "flush_s", "flushes"), "Mean time until a batch of pings is durable"),
            Fact(
                "refused",
                f"{rate(refused)} /s",
                "Requests not answered 200",
                _share_level(refused, history.rate(samples, "raw")),
            ),
        ),
    )


def _log(snapshot: Snapshot, samples: Sequence[Sample]) -> Stage:
    total = snapshot.records("raw")
    delay = history.delay_s(samples)
    level, state = ("ok", "durable") if total else ("off", "empty")
    if delay is None or delay > LATE_S:
        level, state = "warning", "filling"
    return Stage(
        "log",
        "Log",
        level,
        state,
        count(snapshot.lag),
        "waiting",
        _drawn(history.lags(samples)),
        _title("Pings that wait for the loader", history.lags(samples)),
        (
            Fact("oldest waits", "–" if delay is None else duration(delay) if delay else "none", "Age of the oldest"),
            Fact("total", count(total), "Pings ever written to topic raw"),
            Fact(
                "to archive",
                count(snapshot.unarchived),
                "Pings that are not in the landfill yet; it gets them every few minutes",
                _state(snapshot, "archiver")[0],
            ),
        ),
    )


def _loader(snapshot: Snapshot, samples: Sequence[Sample]) -> Stage:
    errors, duplicates = history.rate(samples, "errors"), history.rate(samples, "duplicates")
    return Stage(
        "loader",
        "Loader",
        *_state(snapshot, "loader"),
        rate(history.rate(samples, "loaded")),
        "pings/s",
        _line(samples, "loaded"),
        _title("Pings decoded and committed per second", history.rates(samples, "loaded")),
        (
            Fact(
                "errors",
                f"{rate(errors)} /s",
                "Pings that are refused, kept whole",
                _share_level(errors, history.rate(samples, "loaded")),
            ),
            Fact("duplicates", f"{rate(duplicates)} /s", "Pings that had come before"),
        ),
    )


def _lake(snapshot: Snapshot, samples: Sequence[Sample]) -> Stage:
    written = snapshot.records("decoded")
    tables = {
        dict(labels).get("table", "")
        for service in snapshot.services
        for (name, labels) in service.metrics
        if name == "catchment_lake_rows_total"
    }
    return Stage(
        "lake",
        "Lake",
        "ok" if written else "off",
        "committed" if written else "empty",
        rate(history.rate(samples, "rows")),
        "rows/s",
        _line(samples, "rows"),
        _title("Rows committed to tables per second", history.rates(samples, "rows")),
        (
            Fact("a commit takes", _mean(samples, "commit_s", "commits_timed"), "Mean time of a table's commit"),
            Fact("tables written", count(len(tables)), "Tables that got rows since the loader started"),
        ),
    )


def _sql(snapshot: Snapshot, queries: QueryCounts) -> Stage:
    last = f"{duration(queries.last_s)}" if queries.last_s is not None else "–"
    return Stage(
        "sql",
        "SQL",
        "ok",
        "ready" if not queries.running else "busy",
        count(queries.running),
        "running",
        Line("", ""),
        "",
        (
            Fact("last query took", last, "Time of the query that ended last in this console"),
            Fact("answered", count(queries.answered), "Queries answered since this console started"),
        ),
    )


def _share_level(part: float, whole: float) -> str:
    return "warning" if part > REFUSED_SHARE * whole else "ok"


def _state(snapshot: Snapshot, kind: str) -> tuple[str, str]:
    """Level and word for all services of a kind: the worst of them."""
    members = [service for service in snapshot.services if service.run.kind == kind]
    if not members:
        return "off", "not running"
    bad = [service for service in members if service.state != "up"]
    if not bad:
        return "ok", "up" if len(members) == 1 else f"{len(members)} up"
    worst = max(bad, key=lambda service: LEVELS[service.state] == "bad")
    return LEVELS[worst.state], worst.state if len(members) == 1 else f"{len(bad)} of {len(members)} {worst.state}"


def _line(samples: Sequence[Sample], name: str) -> Line:
    return _drawn(history.rates(samples, name))


def _drawn(points: Sequence[Point]) -> Line:
    highest = max((point.value for point in points), default=0.0)
    return drawing.line(points, highest * 1.15 or 1.0, drawing.span_of(points))


def _title(what: str, points: Sequence[Point]) -> str:
    if not points:
        return what
    span = duration(drawing.span_of(points))
    highest = max(point.value for point in points)
    return f"{what}, last {span}: now {rate(points[-1].value)}, at most {rate(highest)}"


def _mean(samples: Sequence[Sample], total: str, number: str) -> str:
    """Mean time in the window, a dash when nothing happened in it."""
    happened, _ = history.growth(samples, number)
    spent, _ = history.growth(samples, total)
    return duration(spent / happened) if happened else "–"
