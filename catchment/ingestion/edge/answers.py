"""Every answer that the edge can give, as bytes, made anew once a second for its Date.

A `Refusal` names a cause; `docs/edge.md` lists them. Whether an answer ends the connection is known only when it is
given, so `Answers.of` takes it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple
from wsgiref.handlers import format_date_time


class Refusal(NamedTuple):
    """A status other than 200 with its line of text. `allow` fills the header of a 405; `later` adds Retry-After."""

    status: int
    text: bytes
    allow: bytes = b""
    later: bool = False


MALFORMED = Refusal(400, b"malformed request\n")
NOT_FOUND = Refusal(404, b"not found\n")
SUBMIT_METHOD = Refusal(405, b"use POST or PUT\n", allow=b"POST, PUT")
READ_METHOD = Refusal(405, b"use GET or HEAD\n", allow=b"GET, HEAD")
TOO_SLOW = Refusal(408, b"request too slow\n")
NO_LENGTH = Refusal(411, b"length required\n")
BODY_TOO_LARGE = Refusal(413, b"payload too large\n")
URI_TOO_LONG = Refusal(414, b"uri too long\n")
EXPECTATION = Refusal(417, b"only 100-continue can be expected\n")
HEADER_TOO_LARGE = Refusal(431, b"header too large\n")
BUSY = Refusal(503, b"busy, send again later\n", later=True)
DRAINING = Refusal(503, b"stopping, send again\n", later=True)
NOT_STORED = Refusal(503, b"not stored, send again later\n", later=True)
VERSION = Refusal(505, b"use HTTP/1.1\n")
NO_SPACE = Refusal(507, b"no space, send again later\n", later=True)

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Answers:
    """Renders answers. `ok` and `ok_close` are ready for the hot path; `turn` renews the Date."""

    def __init__(self, retry_after_s: int) -> None:
        self._retry_after = b"Retry-After: %d\r\n" % retry_after_s
        self._second = -1
        self._date = b""
        self._made: dict[tuple[Refusal, bool, bool], bytes] = {}
        self.ok = b""
        self.ok_close = b""
        self.turn(0)

    def turn(self, unix_s: int) -> None:
        """Say that it is now `unix_s`."""
        if unix_s == self._second:
            return
        self._second = unix_s
        self._date = format_date_time(unix_s).encode()
        self._made.clear()
        self.ok = self.document(200, "text/plain", b"OK", close=False)
        self.ok_close = self.document(200, "text/plain", b"OK", close=True)

    def of(self, refusal: Refusal, *, close: bool, head_only: bool = False) -> bytes:
        """The whole answer. With `head_only` the text is left out, as HEAD wants it."""
        key = (refusal, close, head_only)
        made = self._made.get(key)
        if made is None:
            extra = b"Allow: %b\r\n" % refusal.allow if refusal.allow else b""
            if refusal.later:
                extra += self._retry_after
            made = self._made[key] = self.document(
                refusal.status, "text/plain", refusal.text, close=close, head_only=head_only, extra=extra
            )
        return made

    def document(
        self,
        status: int,
        content_type: str,
        body: bytes,
        *,
        close: bool,
        head_only: bool = False,
        extra: bytes = b"",
    ) -> bytes:
        """An answer with any body; `extra` holds further header lines."""
        return b"HTTP/1.1 %d %b\r\nDate: %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b%b\r\n%b" % (
            status,
            HTTPStatus(status).phrase.encode(),
            self._date,
            content_type.encode(),
            len(body),
            extra,
            b"Connection: close\r\n" if close else b"",
            b"" if head_only else body,
        )
