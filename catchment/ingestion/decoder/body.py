"""Steps 4 and 5: from the body as received to a JSON object.

**Gunzip**, when the body starts with 1f 8b. The output is bounded while it grows, so a bomb costs at most the limit.
libdeflate does the usual member: its trailer states a size within the limit and no second member can be seen; what it
does not settle is decided by zlib, exactly. A body is one gzip member: a second one, or anything else behind the first,
is refused, because tools differ in what they make of it.

**JSON** as RFC 8259 in UTF-8, exactly one object, nothing behind it. Strict where parsers are lenient: no NaN, Infinity
or 1e999, no byte-order mark, no lone surrogate, no control character in a string. Integers up to 2^64 - 1 stay
integers; larger ones become floats (and no longer satisfy a draft-04 `integer`). A key that an object has twice must
have the same value both times (crash pings do write one twice), because parsers differ in which one they take. Nesting
ends at 254 levels, so that every later step may recurse. `repeats.py` tells how both are found.
"""

from __future__ import annotations

from typing import Any

import orjson
from deflate import DeflateError, gzip_decompress
from zlib_ng import zlib_ng

from catchment.ingestion.decoder.failure import Refusal, cut
from catchment.ingestion.decoder.repeats import MAX_DEPTH, TooDeep, may_repeat, repeated_key

_MAGIC = b"\x1f\x8b"
_MEMBER = b"\x1f\x8b\x08"
_SHORTEST_MEMBER = 18
_GZIP_WINDOW = 31
_DEPTH_LIMIT = "depth limit exceeded"


def gunzip(body: bytes, max_bytes: int) -> bytes | Refusal:
    """The body without its compression, or gzip_corrupt, gzip_trailing, body_too_large."""
    if not body.startswith(_MAGIC):
        if len(body) > max_bytes:
            return Refusal("body_too_large", f"{len(body)} bytes, limit {max_bytes}")
        return body
    stated = int.from_bytes(body[-4:], "little")
    if 0 < stated <= max_bytes and len(body) >= _SHORTEST_MEMBER and body.find(_MEMBER, 3) < 0:
        try:
            plain = gzip_decompress(body)
        except DeflateError:
            return _inflate(body, max_bytes)
        if len(plain) == stated:
            return bytes(plain)
    return _inflate(body, max_bytes)


def _inflate(body: bytes, max_bytes: int) -> bytes | Refusal:
    """Gunzip that never makes more than the limit and knows where the member ended."""
    member = zlib_ng.decompressobj(_GZIP_WINDOW)
    try:
        plain = member.decompress(body, max_bytes + 1)
    except zlib_ng.error as error:  # type: ignore[misc]  # its stub forgets the base class
        return Refusal("gzip_corrupt", cut(str(error)))
    if len(plain) > max_bytes:
        return Refusal("body_too_large", f"{len(body)} bytes of gzip hold more than {max_bytes}")
    if not member.eof:
        return Refusal("gzip_corrupt", f"truncated after {len(body)} bytes")
    if member.unused_data:
        return Refusal("gzip_trailing", f"{len(member.unused_data)} bytes after the end of the gzip member")
    return bytes(plain)


def parse(text: bytes) -> dict[str, Any] | Refusal:
    """The object that `text` holds, or json_empty, json_invalid, json_too_deep, json_not_object, json_duplicate_key."""
    if not text:
        return Refusal("json_empty", "offset:0 empty body")
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if error.msg == _DEPTH_LIMIT:
            return _too_deep()
        return Refusal("json_invalid", cut(f"offset:{error.pos} {error.msg}"))
    if type(content) is not dict:
        return Refusal("json_not_object", f"found {_KINDS.get(type(content), 'a number')}")
    try:
        repeated = repeated_key(text) if may_repeat(text, content) else None
    except TooDeep:
        return _too_deep()
    if repeated is not None:
        return Refusal("json_duplicate_key", cut(repr(repeated)))
    return content


_KINDS: dict[type, str] = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}


def _too_deep() -> Refusal:
    return Refusal("json_too_deep", f"more than {MAX_DEPTH} levels")
