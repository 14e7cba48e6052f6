"""The catalogue's paths, and its parts put together when somebody asks for one of them.

Schemas, tables and the libraries that read them are heavy: a console that nobody asks for its catalogue does without.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from catchment.database.database import Database
from catchment.query.port import QueryEngine
from catchment.web.ground import Platform
from catchment.web.rendering import Renderer
from catchment.web.settings import ConsoleSettings

if TYPE_CHECKING:
    from catchment.lake.tables import Lake
    from catchment.schemas.registry import Registry
    from catchment.web.catalogue.editor import EditorPages
    from catchment.web.catalogue.pages import CataloguePages

_PLACE = "/catalogue/{namespace}/{doctype}"
_VERSION = f"{_PLACE}/{{version:int}}"
_PAGES = {
    "/catalogue": "page",
    _PLACE: "doctype",
    f"{_PLACE}/samples": "samples",
    _VERSION: "doctype",
    f"{_VERSION}/fields": "fields",
    f"{_VERSION}/samples": "samples",
    f"{_VERSION}/schema.json": "download",
    f"{_VERSION}/from/{{old:int}}": "comparison",
    "/api/catalogue": "api_all",
    "/api/catalogue/{namespace}/{doctype}": "api_one",
}
"""Path → method of CataloguePages."""

Answer = Callable[[Request], Awaitable[Response]]


class CatalogueSection:
    """Everything below `/catalogue`, `/api/catalogue` and `/api/schemas`."""

    def __init__(
        self,
        platform: Platform,
        settings: ConsoleSettings,
        renderer: Renderer,
        registry: Callable[[], Registry],
        lake: Callable[[], Lake],
        database: Callable[[], Database],
        engine: Callable[[], QueryEngine],
    ) -> None:
        """The functions are called on threads, and must be safe to call from several."""
        self._platform = platform
        self._settings = settings
        self._renderer = renderer
        self._sources = (registry, lake, database)
        self._engine = engine
        self._lock = threading.Lock()
        self._parts: tuple[CataloguePages, EditorPages] | None = None

    def routes(self) -> list[Route]:
        form = "/catalogue/editor"
        return [
            Route(form, self._late(1, "page")),
            Route(form, self._late(1, "submitted"), methods=["POST"]),
            Route("/api/schemas/check", self._late(1, "check"), methods=["POST"]),
            Route("/api/schemas", self._late(1, "add"), methods=["POST"]),
            *(Route(path, self._late(0, method)) for path, method in _PAGES.items()),
        ]

    def close(self) -> None:
        with self._lock:
            for part in self._parts or ():
                part.close()

    def _late(self, part: int, method: str) -> Answer:
        async def answer(request: Request) -> Response:
            parts = self._parts
            if parts is None:
                parts = await asyncio.get_running_loop().run_in_executor(None, self._make)
            found: Answer = getattr(parts[part], method)
            return await found(request)

        return answer

    def _make(self) -> tuple[CataloguePages, EditorPages]:
        from catchment.web.catalogue.api import CatalogueApi
        from catchment.web.catalogue.editor import EditorPages
        from catchment.web.catalogue.entries import Catalogue
        from catchment.web.catalogue.pages import CataloguePages
        from catchment.web.catalogue.samples import Samples
        from catchment.web.catalogue.sending import Endpoint
        from catchment.web.catalogue.versions import Versions

        with self._lock:
            if self._parts is None:
                catalogue = Catalogue(*self._sources, self._platform.clock)
                versions, endpoint = Versions(self._sources[0]), Endpoint(self._platform.home)
                log, lake = self._platform.log(), self._sources[1]
                samples = Samples(log, self._engine, lake, shows_clients=self._settings.show_client_ids)
                api = CatalogueApi(catalogue, versions, endpoint)
                pages = CataloguePages(self._renderer, catalogue, versions, samples, endpoint, api)
                add = self._platform.add_schema
                self._parts = (pages, EditorPages(self._settings, self._renderer, catalogue, endpoint, add))
            return self._parts
