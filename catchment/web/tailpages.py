"""Live tail: `/tail` with the last pings and the filters in its address, `/tail/stream` with what comes after them.

The stream is server-sent events; each holds rows as HTML, the number of pings left out, and the debug ids seen lately.
A row's key names its raw record, so that what the page has already is not shown twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from catchment.clock import Clock
from catchment.ingestion.inspection.following import KINDS, Filter, Sight, latest
from catchment.ingestion.inspection.opened import hide_clients
from catchment.log.port import Log
from catchment.schemas.names import table_name
from catchment.web.guard import refuse_foreign
from catchment.web.rendering import Renderer
from catchment.web.settings import ConsoleSettings
from catchment.web.watching import KEPT_SIGHTS, DebugId, Hub

SHOWN = 50
"""Pings on the page before the stream begins."""
TEXT_CHARS = 12_000
NAMES = ("namespace", "doctype", "client_id", "debug_id")
MAX_CHARS = 256
ROWS_AT_ONCE = 100
PAUSE_S = 0.1
STILL_HERE_S = 15.0


@dataclass(frozen=True, slots=True)
class Row:
    """A ping as the page shows it."""

    key: str
    sight: Sight
    text: str
    is_cut: bool
    client: str
    query: str


class TailPages:
    """Answers everything below `/tail`."""

    def __init__(self, settings: ConsoleSettings, clock: Clock, renderer: Renderer, log: Log, hub: Hub) -> None:
        self._settings = settings
        self._clock = clock
        self._renderer = renderer
        self._log = log
        self._hub = hub

    async def page(self, request: Request) -> Response:
        wanted = filter_of(request)
        loop = asyncio.get_running_loop()
        sights = await loop.run_in_executor(None, latest, self._log, wanted, KEPT_SIGHTS, SHOWN)
        values = {
            "page": "tail",
            "wanted": wanted,
            "kinds": list(KINDS.values()),
            "is_all": len(wanted.kinds) == len(KINDS),
            "query": query_of(wanted),
            "kept": KEPT_SIGHTS,
            **self._rows(sights, wanted),
            **self._debug(debug_ids(sights, self._hub.debug_ids())),
        }
        return self._renderer.page(request, "tail.html", values)

    async def stream(self, request: Request) -> Response:
        """Server-sent events until the browser leaves or the console stops."""
        refuse_foreign(request)
        return StreamingResponse(self._events(filter_of(request)), media_type="text/event-stream")

    async def _events(self, wanted: Filter) -> AsyncIterator[bytes]:
        viewer = self._hub.watch(wanted)
        loop = asyncio.get_running_loop()
        try:
            yield b": watching\n\n"
            while not self._hub.is_closed:
                try:
                    sights, missed = await asyncio.wait_for(viewer.take(), STILL_HERE_S)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                shown = sights[-ROWS_AT_ONCE:]
                told = await loop.run_in_executor(None, self._told, shown, wanted, missed + len(sights) - len(shown))
                yield b"data: " + told + b"\n\n"
                await asyncio.sleep(PAUSE_S)
        finally:
            self._hub.leave(viewer)

    def _told(self, sights: Sequence[Sight], wanted: Filter, missed: int) -> bytes:
        rows = self._renderer.text("sights.html", self._rows(list(reversed(sights)), wanted))
        debug = self._renderer.text("debugids.html", self._debug(self._hub.debug_ids()))
        return orjson.dumps({"rows": rows, "missed": missed, "debug": debug})

    def _rows(self, sights: Sequence[Sight], wanted: Filter) -> dict[str, Any]:
        return {
            "rows": [self._row(sight) for sight in sights],
            "is_open": bool(wanted.debug_id),
            "now_ns": self._clock.time_ns(),
        }

    def _debug(self, found: Sequence[DebugId]) -> dict[str, Any]:
        return {"debug_ids": found, "now_ns": self._clock.time_ns()}

    def _row(self, sight: Sight) -> Row:
        text = pretty(sight)
        client = sight.client_id
        if not self._settings.show_client_ids:
            text = hide_clients(text)
            client = f"{client[:4]}…" if client else ""
        query = ""
        if sight.kind == "document" and sight.version is not None:
            table = table_name(sight.namespace, sight.doctype, sight.version)
            query = f"select *\nfrom {table}\nwhere document_id = '{sight.document_id}'"
        return Row(f"{sight.kind} {sight.source}", sight, text[:TEXT_CHARS], len(text) > TEXT_CHARS, client, query)


def filter_of(request: Request) -> Filter:
    """The filter that a page's address holds."""
    asked = request.query_params
    kinds = frozenset(asked.getlist("kind")) & frozenset(KINDS.values())
    namespace, doctype, client_id, debug_id = (asked.get(name, "").strip()[:MAX_CHARS] for name in NAMES)
    return Filter(namespace, doctype, client_id, debug_id, kinds or frozenset(KINDS.values()))


def query_of(wanted: Filter) -> str:
    """A filter as it stands in an address; empty for one that takes all."""
    pairs = [(name, getattr(wanted, name)) for name in NAMES if getattr(wanted, name)]
    if len(wanted.kinds) < len(KINDS):
        pairs += [("kind", kind) for kind in sorted(wanted.kinds)]
    return urlencode(pairs)


def debug_ids(sights: Sequence[Sight], known: Sequence[DebugId]) -> list[DebugId]:
    """Those that the hub knows, and those of the pings on the page."""
    found = {debug.name: debug for debug in known}
    for sight in sights:
        if sight.debug_id and sight.debug_id not in {debug.name for debug in known}:
            debug = found.setdefault(sight.debug_id, DebugId(sight.debug_id, 0, sight.time_ns))
            debug.pings += 1
    return sorted(found.values(), key=lambda debug: debug.latest_ns, reverse=True)


def pretty(sight: Sight) -> str:
    """The ping's text, one value a line when it is JSON."""
    text = sight.text
    if text is None:
        return f"{len(sight.body):,} bytes that cannot be gunzipped"
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return text.decode("utf-8", "replace")
