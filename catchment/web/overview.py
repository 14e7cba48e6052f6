"""The front page: the flow, the last pings and errors, and a box for SQL; and its live parts alone."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from catchment.clock import Clock
from catchment.observation import Snapshot
from catchment.web.flow import flow
from catchment.web.ledgerpages import Books
from catchment.web.rendering import Renderer
from catchment.web.running import MAX_SQL_CHARS, Queries
from catchment.web.sampling import Sampler
from catchment.web.settings import ConsoleSettings
from catchment.web.shelf import examples
from catchment.web.tails import Ping, Refused, Tail

BOX_ROWS = 4


class OverviewPages:
    """Answers `/` and `/live`."""

    def __init__(
        self,
        settings: ConsoleSettings,
        clock: Clock,
        renderer: Renderer,
        sampler: Sampler,
        pings: Tail[Ping],
        errors: Tail[Refused],
        books: Books,
        queries: Queries,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._renderer = renderer
        self._sampler = sampler
        self._pings = pings
        self._errors = errors
        self._books = books
        self._queries = queries
        self._kept: tuple[int, str] = (-1, "")
        self._rendering = asyncio.Lock()

    async def front(self, request: Request) -> Response:
        values = {
            "page": "flow",
            "period_ms": round(self._settings.sample_s * 1000),
            "rows": BOX_ROWS,
            "max_chars": MAX_SQL_CHARS,
            "sql": request.query_params.get("q", "")[:MAX_SQL_CHARS],
            "outcome": None,
            "examples": examples(tables_of(self._sampler.picture.snapshot)),
        }
        return self._renderer.page(request, "flow.html", {**values, **await self._live()})

    async def live(self, request: Request) -> Response:
        """The live parts, rendered once for all viewers of the same picture."""
        async with self._rendering:
            number = self._sampler.picture.number
            if self._kept[0] != number:
                self._kept = (number, self._renderer.text("live.html", await self._live()))
            return HTMLResponse(self._kept[1])

    async def _live(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        pings = await loop.run_in_executor(None, self._pings.rows)
        errors = await loop.run_in_executor(None, self._errors.rows)
        strip = await loop.run_in_executor(None, self._books.strip)
        picture = self._sampler.picture
        return {
            "flow": flow(picture, self._queries.counts),
            "pings": pings,
            "errors": errors,
            "strip": strip,
            "now_ns": self._clock.time_ns(),
            "curl": curl(picture.snapshot),
        }


def tables_of(snapshot: Snapshot) -> list[str]:
    """Tables that got rows since their loader started; most rows first."""
    rows: dict[str, float] = {}
    for service in snapshot.services:
        for (name, labels), value in service.metrics.items():
            if name == "catchment_lake_rows_total":
                table = dict(labels).get("table", "")
                rows[table] = rows.get(table, 0.0) + value
    return sorted(rows, key=lambda table: (-rows[table], table))


def curl(snapshot: Snapshot) -> str:
    """A command that sends one ping to the edge as it runs now."""
    edge = next((service.run for service in snapshot.services if service.run.kind == "edge" and service.run.port), None)
    host, port = (edge.host, edge.port) if edge else ("127.0.0.1", 8000)
    host = "127.0.0.1" if host in ("0.0.0.0", "") else "[::1]" if host == "::" else host
    body = '{"version": 4, "type": "event", "clientId": "\'$(uuidgen)\'", "payload": {"reason": "periodic"}}'
    path = "/submit/telemetry/$(uuidgen)/event/MyApp/1.0/release/20261101000000?v=4"
    return f"curl -i \"http://{host}:{port}{path}\" \\\n  -d '{body}'"
