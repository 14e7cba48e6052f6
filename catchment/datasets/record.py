"""A framed message as a dict: the document, with what is known about it in `meta`.

The document is the JSON in the message's payload, else in field `submission`, else the text in field `content` (raw
submissions: gunzipped where it is packed). Of the other fields, one without a dot in its name is `meta[name]`, its
first value; one with dots holds JSON that belongs at that path of the document, as the splitting of 2018 had it. `meta`
always has Timestamp (ns since the epoch), Type and Hostname, and Logger, the namespace.

Source: moztelemetry's message parser.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import jmespath
import orjson
from jmespath.exceptions import JMESPathError

from catchment.errors import QueryError
from catchment.message import Message

_BODIES = ("submission", "content")


def record_of(found: Message) -> dict[str, Any]:
    """The message as a dict; the caller's to change."""
    record = _body(found)
    meta: dict[str, Any] = {
        "Timestamp": found.timestamp,
        "Type": found.type,
        "Hostname": found.hostname,
        "Logger": found.logger,
    }
    for field in found.fields:
        if field.name in _BODIES:
            continue
        if "." not in field.name:
            meta[field.name] = field.value
            continue
        *above, last = field.name.split(".")
        place = record
        for name in above:
            inner = place.get(name)
            if not isinstance(inner, dict):
                inner = place[name] = {}
            place = inner
        place[last] = _parsed(field.value) if isinstance(field.value, str | bytes) else field.value
    record["meta"] = meta
    return record


def _body(found: Message) -> dict[str, Any]:
    if found.payload:
        return _document(found.payload)
    submission, content = found.first("submission"), found.first("content")
    if isinstance(submission, str | bytes):
        return _document(submission)
    if isinstance(content, bytes):
        content = _unpacked(content)
    return {} if not isinstance(content, str) else {"content": content}


def _document(text: str | bytes) -> dict[str, Any]:
    parsed = _parsed(text)
    return parsed if isinstance(parsed, dict) else {"content": parsed}


def _parsed(text: str | bytes) -> Any:
    """The JSON in a text; the text itself when it has none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        lossy = text if isinstance(text, str) else text.decode("utf-8", "replace")
    try:
        return json.loads(lossy)  # NaN, and bytes that are not UTF-8
    except ValueError:
        return lossy


def _unpacked(content: bytes) -> str | None:
    try:
        content = zlib.decompress(content, 31) if content.startswith(b"\x1f\x8b") else content
        return content.decode()
    except (zlib.error, UnicodeDecodeError):
        return None


def selector(paths: Mapping[str, str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What takes the values at JMESPath expressions out of a record, by name; None where there is none. Raises
    QueryError for an expression that is none."""
    if not paths:
        return lambda record: record
    compiled = {}
    for name, path in paths.items():
        try:
            compiled[name] = jmespath.compile(path)
        except JMESPathError as error:
            raise QueryError(f"select {path!r}: no JMESPath expression: {error}; see https://jmespath.org") from error
    return lambda record: {name: expression.search(record) for name, expression in compiled.items()}
