"""The ledger in the browser: the last hour as a strip on the front page, and a page with filters.

The strip is read when somebody looks, at most once a period, whoever looks. The page's address holds its whole state:
`?period=6h&by=minute&namespace=…&doctype=…`, or `since` and `until` in seconds instead of `period`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from catchment.clock import Clock, utc
from catchment.database.database import Database
from catchment.database.tables import COUNTS
from catchment.errors import CatchmentError
from catchment.ingestion.ledger.balance import STATES, TOLD, Judge, Line, Query, details, lines, summed
from catchment.ingestion.ledger.headings import MINUTE_S
from catchment.ingestion.ledger.settings import LedgerSettings
from catchment.log.port import Log
from catchment.web.formats import count
from catchment.web.rendering import Renderer

STRIP_MINUTES = 60
LINES_SHOWN = 500
PERIODS = {"1h": 3_600, "6h": 21_600, "1d": 86_400, "7d": 604_800, "35d": 3_024_000}
VIEWS = {"doctype": "by doctype", "minute": "by time", "both": "by both"}
_MAX_NAME_CHARS = 200
_LEVELS = {"balanced": "ok", "open": "open", "gap": "warning", "waiting": "warning", "unbalanced": "bad"}
WORDS = {
    "balanced": "all accounted for",
    "open": "still under way",
    "gap": "cannot be judged",
    "waiting": "waits for the loader",
    "unbalanced": "does not balance",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One minute of the strip."""

    key: int
    level: str
    title: str
    href: str


@dataclass(frozen=True, slots=True)
class Strip:
    """The last hour: a cell a minute, the oldest first, and its sums. `failure` says why there is none."""

    cells: tuple[Cell, ...]
    sums: tuple[tuple[str, str], ...]
    level: str
    text: str
    failure: str = ""


class Books:
    """Reads the ledger for pages. Safe to call from several threads."""

    def __init__(
        self, database: Callable[[], Database], log: Log, clock: Clock, settings: LedgerSettings, period_s: float
    ) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._settings = settings
        self._period_s = period_s
        self._lock = threading.Lock()
        self._strip: Strip | None = None
        self._read_s = 0.0

    def strip(self) -> Strip:
        """The last hour; read anew when the last reading is older than the period."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            if self._strip is None or now_s - self._read_s >= self._period_s:
                self._read_s = now_s
                try:
                    self._strip = self._read_strip()
                except CatchmentError as error:
                    self._strip = Strip((), (), "off", "", str(error))
            return self._strip

    def read(self, query: Query, by: str) -> tuple[list[Line], list[dict[str, Any]]]:
        """The lines of a query, summed as wanted, and their details."""
        database = self._database()
        found = lines(database, query, self._judge(database))
        return (found if by == "both" else summed(found, by)), details(database, query)

    def now_s(self) -> int:
        return self._clock.time_ns() // 1_000_000_000

    def _judge(self, database: Database) -> Judge:
        return Judge.of(database, self._log, self._clock.time_ns() / 1e9, self._settings.grace_s)

    def _read_strip(self) -> Strip:
        until_s = (self.now_s() // MINUTE_S + 1) * MINUTE_S
        since_s = until_s - STRIP_MINUTES * MINUTE_S
        found = summed(self.read(Query(since_s, until_s), "both")[0], "minute")
        by_minute = {line.begins_s: line for line in found if line.span_s == MINUTE_S}
        cells = [_cell(minute_s, by_minute.get(minute_s)) for minute_s in range(since_s, until_s, MINUTE_S)]
        return Strip(tuple(cells), _sums(found), *_verdict(found))


class LedgerPages:
    """Answers `/ledger`."""

    def __init__(self, renderer: Renderer, books: Books) -> None:
        self._renderer = renderer
        self._books = books

    async def page(self, request: Request) -> Response:
        state = _state(request.query_params)
        now_s = self._books.now_s()
        since_s = int(state["since"]) if state["since"] else now_s - PERIODS[state["period"]]
        until_s = int(state["until"]) if state["until"] else now_s + 1
        query = Query(since_s, until_s, state["namespace"], state["doctype"])
        loop = asyncio.get_running_loop()
        found, parts = await loop.run_in_executor(None, self._books.read, query, state["by"])
        names = [name for name in COUNTS if name in ("accepted", "stored") or any(line.counts[name] for line in found)]
        level, text = _verdict(found)
        values = {
            "page": "ledger",
            "state": state,
            "since": f"{utc(since_s * 1_000_000_000):%Y-%m-%d %H:%M}",
            "until": f"{utc(until_s * 1_000_000_000):%Y-%m-%d %H:%M}" if state["until"] else "now",
            "level": level,
            "text": text,
            "names": names,
            "rows": [_row(line, names, state) for line in found[:LINES_SHOWN]],
            "hidden": max(len(found) - LINES_SHOWN, 0),
            "details": sorted(parts, key=lambda part: (COUNTS.index(part["kind"]), -part["records"])),
            "periods": [(name, _href({**state, "period": name, "since": "", "until": ""})) for name in PERIODS],
            "views": [(name, words, _href({**state, "by": name})) for name, words in VIEWS.items()],
        }
        return self._renderer.page(request, "ledger.html", values)


def _state(asked: Mapping[str, str]) -> dict[str, str]:
    """The page's state, as far as the address names one that exists."""
    since, until = asked.get("since", ""), asked.get("until", "")
    return {
        "period": asked["period"] if asked.get("period") in PERIODS else "1h",
        "by": asked["by"] if asked.get("by") in VIEWS else "doctype",
        "namespace": asked.get("namespace", "")[:_MAX_NAME_CHARS],
        "doctype": asked.get("doctype", "")[:_MAX_NAME_CHARS],
        "since": since if since.isdecimal() and len(since) < 12 else "",
        "until": until if until.isdecimal() and len(until) < 12 else "",
    }


