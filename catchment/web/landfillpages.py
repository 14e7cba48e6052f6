"""The landfill in the browser: what is archived, by day, hour or doctype, and when it was last read through.

Everything comes from the objects' indexes and the checks beside them; no object is opened. The page's address holds its
whole state: `?period=7d&by=day&namespace=…&doctype=…`. An object holds submissions of all doctypes, so the sizes are
those of whole objects, and doctypes have none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from catchment.clock import Clock, utc
from catchment.ingestion.landfill.checks import Check, last_of
from catchment.ingestion.landfill.layout import Count, Index
from catchment.units import size
from catchment.web.formats import age, count
from catchment.web.rendering import Renderer

if TYPE_CHECKING:
    from catchment.ingestion.landfill.shelf import Landfill

PERIODS = {"1d": 86_400, "7d": 604_800, "35d": 3_024_000}
VIEWS = {"day": "by day", "hour": "by hour", "doctype": "by doctype", "both": "by both"}
LINES_SHOWN = 500
_MAX_NAME_CHARS = 200
_NS_A_SECOND = 1_000_000_000


@dataclass(slots=True)
class _Line:
    """What a day, an hour or a doctype has."""

    time: str
    name: str
    objects: set[str] = field(default_factory=set)
    records: int = 0
    size_bytes: int = 0
    earliest_ns: int = 1 << 62
    latest_ns: int = 0

    def add(self, index: Index, counts: Sequence[Count]) -> None:
        if index.key not in self.objects:
            self.objects.add(index.key)
            self.size_bytes += index.size_bytes
        self.records += sum(one.records for one in counts)
        self.earliest_ns = min(self.earliest_ns, *(one.earliest_ns for one in counts))
        self.latest_ns = max(self.latest_ns, *(one.latest_ns for one in counts))


class LandfillPages:
    """Answers `/landfill`."""

    def __init__(self, renderer: Renderer, landfill: Callable[[], Landfill], clock: Clock) -> None:
        """`landfill` is called on a thread."""
        self._renderer = renderer
        self._landfill = landfill
        self._clock = clock

    async def page(self, request: Request) -> Response:
        state = _state(request.query_params)
        now_ns = self._clock.time_ns()
        since_ns = now_ns - PERIODS[state["period"]] * _NS_A_SECOND
        loop = asyncio.get_running_loop()
        indexes, checks = await loop.run_in_executor(None, self._read, since_ns, now_ns + 1)
        found = [(index, index.matching(state["namespace"] or None, state["doctype"] or None)) for index in indexes]
        lines = _lines([(index, counts) for index, counts in found if counts], state["by"])
        level, text = _verdict(lines, checks)
        values = {
            "page": "landfill",
            "state": state,
            "since": f"{utc(since_ns):%Y-%m-%d %H:%M}",
            "level": level,
            "text": text,
            "rows": [_row(line, checks, now_ns, state["by"]) for line in lines[:LINES_SHOWN]],
            "hidden": max(len(lines) - LINES_SHOWN, 0),
            "periods": [(name, _href({**state, "period": name})) for name in PERIODS],
            "views": [(name, words, _href({**state, "by": name})) for name, words in VIEWS.items()],
        }
        return self._renderer.page(request, "landfill.html", values)

    def _read(self, since_ns: int, until_ns: int) -> tuple[list[Index], list[Check]]:
        landfill = self._landfill()
        return landfill.indexes(since_ns, until_ns), landfill.checks()


def _state(asked: Mapping[str, str]) -> dict[str, str]:
    """The page's state, as far as the address names one that exists."""
    return {
        "period": asked["period"] if asked.get("period") in PERIODS else "7d",
        "by": asked["by"] if asked.get("by") in VIEWS else "day",
        "namespace": asked.get("namespace", "")[:_MAX_NAME_CHARS],
        "doctype": asked.get("doctype", "")[:_MAX_NAME_CHARS],
    }


def _href(state: Mapping[str, str]) -> str:
    return f"/landfill?{urlencode({name: value for name, value in state.items() if value})}"


def _lines(found: Sequence[tuple[Index, Sequence[Count]]], by: str) -> list[_Line]:
    """The newest time first, then by name."""
    lines: dict[tuple[str, str], _Line] = {}
    for index, counts in found:
        for key, members in _parts(index, counts, by):
            lines.setdefault(key, _Line(*key)).add(index, members)
    by_name = sorted(lines.values(), key=lambda line: line.name)
    return sorted(by_name, key=lambda line: line.time, reverse=True)


def _parts(index: Index, counts: Sequence[Count], by: str) -> Iterator[tuple[tuple[str, str], Sequence[Count]]]:
    """The lines that an object belongs to, as time and name, and what each gets of it."""
    day, hour = index.key.split("/")[1:3]
    if by in ("day", "hour"):
        yield (day if by == "day" else f"{day} {hour}:00", ""), counts
        return
    for one in counts:
        name = ".".join(part for part in (one.namespace, one.doctype) if part) or "path not understood"
        yield ("" if by == "doctype" else day, name), (one,)


def _row(line: _Line, checks: Sequence[Check], now_ns: int, by: str) -> dict[str, Any]:
    check = last_of(checks, line.earliest_ns, line.latest_ns)
    return {
        "time": line.time,
        "name": line.name,
        "objects": count(len(line.objects)),
        "records": count(line.records),
        "size": size(line.size_bytes) if by in ("day", "hour") else "",
        "earliest": _second(line.earliest_ns),
        "latest": _second(line.latest_ns),
        "level": "off" if check is None else "bad" if check.problems else "ok",
        "verified": "never" if check is None else age(check.at_ns, now_ns),
        "problems": "" if check is None or not check.problems else f"{count(check.problems)} problems",
    }


def _second(time_ns: int) -> str:
    return f"{utc(time_ns):%Y-%m-%d %H:%M:%S}"


def _verdict(lines: Sequence[_Line], checks: Sequence[Check]) -> tuple[str, str]:
    """Level and sentence for what is shown."""
    if not lines:
        return "off", "Nothing is archived of this time"
    objects = {key for line in lines for key in line.objects}
    held = f"{count(sum(line.records for line in lines))} submissions in {count(len(objects))} objects"
    found = [last_of(checks, line.earliest_ns, line.latest_ns) for line in lines]
    if any(check is not None and check.problems for check in found):
        return "bad", f"{held}; the last check has found problems"
    if None in found:
        return "ok", f"{held}, not all of them checked"
    return "ok", f"{held}, all as archived when they were checked last"
