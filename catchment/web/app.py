"""The console as an ASGI application: its parts, its routes in one list, and what an error looks like."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from catchment import health
from catchment.errors import CatchmentError, Missing
from catchment.events import Events
from catchment.health import WARNING, Check, Finding
from catchment.ingestion.inspection.failures import Failures
from catchment.web.catalogue.section import CatalogueSection
from catchment.web.errorpages import ErrorPages
from catchment.web.ground import Platform
from catchment.web.guard import Guard
from catchment.web.landfillpages import LandfillPages
from catchment.web.ledgerpages import Books, LedgerPages
from catchment.web.overview import OverviewPages
from catchment.web.receiptpages import ReceiptPages
from catchment.web.rendering import STATIC, Renderer
from catchment.web.running import Queries
from catchment.web.sampling import Sampler
from catchment.web.settings import ConsoleSettings
from catchment.web.shelf import Shelf
from catchment.web.sqlpages import SqlPages
from catchment.web.tailpages import TailPages
from catchment.web.tails import Tail, read_ping, read_refused
from catchment.web.watching import Hub

if TYPE_CHECKING:
    from catchment.lake.tables import Lake
    from catchment.query.port import QueryEngine

Part = TypeVar("Part")


class Console:
    """All parts of the console. `app` answers requests between `start` and `close`."""

    def __init__(self, settings: ConsoleSettings, platform: Platform, events: Events) -> None:
        clock, log = platform.clock, platform.log()
        one_at_a_time = threading.Lock()

        def guarded(make: Callable[[], Part]) -> Callable[[], Part]:
            def make_alone() -> Part:
                with one_at_a_time:
                    return make()

            return make_alone

        engine: Callable[[], QueryEngine] = guarded(platform.engine)
        lake: Callable[[], Lake] = guarded(platform.lake)
        self._events = events
        self._sampler = Sampler(platform.home, log, clock, settings.sample_s, events)
        self._queries = Queries(engine, settings, clock)
        self._shelf = Shelf(lake, clock)
        self._renderer = Renderer()
        length, period_s = settings.tail_rows, settings.sample_s / 2
        pings = Tail(log, "decoded", read_ping, length, period_s, clock, events)
        errors = Tail(log, "errors", read_refused, length, period_s, clock, events)
        database = guarded(platform.database)
        books = Books(database, log, clock, platform.ledger_settings(), settings.sample_s)
        ledger = LedgerPages(self._renderer, books)
        landfill = LandfillPages(self._renderer, guarded(platform.landfill), clock)
        overview = OverviewPages(settings, clock, self._renderer, self._sampler, pings, errors, books, self._queries)
        self._hub = Hub(log, events)
        tail = TailPages(settings, clock, self._renderer, log, self._hub)
        registry = guarded(platform.registry)
        failures = Failures(log, engine, lake)
        self._errors = ErrorPages(settings, clock, self._renderer, failures, registry)
        self._receipts = ReceiptPages(settings, clock, self._renderer, guarded(platform.receipts))
        sql = SqlPages(settings, self._renderer, self._sampler, self._queries, self._shelf)
        self._catalogue = CatalogueSection(platform, settings, self._renderer, registry, lake, database, engine)
        self.checks: Mapping[str, Check] = {"looking": self._check}
        self.app = Starlette(
            routes=[
                Route("/", overview.front),
                Route("/live", overview.live),
                Route("/tail", tail.page),
                Route("/tail/stream", tail.stream),
                Route("/errors", self._errors.page),
                Route("/errors/{name:path}", self._errors.one),
                Route("/receipts", self._receipts.page),
                Route("/api/receipts/{document_id}", self._receipts.answer),
                Route("/ledger", ledger.page),
                Route("/landfill", landfill.page),
                *self._catalogue.routes(),
                Route("/sql", sql.page),
                Route("/sql/result", sql.result),
                Route("/sql/result.csv", sql.download),
                Route("/sql/result.json", sql.download),
                Route("/sql/tables", sql.tables),
                Route("/__heartbeat__", self._operational),
                Route("/__lbheartbeat__", self._operational),
                Route("/__version__", self._operational),
                Mount("/static", StaticFiles(directory=STATIC)),
            ],
            middleware=[Middleware(Guard, settings=settings)],
            exception_handlers={
                CatchmentError: self._refused,
                HTTPException: self._not_found,
                Exception: self._failed,
            },
        )

    def start(self) -> None:
        self._sampler.start()

    def close(self) -> None:
        """Stop looking, and end the queries that run."""
        self._hub.close()
        self._queries.close()
        self._errors.close()
        self._receipts.close()
        self._catalogue.close()
        self._shelf.close()
        self._sampler.close()

    def _check(self) -> list[Finding]:
        failure = self._sampler.picture.failure
        return [Finding("look_failed", WARNING, failure)] if failure else []

    def _operational(self, request: Request) -> Response:
        answer = health.answer(request.url.path, self.checks)
        assert answer is not None
        status, content_type, body = answer
        return Response(body, status, media_type=content_type)

    def _refused(self, request: Request, error: Exception) -> Response:
        if isinstance(error, Missing):
            return self._renderer.failure(request, 404, "This is not here.", str(error))
        return self._renderer.failure(request, 503, "This cannot be shown now.", str(error))

    def _not_found(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            return self._renderer.failure(request, 404, "There is no such page.", f"Nothing is at {request.url.path}")
        return self._renderer.failure(request, error.status_code, error.detail, "")

    def _failed(self, request: Request, error: Exception) -> Response:
        self._events.error("page_failed", path=request.url.path, error=f"{type(error).__name__}: {error}")
        return self._renderer.failure(request, 500, "The console has failed here.", "Its events say why.")
