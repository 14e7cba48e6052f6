"""What the edge refuses, in which order; and what becomes of the connection then.

    method ─▶ length declared ─▶ uri ─▶ body length ─▶ stored header values ─▶ expectation

The order is that of the original edge module, so that a request with two faults gets the answer that clients know.
The body has no part in it: every well-formed `/submit/…` request is accepted, and the decoder judges it. A list of
namespaces closes the rest of `/submit/…`: it is then a path like any other, answered 404 whatever the method.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from catchment.ingestion.edge.answers import (
    BODY_TOO_LARGE,
    EXPECTATION,
    HEADER_TOO_LARGE,
    NO_LENGTH,
    NOT_FOUND,
    READ_METHOD,
    SUBMIT_METHOD,
    URI_TOO_LONG,
    Refusal,
)
from catchment.ingestion.edge.head import NO_BODY_LENGTH, Head
from catchment.ingestion.edge.settings import EdgeSettings

OPERATIONAL = frozenset((b"/status", b"/__heartbeat__", b"/__lbheartbeat__", b"/__version__"))
_DROPPED_BODY_BYTES = 64 * 1024
"""A refused request's body up to this length is read and dropped; the connection of a longer one is closed."""


def ordinary_line(namespaces: Sequence[str]) -> re.Pattern[bytes]:
    """Matches the request line of a submission to one of these namespaces (none: to any path at or below `/submit`),
    with path and query as groups."""
    below = rb"(?:/[!-\"$->@-~]*)?"
    if namespaces:
        below = b'/(?:%b)/[!-"$->@-~]*' % b"|".join(re.escape(name).encode() for name in namespaces)
    return re.compile(rb"(?:POST|PUT) (/submit%b)(?:\?([!-\"$-~]*))? HTTP/1\.1\r\n" % below)


def is_submit(path: bytes, namespaces: Sequence[str]) -> bool:
    """Whether producers may send to this path."""
    if not namespaces:
        return path == b"/submit" or path.startswith(b"/submit/")
    parts = path.split(b"/", 3)
    return len(parts) == 4 and parts[1] == b"submit" and parts[2].decode("latin-1") in namespaces


def judge(head: Head, settings: EdgeSettings) -> Refusal | None:
    """The refusal of this request, or None: it is a submission to accept, or an operational path to answer."""
    block = head.block
    if not is_submit(head.path, settings.namespaces):
        if head.path not in OPERATIONAL:
            return NOT_FOUND
        return None if head.method in (b"GET", b"HEAD") else READ_METHOD
    if head.method not in (b"POST", b"PUT"):
        return SUBMIT_METHOD
    if block.length == NO_BODY_LENGTH and not block.is_chunked:
        return NO_LENGTH
    if head.uri_bytes > settings.max_uri_bytes:
        return URI_TOO_LONG
    if block.length > settings.max_body_bytes:
        return BODY_TOO_LARGE
    if block.value_too_large:
        return HEADER_TOO_LARGE
    return EXPECTATION if block.expects_else else None


def closes_after(head: Head, refusal: Refusal | None) -> bool:
    """Whether the connection ends with this answer, given before any body was read.

    It does when the end of the body is unknown or too far away, or when the client may or may not send it (Expect).
    """
    block = head.block
    return (
        not block.keeps_alive
        or block.is_chunked
        or refusal is NO_LENGTH
        or block.length > _DROPPED_BODY_BYTES
        or (block.length > 0 and (block.expects_continue or block.expects_else))
    )
