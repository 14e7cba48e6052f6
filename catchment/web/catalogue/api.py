"""The catalogue for programs: `GET /api/catalogue` and `GET /api/catalogue/<namespace>/<doctype>`, as JSON.

The same that the pages show. Times are of ISO 8601, UTC; what is not known is null. An error is
`{"error": {"code": …, "text": …}}`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from catchment.clock import utc
from catchment.errors import Busy, CatchmentError, Conflict, Incompatible, Malformed, Missing, TooLarge
from catchment.web.catalogue.entries import DAY_S, Catalogue, Entry
from catchment.web.catalogue.figures import detailed
from catchment.web.catalogue.sending import Endpoint
from catchment.web.catalogue.tables import TableFacts, facts
from catchment.web.catalogue.versions import Version, Versions

_STATUS: dict[type[CatchmentError], int] = {
    Missing: 404,
    Malformed: 400,
    TooLarge: 413,
    Incompatible: 422,
    Conflict: 409,
    Busy: 503,
}


class CatalogueApi:
    """Makes the answers; its methods block."""

    def __init__(self, catalogue: Catalogue, versions: Versions, endpoint: Endpoint) -> None:
        self._catalogue = catalogue
        self._versions = versions
        self._endpoint = endpoint

    def all(self) -> Response:
        listing = self._catalogue.listing()
        return answer({"doctypes": [_entry(entry) for entry in listing.entries], "problems": listing.problems})

    def one(self, request: Request) -> Response:
        """A doctype with its versions; their fields too with `?fields`. 404 when there is none."""
        named = request.path_params
        entry = self._catalogue.listing().find(named["namespace"], named["doctype"])
        if entry is None:
            name = f"{named['namespace']}.{named['doctype']}"[:120]
            return refusal(Missing(f"{name}: no schema, table or ping has this name; /api/catalogue lists all"))
        has_fields = "fields" in request.query_params
        try:
            versions = [self._version(entry, number, has_fields=has_fields) for number in entry.versions]
            now_s = self._catalogue.now_s()
            namespace, _, doctype = entry.stem.partition(".")
            found = detailed(self._catalogue.database(), namespace, doctype, now_s - DAY_S, now_s)
        except CatchmentError as error:
            return refusal(error)
        return answer({**_entry(entry), "errors": dict(found.codes), "stored": found.stored, "schemas": versions})

    def _version(self, entry: Entry, number: int, *, has_fields: bool) -> dict[str, Any]:
        version = self._versions.of(entry, number)
        if version is None:
            raise Missing(f"{entry.name}: version {number} has no schema any more; look again")
        schema = version.schema
        told: dict[str, Any] = {
            "version": number,
            "table": schema.table,
            "endpoint": self._endpoint.sending(schema).path,
            "problem": version.problem or None,
            "stored": _table(facts(self._catalogue.lake(), schema.table)),
        }
        if has_fields:
            told["fields"] = _fields(version)
        return told


def answer(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2), status, media_type="application/json")


def refusal(error: CatchmentError) -> Response:
    """An error as JSON, with the status that says whose it is."""
    return answer({"error": {"code": error.code, "text": str(error)}}, status_of(error))


def status_of(error: CatchmentError) -> int:
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 503)


def _entry(entry: Entry) -> dict[str, Any]:
    figures = entry.figures
    return {
        "namespace": entry.namespace,
        "doctype": entry.doctype,
        "title": entry.title or None,
        "owner": entry.owner or None,
        "versions": entry.versions,
        "tables": entry.tables,
        "last_day": {
            "accepted": figures.accepted,
            "stored": figures.stored,
            "errors": figures.errors,
            "error_share": figures.error_share,
        },
        "latest": utc(figures.latest_s * 10**9).isoformat() if figures.latest_s else None,
    }


def _table(found: TableFacts | None) -> dict[str, Any] | None:
    if found is None:
        return None
    newest = utc(found.newest_ns).isoformat() if found.newest_ns else None
    days = [{**asdict(day), "day": day.day and day.day.isoformat()} for day in found.days]
    return {**asdict(found), "newest_ns": found.newest_ns or None, "newest": newest, "days": days}


def _fields(version: Version) -> list[dict[str, Any]]:
    return [asdict(field) for field in version.description.fields] if version.description else []
