"""A refused ping laid open: its document, and the schema that it broke, as lines with the place marked.

The document is gunzipped when it can be, and written with one value a line when it is JSON; else it stands as it was
sent. The schema is today's file, which may have changed since, so the ping is judged by it once more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from catchment.errors import Incompatible
from catchment.ingestion.decoder.body import gunzip, parse
from catchment.ingestion.decoder.failure import Failure, Refusal
from catchment.ingestion.inspection.lines import Line, numbered
from catchment.schemas.pointers import place_of, resolved, steps_of

if TYPE_CHECKING:
    from catchment.schemas.registry import Registry, Schema

MAX_TEXT_BYTES = 8 * 1024 * 1024
_HEX_BYTES = 512
_HEX_BYTES_FOR_ALL = 8
"""Too few for a client id, enough to tell gzip from others."""
_FEW = 8
"""So many bytes that are not UTF-8 do not make a text one of bytes, nor do a twentieth of them."""
_KEYWORD = re.compile(r"Keyword: (\S+)$")
_OFFSET = re.compile(r"offset:(\d+) ")
_CLIENT = re.compile(r'("client_?id\\*"\s*:\s*\\*"[^"\\]{0,4})(?:[^"\\]|\\[^"])*', re.IGNORECASE)
"""A client id in JSON, or in JSON that is a text of JSON."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A refused ping to look at."""

    form: str
    """What `document` shows: "JSON", "text" or "bytes"; a sentence more when that is not as received."""
    document: tuple[Line, ...]
    schema_path: str
    """Empty when there is no schema for it."""
    schema: tuple[Line, ...]
    today: str
    """What today's schema says of it; empty when it was not asked."""


def open_failure(failure: Failure, registry: Registry, *, shows_clients: bool) -> Opened:
    """The failure's document and schema. Takes any bytes; client ids in it are shortened unless `shows_clients`. In
    bytes that cannot be read none can be told apart, so no more than the first few are shown then."""
    text = gunzip(failure.body, MAX_TEXT_BYTES)
    schema = _schema_of(failure, registry)
    schema_lines = tuple(_schema_lines(failure, schema)) if schema else ()
    path = str(schema.path) if schema else ""
    if isinstance(text, Refusal):
        form = f"bytes; {text.code}: {text.detail}"
        return Opened(form, tuple(_hex(failure.body, shows_clients)), path, schema_lines, "")
    content = parse(text)
    gunzipped = ", gunzipped" if text is not failure.body else ""
    shown = str if shows_clients else hide_clients
    if isinstance(content, Refusal):
        written = text.decode("utf-8", "replace")
        if written.count("\ufffd") > _FEW + len(written) // 20:
            return Opened("bytes", tuple(_hex(failure.body, shows_clients)), path, schema_lines, "")
        at = _fault(failure, text, written)
        place = None if at is None else (len(shown(written[:at])), len(shown(written[:at])) + 1)
        return Opened(f"text{gunzipped}", tuple(numbered(shown(written), place)), path, schema_lines, "")
    written = shown(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
    place = place_of(written, steps_of(failure.pointers[1])) if len(failure.pointers) > 1 else None
    return Opened(
        f"JSON{gunzipped}, one value a line",
        tuple(numbered(written, place, most_marked=1)),
        path,
        schema_lines,
        _judged(schema, content) if schema else "",
    )


def keyword_of(failure: Failure) -> str:
    """The rule of the schema that was broken, `required`; empty when it is not known."""
    found = _KEYWORD.search(failure.message)
    return found[1] if found else ""


def hide_clients(text: str) -> str:
    """A JSON text with the client ids in it cut to four characters."""
    return _CLIENT.sub(r"\1…", text)


def _schema_of(failure: Failure, registry: Registry) -> Schema | None:
    if failure.namespace is None or failure.doctype is None or failure.version is None:
        return None
    return registry.find(failure.namespace, failure.doctype, failure.version)


def _schema_lines(failure: Failure, schema: Schema) -> list[Line]:
    try:
        written = schema.content.decode("utf-8", "replace")
        document = schema.document
    except Incompatible:  # whoever asks is shown what there is: `schema_unusable` tells the rest
        return []
    if not failure.pointers:
        return numbered(written)
    steps = resolved(document, f"{failure.pointers[0]}/{keyword_of(failure)}".rstrip("/"))
    return numbered(written, place_of(written, steps) or place_of(written, steps[:-1]))


def _judged(schema: Schema, content: object) -> str:
    try:
        violation = schema.violation(content)
    except Incompatible as error:
        return str(error)
    if violation is None:
        return "Today's schema accepts this ping."
    return f"Today's schema refuses it too: {violation.keyword} at {violation.document_pointer}"


def _fault(failure: Failure, text: bytes, written: str) -> int | None:
    """Where the text stops being what it should be, in characters."""
    if failure.code == "json_duplicate_key":
        second = written.rfind(failure.detail.strip("'"))
        return second if second >= 0 else None
    found = _OFFSET.match(failure.detail)
    if not found:
        return None
    at = len(text[: int(found[1])].decode("utf-8", "replace"))
    return max(min(at, len(written) - 1), 0)


def _hex(body: bytes, shows_clients: bool) -> list[Line]:
    most = _HEX_BYTES if shows_clients else _HEX_BYTES_FOR_ALL
    rows = [body[start : min(start + 16, most)] for start in range(0, min(len(body), most), 16)]
    lines = [
        Line(number + 1, f"{number * 16:04x}  {row.hex(' '):<47}  {_printable(row)}") for number, row in enumerate(rows)
    ]
    if (rest := len(body) - most) <= 0:
        return lines
    why = "left out" if shows_clients else "not shown: a client id may be in them ([console] show_client_ids)"
    return [*lines, Line(0, f"… {rest:,} bytes are {why} …")]


def _printable(row: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in row)
