"""How a body arrives: by declared length, to be dropped, or chunked. All three are fed what comes in.

`feed(arrived)` returns what follows the body, or None while it is not complete; `body` then holds it. A body is
gathered in one growing buffer, so that a client that sends single bytes does not cost an object for each.

Chunked bodies are decoded strictly. Limits: the body as set, a size line of 256 bytes with its extension (which is
ignored), 8 KiB of trailers (checked for form and dropped), and 64 KiB of framing plus eight bytes for each body byte.
Source: RFC 9112, section 7.1.
"""

from __future__ import annotations

import re

from catchment.ingestion.edge.answers import BODY_TOO_LARGE, MALFORMED
from catchment.ingestion.edge.head import Refused

_LINE_BYTES, _TRAILER_BYTES, _FRAMING_BYTES = 256, 8 * 1024, 64 * 1024
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t -~\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*")


class FixedBody:
    """A body of `length` (> 0) bytes."""

    def __init__(self, length: int) -> None:
        self.body = bytearray()
        self._length = length

    @property
    def received(self) -> int:
        return len(self.body)

    def feed(self, arrived: bytes) -> bytes | None:
        need = self._length - len(self.body)
        self.body += arrived[:need]
        return arrived[need:] if len(arrived) >= need else None


class DroppedBody:
    """A body of `length` (> 0) bytes that nobody wants."""

    def __init__(self, length: int) -> None:
        self.body = bytearray()
        self.received = 0
        self._length = length

    def feed(self, arrived: bytes) -> bytes | None:
        need = self._length - self.received
        self.received += min(need, len(arrived))
        return arrived[need:] if len(arrived) >= need else None


class ChunkedBody:
    """A chunked body of at most `max_body_bytes`."""

    def __init__(self, max_body_bytes: int) -> None:
        self.body = bytearray()
        self._max_body_bytes = max_body_bytes
        self._need = 0
        self._line = b""
        self._read = self._size_line
        self._framing = 0
        self._trailer_bytes = 0

    @property
    def received(self) -> int:
        return len(self.body)

    def feed(self, arrived: bytes) -> bytes | None:
        """Take what arrived. Returns what follows the body, or None while it is not complete. Raises Refused."""
        rest: bytes | None = arrived
        while rest:
            if self._need:
                taken = rest[: self._need]
                self.body += taken
                self._need -= len(taken)
                rest = rest[len(taken) :]
                continue
            line, rest = self._take_line(rest)
            if line is None:
                return None
            if self._read(line):
                return rest
        return None

    def _take_line(self, arrived: bytes) -> tuple[bytes | None, bytes]:
        end = arrived.find(b"\n")
        held = self._line + (arrived if end < 0 else arrived[: end + 1])
        limit = _TRAILER_BYTES if self._read == self._trailer_line else _LINE_BYTES
        if len(held) > limit or (end >= 0 and held[-2:] != b"\r\n"):
            raise Refused(MALFORMED)
        if end < 0:
            self._line = held
            return None, b""
        self._line = b""
        self._framing += len(held)
        if self._framing > _FRAMING_BYTES + 8 * len(self.body):
            raise Refused(MALFORMED)
        return held[:-2], arrived[end + 1 :]

    def _size_line(self, line: bytes) -> bool:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise Refused(MALFORMED)
        size = int(match[1], 16)
        if len(self.body) + size > self._max_body_bytes:
            raise Refused(BODY_TOO_LARGE)
        self._need = size
        self._read = self._chunk_end if size else self._trailer_line
        return False

    def _chunk_end(self, line: bytes) -> bool:
        if line:
            raise Refused(MALFORMED)
        self._read = self._size_line
        return False

    def _trailer_line(self, line: bytes) -> bool:
        self._trailer_bytes += len(line)
        if line and (self._trailer_bytes > _TRAILER_BYTES or not _TRAILER.fullmatch(line)):
            raise Refused(MALFORMED)
        return not line
