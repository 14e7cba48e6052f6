"""Keys that an object has twice: what a parser that keeps one value a key cannot tell any more.

`may_repeat` says, from the text and what was parsed of it, whether a key can have been lost, at a fraction of the price
of parsing; `repeated_key` then reads the text once more, slowly, for keys whose values differ (crash pings do write one
key twice, with the same value).

Compiled (`_members.c`) it compares the number of members in the document with the colons outside the strings of the
text, which is exact. In Python alone it writes the document again: when the text comes out equal, or with as many
quotation marks, no key was lost.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

try:
    from catchment.ingestion.decoder._members import colons, members
except ImportError:
    HAS_COMPILED = False
else:
    HAS_COMPILED = True

MAX_DEPTH = 254
"""Most levels of nesting: what orjson writes."""
_RECURSION_LIMIT = "Recursion limit reached"


class TooDeep(Exception):
    """The document has more than MAX_DEPTH levels."""


def may_repeat(text: bytes, content: Any) -> bool:
    """Whether an object of `text`, of which `content` was parsed, may have a key twice. Raises TooDeep."""
    if not HAS_COMPILED:
        return may_repeat_by_writing(text, content)
    found = members(content, MAX_DEPTH)
    if found < 0:
        raise TooDeep
    return found != colons(text)


def may_repeat_by_writing(text: bytes, content: Any) -> bool:
    """`may_repeat` in Python alone."""
    try:
        again = orjson.dumps(content)
    except orjson.JSONEncodeError as error:
        if str(error) == _RECURSION_LIMIT:
            raise TooDeep from error
        raise
    return again != text and (again.count(b'"') != text.count(b'"') or b"\\u0022" in text)


def repeated_key(text: bytes) -> str | None:
    """The first key that an object of this valid JSON text has twice with different values; None when there is none."""
    repeated: list[str] = []

    def collect(members: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in members:
            if seen.setdefault(key, value) != value:
                repeated.append(key)
        return seen

    def number(digits: str) -> tuple[str]:
        return (digits,)  # as written: neither equal to a string nor rounded

    json.loads(text, object_pairs_hook=collect, parse_int=number, parse_float=number)
    return repeated[0] if repeated else None
