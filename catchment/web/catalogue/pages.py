"""The catalogue's pages: `/catalogue` lists every doctype, `/catalogue/<namespace>/<doctype>[/<version>]` shows one.

The address holds what is shown: search and order of the list; span of the chart, opened and searched fields of a
doctype. Without a version the newest is shown. Fields come level by level (`…/fields`), sample pings when the page is
there (`…/samples`), so that a page is small and quick whatever the schema's size; both are also parts of the page for
browsers without scripts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from catchment.errors import CatchmentError, Missing
from catchment.web.bars import bars
from catchment.web.catalogue.api import CatalogueApi
from catchment.web.catalogue.entries import SHOWN, SORTS, Catalogue, Entry
from catchment.web.catalogue.figures import COLOURS, SPANS, Details, detailed, steps
from catchment.web.catalogue.samples import Samples
from catchment.web.catalogue.sending import Endpoint
from catchment.web.catalogue.tables import TableFacts, facts
from catchment.web.catalogue.versions import Version, Versions
from catchment.web.guard import refuse_foreign
from catchment.web.rendering import Renderer

THREADS = 2
MAX_CHARS = 256
_HEADINGS = (
    ("name", "Doctype", ""),
    ("pings", "Pings, 24 h", "right"),
    ("errors", "Refused", "right"),
    ("latest", "Newest row", ""),
    ("owner", "Owner", ""),
    ("versions", "Versions", ""),
)

T = TypeVar("T")


class CataloguePages:
    """Answers everything below `/catalogue` but the editor, and `/api/catalogue`."""

    def __init__(
        self,
        renderer: Renderer,
        catalogue: Catalogue,
        versions: Versions,
        samples: Samples,
        endpoint: Endpoint,
        api: CatalogueApi,
    ) -> None:
        self._renderer = renderer
        self._catalogue = catalogue
        self._versions = versions
        self._samples = samples
        self._endpoint = endpoint
        self._api = api
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="catalogue")

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def page(self, request: Request) -> Response:
        """The list."""
        text = request.query_params.get("q", "").strip()[:MAX_CHARS]
        sort = request.query_params.get("sort", "")
        sort = sort if sort in SORTS else SORTS[0]
        listing = await self._await(self._catalogue.listing)
        found = listing.select(text, sort)
        values = {
            "page": "catalogue",
            "text": text,
            "sort": sort,
            "headings": [
                (*heading, "/catalogue?" + urlencode({"q": text, "sort": heading[0]})) for heading in _HEADINGS
            ],
            "entries": found[:SHOWN],
            "hidden": max(len(found) - SHOWN, 0),
            "total": len(listing.entries),
            "problems": listing.problems,
            "now_ns": self._catalogue.clock.time_ns(),
            "href": href,
        }
        return self._renderer.page(request, "catalogue.html", values)

    async def doctype(self, request: Request) -> Response:
        """One doctype, in one version."""
        asked = request.query_params
        span = asked.get("span", "1d") if asked.get("span") in SPANS else "1d"
        wanted = asked.get("field", "").strip()[:MAX_CHARS]
        if "samples" in asked:
            refuse_foreign(request)
        entry, version = await self._await(lambda: self._find(request))
        values = await self._await(lambda: self._values(entry, version, span))
        if version is not None and version.tree is not None:
            values["way"] = version.tree.way(asked.get("open", "")[:4096])
            values["level"] = version.tree.search(wanted) if wanted else version.tree.level()
        samples = await self._await(lambda: self._samples.newest(entry, version)) if "samples" in asked else None
        values |= {"page": "catalogue", "span": span, "wanted": wanted, "samples": samples}
        return self._renderer.page(request, "doctype.html", values)

    async def fields(self, request: Request) -> Response:
        """The fields inside one, for scripts."""
        entry, version = await self._await(lambda: self._find(request))
        if version is None or version.tree is None:
            raise Missing(f"{entry.name}: no schema whose fields could be listed")
        path = request.query_params.get("inside", "")
        begin = request.query_params.get("begin", "0")
        level = version.tree.level(path, int(begin) if begin.isdecimal() and len(begin) < 9 else 0)
        values = {"level": level, "chosen": version, "way": (), "here": href(entry, version.number)}
        return self._renderer.fragment("fields.html", values | {"inside": path})

    async def samples(self, request: Request) -> Response:
        """The newest pings, for scripts."""
        refuse_foreign(request)
        entry, version = await self._await(lambda: self._find(request))
        samples = await self._await(lambda: self._samples.newest(entry, version))
        values = {"samples": samples, "now_ns": self._catalogue.clock.time_ns()}
        return self._renderer.fragment("samples.html", values)

    async def download(self, request: Request) -> Response:
        """The schema's file as it is."""
        entry, version = await self._await(lambda: self._find(request))
        if version is None:
            raise Missing(f"{entry.name}: there is no schema to download")
        name = f"{version.schema.doctype}.{version.number}.schema.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(version.schema.content, media_type="application/schema+json", headers=headers)

    async def comparison(self, request: Request) -> Response:
        """What changes from another version to this one."""
        entry, version = await self._await(lambda: self._find(request))
        old = await self._await(lambda: self._versions.of(entry, request.path_params["old"]))
        if version is None or old is None:
            raise Missing(f"{entry.name}: both versions must have a schema; it has {_listed(entry)}")
        values = {
            "page": "catalogue",
            "entry": entry,
            "old": old,
            "new": version,
            "comparison": await self._await(lambda: self._versions.compare(old, version)),
            "href": href,
        }
        return self._renderer.page(request, "comparison.html", values)

    async def api_all(self, request: Request) -> Response:
        return await self._await(self._api.all)

    async def api_one(self, request: Request) -> Response:
        return await self._await(lambda: self._api.one(request))

    def _find(self, request: Request) -> tuple[Entry, Version | None]:
        """The doctype that the path names, and its schema. Raises Missing."""
        named = request.path_params
        entry = self._catalogue.listing().find(named["namespace"], named["doctype"])
        if entry is None:
            name = f"{named['namespace']}.{named['doctype']}"[:120]
            raise Missing(f"{name}: no schema, table or ping has this name; /catalogue lists all")
        number = named.get("version")
        version = self._versions.of(entry, number)
        if version is None and number is not None:
            raise Missing(f"{entry.name}: version {number} has no schema; it has {_listed(entry)}")
        return entry, version

    def _values(self, entry: Entry, version: Version | None, span: str) -> dict[str, Any]:
        now_s = self._catalogue.now_s()
        now_ns = self._catalogue.clock.time_ns()
        namespace, _, doctype = entry.stem.partition(".")
        problems: list[str] = []
        found = Details((), {})
        chart = None
        try:
            database = self._catalogue.database()
            found = detailed(database, namespace, doctype, now_s - SPANS[span][0], now_s)
            chart = bars("Pings", steps(database, namespace, doctype, span, now_s), now_ns, COLOURS)
        except CatchmentError as error:
            problems.append(f"The figures cannot be read: {error}")
        tables = [version.schema.table] if version else [*entry.tables, *(set(found.stored) - set(entry.tables))]
        table = None
        try:
            table = facts(self._catalogue.lake(), tables[0]) if tables else None
        except CatchmentError as error:
            problems.append(f"The table cannot be looked at: {error}")
        return {
            "entry": entry,
            "chosen": version,
            "name": tables[0] if tables else "",
            "table": table,
            "query": first_query(table, version) if table else "",
            "found": found,
            "refused": sum(count for _, count in found.codes),
            "chart": chart,
            "spans": [(name, f"{href(entry, version.number if version else None)}?span={name}") for name in SPANS],
            "problems": problems,
            "sending": self._endpoint.sending(version.schema) if version else None,
            "here": href(entry, version.number if version else None),
            "href": href,
            "now_ns": now_ns,
            "way": (),
        }

    async def _await(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def href(entry: Entry, version: int | None = None) -> str:
    """The page of a doctype, or of one of its versions."""
    place = f"/catalogue/{quote(entry.namespace, safe='')}/{quote(entry.doctype, safe='')}"
    return place if version is None else f"{place}/{version}"


def first_query(table: TableFacts, version: Version | None) -> str:
    """A query to begin with: the newest rows, in a few columns, of the newest day."""
    columns = "*"
    if version is not None:
        ours = ["submission_timestamp", "normalized_channel", "normalized_country_code"]
        columns = ", ".join([*ours, *version.first_columns])
    day = table.days[0].day if table.days else None
    since = f"\nwhere submission_timestamp >= timestamptz '{day} 00:00:00+00'" if day else ""
    return f"select {columns}\nfrom {table.name}{since}\norder by submission_timestamp desc\nlimit 20"


def _listed(entry: Entry) -> str:
    return ", ".join(map(str, entry.versions)) or "none"
