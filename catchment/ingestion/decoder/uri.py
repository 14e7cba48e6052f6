"""Step 3: what the path says about a submission. Two forms, told apart by their number of components:

    /submit/<namespace>/<doctype>/<version>/<document id>
    /submit/telemetry/<document id>/<doctype>/<app name>/<app version>/<app update channel>/<app build id>

The count is exact, no component is empty, a query is no part of the path. Namespace and doctype are letters, digits
and `-` (they become names of tables), the version is 1 to 9 decimal digits (`01` is 1), the document id a UUID in
8-4-4-4-12 form, in any case, kept in lower case. The application's parts may be percent-encoded UTF-8 and are kept
decoded, 1 to 256 characters without control characters. All but the document id repeats from ping to ping and is
cached. A path under /submit/telemetry/ with four components is of the first form.

Namespaces may be declared lenient; what the strict rules refuse is then read as in 2018. The edge of that time stored
paths with escapes decoded and doubled slashes, `.` and `..` resolved, so that is done first. What follows the last
component is ignored, and the document id is any text of 1 to 256 printable characters. Where that reading makes sense
of a path that is refused, the refusal names its namespace and doctype, in every namespace: so whatever counts or picks
submissions by their path alone finds them under the same names as the decoder.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote

from catchment.ingestion.decoder.failure import Refusal, cut

TELEMETRY = "telemetry"
MAX_NAME_CHARS = 100
MAX_TEXT_CHARS = 256
CACHED_ROUTES = 16_384

_NAME = re.compile(rf"[a-zA-Z0-9][a-zA-Z0-9-]{{0,{MAX_NAME_CHARS - 1}}}", re.ASCII)
_VERSION = re.compile(r"[0-9]{1,9}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_SUBMIT = "/submit/"
_FIREFOX = "/submit/telemetry/"
_FIREFOX_PARTS = 7
_GENERIC_PARTS = 4


@dataclass(frozen=True, slots=True)
class Route:
    """The part of the path that many pings share. `version` is None in the Firefox form: the body has it."""

    namespace: str
    doctype: str
    version: int | None
    app_name: str | None = None
    app_version: str | None = None
    app_update_channel: str | None = None
    app_build_id: str | None = None


def read_uri(uri: str | None) -> tuple[Route, str] | Refusal:
    """The route and the document id of a stored path, or uri_missing, uri_invalid, document_id_invalid."""
    if not uri:
        return Refusal("uri_missing", "")
    if uri.startswith(_FIREFOX) and uri.count("/") == _FIREFOX_PARTS + 1:
        document_id, _, rest = uri[len(_FIREFOX) :].partition("/")
        route = _firefox_route(rest)
    else:
        head, _, document_id = uri.rpartition("/")
        route = _generic_route(head)
    if isinstance(route, str):
        found = _read_as_in_2018(uri)
        namespace, doctype = (found[0].namespace, found[0].doctype) if found else (None, None)
        return Refusal("uri_invalid", cut(f"{route}: {uri}"), namespace=namespace, doctype=doctype)
    document_id = document_id.lower()
    if _UUID.fullmatch(document_id) is None:
        return Refusal("document_id_invalid", cut(f"{document_id!r}"), namespace=route.namespace, doctype=route.doctype)
    return route, document_id


def read_path(uri: str | None, lenient: Collection[str]) -> tuple[Route, str] | Refusal:
    """As `read_uri`; what that refuses is read by the rules of 2018 in the namespaces that are `lenient`."""
    named = read_uri(uri)
    if isinstance(named, Refusal) and lenient:
        return read_leniently(uri, lenient) or named
    return named


def read_leniently(uri: str | None, namespaces: Collection[str]) -> tuple[Route, str] | None:
    """As `read_uri`, by the rules of 2018, if the path's namespace is one of these; None when it is not, or when these
    rules refuse the path too."""
    found = _read_as_in_2018(uri or "")
    return found if found is not None and found[0].namespace in namespaces else None


def _read_as_in_2018(uri: str) -> tuple[Route, str] | None:
    try:
        plain = unquote(uri, errors="strict")
    except UnicodeDecodeError:
        return None
    first, *parts = posixpath.normpath(plain).lstrip("/").split("/")
    if first != "submit" or len(parts) < _GENERIC_PARTS:
        return None
    if parts[0] == TELEMETRY and len(parts) >= _FIREFOX_PARTS:
        document_id = parts[1]
        route = _firefox_route("/".join(quote(part) for part in parts[2:_FIREFOX_PARTS]))
    else:
        document_id = parts[3]
        route = _generic_route(_SUBMIT + "/".join(parts[: _GENERIC_PARTS - 1]))
    kept = read_document_id(document_id, is_lenient=True)
    return None if isinstance(route, str) or kept is None else (route, kept)


def read_document_id(text: str, is_lenient: bool) -> str | None:
    """A document id as it is kept: a UUID in lower case; where it is lenient, also any other component of a path. None
    for anything else."""
    lower = text.lower()
    if _UUID.fullmatch(lower):
        return lower
    return text if is_lenient and _is_plain(text) and "/" not in text and text not in (".", "..") else None


@lru_cache(CACHED_ROUTES)
def _generic_route(head: str) -> Route | str:
    """The route of `/submit/<namespace>/<doctype>/<version>`, or what is wrong with it."""
    if not head.startswith(_SUBMIT):
        return "does not start with /submit/"
    parts = head[len(_SUBMIT) :].split("/")
    if len(parts) != _GENERIC_PARTS - 1:
        return f"has {len(parts) + 1} components, must have {_GENERIC_PARTS}, or {_FIREFOX_PARTS} for telemetry"
    namespace, doctype, version = parts
    wrong = _wrong_name("namespace", namespace) or _wrong_name("doctype", doctype)
    if wrong:
        return wrong
    if _VERSION.fullmatch(version) is None:
        return "version is not 1 to 9 digits"
    return Route(namespace, doctype, int(version))


@lru_cache(CACHED_ROUTES)
def _firefox_route(rest: str) -> Route | str:
    """The route of `<doctype>/<app name>/<app version>/<channel>/<build id>`, or what is wrong with it."""
    doctype, *encoded = rest.split("/")
    wrong = _wrong_name("doctype", doctype)
    if wrong:
        return wrong
    app = []
    for part in encoded:
        text = _decoded(part)
        if text is None:
            return "an application component is empty, too long or not printable UTF-8"
        app.append(text)
    name, version, channel, build_id = app
    return Route(TELEMETRY, doctype, None, name, version, channel, build_id)


def _wrong_name(what: str, name: str) -> str | None:
    if _NAME.fullmatch(name):
        return None
    return f"{what} is not 1 to {MAX_NAME_CHARS} letters, digits and -, beginning with a letter or digit"


def _decoded(part: str) -> str | None:
    try:
        text = unquote(part, errors="strict") if "%" in part else part
    except UnicodeDecodeError:
        return None
    return text if _is_plain(text) else None


def _is_plain(text: str) -> bool:
    return 0 < len(text) <= MAX_TEXT_CHARS and text.isprintable()