def _href(state: Mapping[str, str]) -> str:
    kept = {name: value for name, value in state.items() if value and not (name == "period" and state["since"])}
    return f"/ledger?{urlencode(kept)}"


def _span_href(line: Line, state: Mapping[str, str], **more: str) -> str:
    return _href({**state, "since": str(line.begins_s), "until": str(line.ends_s), **more})


def _row(line: Line, names: list[str], state: Mapping[str, str]) -> dict[str, Any]:
    """A line as the table shows it; its link leads one step closer."""
    is_sum = line.doctype == "*"
    name = ".".join(part for part in (line.namespace, line.doctype) if part) or "path not understood"
    closer = {"by": "both"} if is_sum else {"by": "both", "namespace": line.namespace, "doctype": line.doctype}
    return {
        "time": _time(line),
        "name": "" if is_sum else name,
        "counts": [count(line.counts[kind]) for kind in names],
        "balance": f"{line.balance:+,}" if line.balance else "0",
        "level": _LEVELS[line.state],
        "words": WORDS[line.state],
        "href": _span_href(line, state, **closer) if is_sum else _href({**state, **closer}),
    }


def _time(line: Line) -> str:
    if line.begins_s == 0:
        return "unknown"
    begins = utc(line.begins_s * 1_000_000_000)
    return f"{begins:%Y-%m-%d %H:%M}" if line.span_s < 86_400 else f"{begins:%Y-%m-%d}"


def _cell(minute_s: int, line: Line | None) -> Cell:
    time = f"{utc(minute_s * 1_000_000_000):%H:%M}"
    href = f"/ledger?by=both&since={minute_s}&until={minute_s + MINUTE_S}"
    if line is None:
        return Cell(minute_s, "off", f"{time}: no pings", href)
    balance = f" ({line.balance:+,})" if line.balance else ""
    title = f"{time}: {count(line.counts['accepted'])} accepted, {WORDS[line.state]}{balance}"
    return Cell(minute_s, _LEVELS[line.state], title, href)


def _sums(found: list[Line]) -> tuple[tuple[str, str], ...]:
    totals = {name: sum(line.counts[name] for line in found) for name in COUNTS}
    shown = [name for name in COUNTS if name in ("accepted", "stored", "errors", "duplicates") or totals[name]]
    balance = sum(line.balance for line in found)
    return (*((name, count(totals[name])) for name in shown), ("balance", f"{balance:+,}" if balance else "0"))


def _verdict(found: list[Line]) -> tuple[str, str]:
    """Level and sentence for lines together: the worst of them decides."""
    if not found:
        return "off", "Nothing was counted for this time."
    worst = max((line.state for line in found), key=STATES.index)
    if worst in TOLD:
        members = [line.balance for line in found if line.state == worst]
        missing, doubled = sum(max(balance, 0) for balance in members), -sum(min(balance, 0) for balance in members)
        lack = "wait for the loader" if worst == "waiting" else "are missing"
        words = [f"{count(number)} {what}" for number, what in ((missing, lack), (doubled, "are too many")) if number]
        return _LEVELS[worst], f"Of the accepted pings {' and '.join(words) or 'some do not balance'}."
    if worst == "gap":
        return "warning", "All that can be judged is accounted for; some minutes cannot."
    if worst == "open":
        return "ok", "All is accounted for, but for what is still under way."
    return "ok", "Everything accepted is accounted for."
