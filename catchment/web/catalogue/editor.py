"""The editor: a schema on one side, a ping on the other, and below what the platform would say of both as one types.

    text typed ─▶ POST /api/schemas/check ─▶ Checker (a process of its own) ─▶ findings with lines, columns, changes
    button     ─▶ POST /api/schemas       ─▶ checked once more ─▶ added to the registry

Both take JSON, `{"namespace", "doctype", "version", "schema", "ping"}`, and answer JSON, or HTML to our own script; the
page's form does the same without scripts. Texts are bounded by `MAX_TEXT_BYTES` each. Only our own pages and programs
may ask, and nothing is added that has an error, or takes the place of another schema unasked (`"replace": true`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response

from catchment.errors import CatchmentError, Conflict, Incompatible, Malformed, Missing, TooLarge, Unavailable
from catchment.web.catalogue.api import answer, refusal, status_of
from catchment.web.catalogue.check import Draft
from catchment.web.catalogue.entries import Catalogue
from catchment.web.catalogue.sending import Endpoint, Sending, example_of
from catchment.web.catalogue.worker import WAITING, Checker
from catchment.web.guard import refuse_foreign_change
from catchment.web.rendering import Renderer
from catchment.web.settings import ConsoleSettings

if TYPE_CHECKING:
    from catchment.schemas.adding import Added
    from catchment.schemas.registry import Schema

MAX_TEXT_BYTES = 1024 * 1024
MAX_BODY_BYTES = 4 * MAX_TEXT_BYTES
STARTER = """{
  "$schema": "http://json-schema.org/draft-07/schema#",
  "title": "What happened, and when it is sent",
  "x-owner": "team@example.org",
  "type": "object",
  "required": ["clientId"],
  "properties": {
    "clientId": {"type": "string", "format": "uuid", "description": "Who sends it"},
    "clicks": {"type": "integer", "minimum": 0, "maximum": 1000000, "description": "Clicks since the last ping"}
  },
  "additionalProperties": true
}
"""
STARTER_PING = """{
  "clientId": "5c9e2c0b-6a5f-4b0e-9b86-0f2d2f1f7f0a",
  "clicks": 3
}
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}", re.ASCII)
_VERSION = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)

Add = Callable[[str, str, int, bytes], "Added"]
Outcome = dict[str, Any]
T = TypeVar("T")


