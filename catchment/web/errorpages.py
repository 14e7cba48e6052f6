"""Refused pings: `/errors` with their rate over time, counts by code and doctype, and samples; `/errors/<name>`: one.

The address holds all filters. Queries run on threads, few at once, and only for our own pages or a person's click.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from catchment.clock import Clock
from catchment.errors import Malformed
from catchment.ingestion.decoder.failure import CODES, Failure
from catchment.ingestion.inspection.failures import Failures, Found, Wanted
from catchment.ingestion.inspection.lines import excerpt
from catchment.ingestion.inspection.moments import moment_ns
from catchment.ingestion.inspection.opened import hide_clients, keyword_of, open_failure
from catchment.web.bars import bars
from catchment.web.guard import refuse_foreign
from catchment.web.rendering import Renderer
from catchment.web.settings import ConsoleSettings

if TYPE_CHECKING:
    from catchment.schemas.registry import Registry

SPANS = ("1h", "6h", "1d", "7d", "30d")
SAMPLES = 20
LINES = 600
THREADS = 2
PARTS = ("since", "namespace", "doctype", "code")

T = TypeVar("T")


class ErrorPages:
    """Answers everything below `/errors`."""

    def __init__(
        self,
        settings: ConsoleSettings,
        clock: Clock,
        renderer: Renderer,
        failures: Failures,
        registry: Callable[[], Registry],
    ) -> None:
        """`registry` is called on a thread."""
        self._settings = settings
        self._clock = clock
        self._renderer = renderer
        self._failures = failures
        self._registry = registry
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="errors")

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def page(self, request: Request) -> Response:
        refuse_foreign(request)
        asked = {part: request.query_params.get(part, "").strip()[:256] for part in PARTS}
        asked["since"] = asked["since"] or "1d"
        now_ns = self._clock.time_ns()
        try:
            wanted = Wanted(moment_ns(asked["since"], now_ns), asked["namespace"], asked["doctype"], asked["code"])
        except Malformed as error:
            return self._renderer.failure(request, 400, "This is no time.", str(error))
        counts, steps, samples = await asyncio.gather(
            self._await(lambda: self._failures.counts(wanted, now_ns)),
            self._await(lambda: self._failures.over_time(wanted, now_ns)),
            self._await(lambda: self._failures.samples(wanted, SAMPLES)),
        )
        values = {
            "page": "errors",
            "asked": asked,
            "spans": SPANS if asked["since"] in SPANS else (asked["since"], *SPANS),
            "codes": sorted(CODES),
            "counts": counts,
            "total": sum(count.pings for count in counts),
            "chart": bars("Refused pings", steps, now_ns),
            "samples": [self._line(found) for found in samples],
            "now_ns": now_ns,
            "link": lambda **changes: "/errors?" + urlencode({**asked, **changes}),
        }
        return self._renderer.page(request, "errors.html", values)

    async def one(self, request: Request) -> Response:
        """One refused ping; of a document id that was refused several times the newest, with links to the others."""
        refuse_foreign(request)
        name = request.path_params["name"]
        found = await self._await(lambda: self._failures.find(name))
        failure = found[0].failure
        shows = self._settings.show_client_ids
        opened = await self._await(lambda: open_failure(failure, self._registry(), shows_clients=shows))
        values = {
            "page": "errors",
            "found": found[0],
            "others": [self._line(other) for other in found[1:]],
            "failure": failure,
            "detail": self._detail(failure),
            "keyword": keyword_of(failure),
            "opened": opened,
            "document": excerpt(opened.document, LINES),
            "schema": excerpt(opened.schema, LINES),
            "place": place_of(failure),
            "now_ns": self._clock.time_ns(),
        }
        return self._renderer.page(request, "error.html", values)

    def _line(self, found: Found) -> dict[str, Any]:
        failure = found.failure
        return {
            "href": f"/errors/{quote(found.name)}",
            "time_ns": failure.submission_ns,
            "code": failure.code,
            "place": place_of(failure),
            "message": failure.message,
            "detail": self._detail(failure),
        }

    def _detail(self, failure: Failure) -> str:
        return failure.detail if self._settings.show_client_ids else hide_clients(failure.detail)

    async def _await(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def place_of(failure: Failure) -> str:
    """`telemetry.main.v4`, as far as the failure knows."""
    place = ".".join(part for part in (failure.namespace, failure.doctype) if part) or "unknown ping"
    return f"{place}.v{failure.version}" if failure.version is not None else place