class EditorPages:
    """Answers `/catalogue/editor` and `/api/schemas`."""

    def __init__(
        self, settings: ConsoleSettings, renderer: Renderer, catalogue: Catalogue, endpoint: Endpoint, add: Add
    ) -> None:
        """`add` is called on a thread, one call at a time."""
        self._settings = settings
        self._renderer = renderer
        self._catalogue = catalogue
        self._endpoint = endpoint
        self._add = add
        self._checker = Checker(settings.check_s)
        self._threads = ThreadPoolExecutor(WAITING + 1, thread_name_prefix="editor")
        self._adding = ThreadPoolExecutor(1, thread_name_prefix="adding")

    def close(self) -> None:
        self._checker.close()
        for threads in (self._threads, self._adding):
            threads.shutdown(wait=True, cancel_futures=True)

    async def page(self, request: Request) -> Response:
        """The editor, with the schema that `?schema=<namespace>/<doctype>/<version>` names, else with one to begin."""
        asked = request.query_params
        values = {
            "namespace": asked.get("namespace", "")[:100],
            "doctype": asked.get("doctype", "")[:100],
            "version": asked.get("version", "1")[:9],
            "schema": STARTER,
            "ping": STARTER_PING,
        }
        named = asked.get("schema", "").split("/")
        if len(named) == 3:
            namespace, doctype, number = named
            schema = await self._await(lambda: self._registered(namespace, doctype, number))
            if schema is None:
                raise Missing(f"{'/'.join(named)[:120]}: there is no such schema; /catalogue lists all")
            text = schema.content.decode("utf-8", "replace")
            ping = await self._await(lambda: example_of(schema))
            shown = orjson.dumps(orjson.loads(ping), option=orjson.OPT_INDENT_2).decode() if ping else ""
            values = {"namespace": namespace, "doctype": doctype, "version": number, "schema": text, "ping": shown}
        return await self._page(request, values, {})

    async def submitted(self, request: Request) -> Response:
        """The page's form, sent without scripts: the same page with what was found."""
        try:
            values = await self._values(request)
        except CatchmentError as error:
            return await self._page(request, {}, {"error": error})
        outcome = await self._added(values) if values.get("do") == "add" else await self._checked(values)
        return await self._page(request, values, outcome)

    async def check(self, request: Request) -> Response:
        return await self._answer(request, self._checked)

    async def add(self, request: Request) -> Response:
        return await self._answer(request, self._added)

    async def _page(self, request: Request, values: Mapping[str, Any], outcome: Mapping[str, Any]) -> Response:
        listing = await self._await(self._catalogue.listing)
        known = [
            f"{entry.namespace}/{entry.doctype}/{number}" for entry in listing.entries for number in entry.versions
        ]
        shown = {name: str(values.get(name, "")) for name in ("namespace", "doctype", "version", "schema", "ping")}
        page = {"page": "catalogue", "draft": shown, "known": known, "adds": self._settings.add_schemas}
        status = status_of(outcome["error"]) if outcome.get("error") else 200
        return self._renderer.page(request, "editor.html", {**page, **_whole(outcome)}, status)

    async def _answer(self, request: Request, work: Callable[[Mapping[str, Any]], Awaitable[Outcome]]) -> Response:
        try:
            outcome = await work(await self._values(request))
        except CatchmentError as refused:
            outcome = {"error": refused}
        error = outcome.get("error")
        if "text/html" in request.headers.get("accept", ""):
            return self._renderer.fragment("checked.html", _whole(outcome), status_of(error) if error else 200)
        if error is not None:
            return refusal(error)
        if "added" in outcome:
            return answer(_added_json(outcome["added"], outcome["sending"]), 201)
        return answer(outcome["checked"])

    async def _checked(self, values: Mapping[str, Any]) -> Outcome:
        """`checked`, or `error`."""
        try:
            draft = await self._draft(values)
            return {"draft": draft, "checked": await self._await(lambda: self._checker.check(draft))}
        except CatchmentError as error:
            return {"error": error}

    async def _added(self, values: Mapping[str, Any]) -> Outcome:
        """`checked` and, when it was added, `added` and how to send to it, or `error`."""
        outcome = await self._checked(values)
        if "error" in outcome:
            return outcome
        draft, checked = outcome["draft"], outcome["checked"]
        name = f"{draft.namespace}/{draft.doctype}/{draft.version}"
        try:
            if not self._settings.add_schemas:
                raise Conflict("this console adds no schemas: [console] add_schemas is false")
            if not checked["schema"]["is_valid"]:
                first = checked["schema"]["findings"][0]
                raise Incompatible(f"schema {name}: line {first['line']}: {first['text']}; mend it, then add it")
            if draft.present is not None and str(values.get("replace", "")) not in ("True", "true", "1", "on"):
                raise Conflict(f"schema {name} is there already; say that it be replaced, or take another version")
            content = draft.schema.encode()
            loop = asyncio.get_running_loop()
            added = await loop.run_in_executor(
                self._adding, self._add, draft.namespace, draft.doctype, draft.version, content
            )
        except CatchmentError as error:
            return {**outcome, "error": error}
        except OSError as error:
            text = (
                f"schema {name}: cannot be written: {error.strerror}; free space or mend the folder, then add it again"
            )
            return {**outcome, "error": Unavailable(text)}
        self._catalogue.forget()
        sending = await self._await(lambda: self._endpoint.sending(added.schema))
        return {**outcome, "added": added, "sending": sending}

    async def _draft(self, values: Mapping[str, Any]) -> Draft:
        namespace, doctype = str(values.get("namespace", "")), str(values.get("doctype", ""))
        for what, name in (("namespace", namespace), ("doctype", doctype)):
            if _NAME.fullmatch(name) is None:
                raise Malformed(
                    f"{what} {name[:100]!r}: must be 1 to 100 letters, digits and -, beginning with a letter or digit"
                )
        number = str(values.get("version", ""))
        if _VERSION.fullmatch(number) is None:
            raise Malformed(f"version {number[:20]!r}: must be a number of at most 9 digits, without a leading 0")
        schema, ping = (_text(what, values.get(what, "")) for what in ("schema", "ping"))
        present = await self._await(lambda: self._registered(namespace, doctype, number))
        text_now = None if present is None else present.content.decode("utf-8", "replace")
        return Draft(namespace, doctype, int(number), schema, ping, text_now)

    def _registered(self, namespace: str, doctype: str, number: str) -> Schema | None:
        if _VERSION.fullmatch(number) is None:
            return None
        return self._catalogue.registry().find(namespace, doctype, int(number))

    async def _values(self, request: Request) -> dict[str, Any]:
        """What was sent, as JSON or by the form. Raises HTTPException for what is not ours, Malformed, TooLarge."""
        refuse_foreign_change(request)
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise TooLarge(f"the request has more than {MAX_BODY_BYTES:,} bytes, which the editor does not take")
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if kind == "application/x-www-form-urlencoded" and not request.url.path.startswith("/api/"):
            pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
            return {name: value.replace("\r\n", "\n") for name, value in pairs}
        if kind != "application/json":
            raise Malformed(f"the request is {kind[:100] or 'of no type'}, must be application/json")
        try:
            values = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise Malformed(f"the request is no JSON: {error}") from error
        if not isinstance(values, dict):
            raise Malformed(f"the request is a {type(values).__name__}, must be a JSON object")
        return values

    async def _await(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _text(what: str, text: object) -> str:
    if not isinstance(text, str):
        raise Malformed(f"{what}: is a {type(text).__name__}, must be a text: the JSON as it is written")
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise TooLarge(f"the {what} has more than {MAX_TEXT_BYTES:,} bytes, which the editor does not take")
    return text


def _whole(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """An outcome with all names that the templates know."""
    return {
        "checked": None,
        "error": None,
        "added": None,
        "sending": None,
        **{name: value for name, value in outcome.items() if name != "draft"},
    }


def _added_json(added: Added, sending: Sending) -> dict[str, Any]:
    schema = added.schema
    return {
        "namespace": schema.namespace,
        "doctype": schema.doctype,
        "version": schema.version,
        "table": schema.table,
        "endpoint": sending.path,
        "curl": sending.curl,
        "is_changed": added.is_changed,
        "replaced": added.before is not None and added.is_changed,
    }
