"""Reading the head of a request: request line and header block, strictly.

The request line is matched here; the header block is read by llhttp (through httptools), which refuses folded lines,
spaces before the colon, control characters, doubled or malformed Content-Length and Content-Length next to
Transfer-Encoding. Refused here on top: a lone CR or LF anywhere, more than one Host (or none in HTTP/1.1), a
Transfer-Encoding other than exactly `chunked`, or any in HTTP/1.0. So no two readers of the same bytes can disagree on
where a request ends.

Clients behind a keep-alive connection repeat their header block to the byte, and llhttp with its callbacks costs more
than the rest of the request. `HeaderBlocks` therefore remembers what identical bytes meant: at most 512 blocks of at
most 2 KiB; when full, it starts empty again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from catchment.ingestion.edge import envelope
from catchment.ingestion.edge.answers import HEADER_TOO_LARGE, MALFORMED, VERSION, Refusal
from catchment.ingestion.edge.envelope import StringField

_MOST_BLOCKS, _LONGEST_BLOCK = 512, 2048
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-\"$-~]+) HTTP/([0-9])\.([0-9])\r\n")
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://[^/?]+")

NO_BODY_LENGTH = -1
NOT_PLAIN = -(1 << 40)


class Refused(Exception):
    """A request that cannot be accepted, with what to answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.status)
        self.refusal = refusal


class HeaderBlock(NamedTuple):
    """What a header block means. `fields` is ready for the message, up to and with the content field's head when the
    length is declared. `plain_length` equals `length` for the ordinary case that needs no further look, and is a
    number that no length reaches otherwise. (A tuple: a frozen dataclass takes eight times as long to make.)"""

    length: int
    is_chunked: bool
    keeps_alive: bool
    expects_continue: bool
    expects_else: bool
    value_too_large: bool
    fields: bytes
    plain_length: int


class Head(NamedTuple):
    method: bytes
    path: bytes
    args: bytes | None
    uri_bytes: int
    block: HeaderBlock


class _Lines:
    """Collects what llhttp reports of one header block."""

    __slots__ = ("headers", "is_complete")

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.is_complete = True


class HeaderBlocks:
    """Reads header blocks, remembering those of HTTP/1.1 in `known` (bytes of the block → meaning)."""

    def __init__(
        self, stored: Sequence[str], *, max_headers: int, max_head_bytes: int, max_value_bytes: int, max_body_bytes: int
    ) -> None:
        self._stored = [(name.lower().encode(), StringField(name.encode())) for name in stored]
        self._max_headers = max_headers
        self._max_head_bytes = max_head_bytes
        self._max_value_bytes = max_value_bytes
        self._max_body_bytes = max_body_bytes
        self.known: dict[bytes, HeaderBlock] = {}

    def read(self, raw: bytes, minor: int) -> HeaderBlock:
        """The meaning of `raw`: header lines, each with its CRLF, without the empty line. Raises Refused."""
        known = self.known.get(raw) if minor == 1 else None
        if known is not None:
            return known
        block = self._block(self._lines(raw, minor), minor)
        if minor == 1 and len(raw) <= _LONGEST_BLOCK:
            if len(self.known) >= _MOST_BLOCKS:
                self.known.clear()
            self.known[raw] = block
        return block

    def learn(self, raw: bytes) -> HeaderBlock | None:
        """As `read` for HTTP/1.1, but None for a block that is refused."""
        try:
            return self.read(raw, 1)
        except Refused:
            return None

    def _lines(self, raw: bytes, minor: int) -> list[tuple[bytes, bytes]]:
        if len(raw) > self._max_head_bytes or raw.count(b"\n") > self._max_headers:
            raise Refused(HEADER_TOO_LARGE)
        if has_lone_end(raw):
            raise Refused(MALFORMED)
        lines = _Lines()
        parser = HttpRequestParser(lines)
        try:
            parser.feed_data(b"POST / HTTP/1.%d\r\n%b\r\n" % (minor, raw))
        except HttpParserUpgrade:
            pass  # an offer to change protocols, which a server may ignore
        except HttpParserError as error:
            raise Refused(MALFORMED) from error
        if not lines.is_complete:
            raise Refused(MALFORMED)
        return lines.headers

    def _block(self, headers: list[tuple[bytes, bytes]], minor: int) -> HeaderBlock:
        first = dict(reversed(headers))
        names = [name for name, _ in headers]
        hosts, codings = names.count(b"host"), names.count(b"transfer-encoding")
        if hosts != 1 and (minor == 1 or hosts > 1):
            raise Refused(MALFORMED)
        if codings and (codings > 1 or minor == 0 or first[b"transfer-encoding"].lower() != b"chunked"):
            raise Refused(MALFORMED)
        length = int(first.get(b"content-length", NO_BODY_LENGTH))
        expectation = first[b"expect"].lower() if b"expect" in first else b""
        fields = [envelope.PROTOCOL[minor]]
        too_large = False
        for lower, field in self._stored:
            if (value := first.get(lower)) is not None:
                # header bytes are ISO-8859-1: as text, each high byte becomes two
                text = value if value.isascii() else value.decode("latin-1").encode()
                too_large |= len(text) > self._max_value_bytes
                fields.append(field.of(text))
        if length >= 0:
            fields.append(envelope.content_head(length))
        keeps_alive = minor == 1 and not (b"connection" in first and _closes(headers))
        is_plain = keeps_alive and not too_large and not expectation and 0 <= length <= self._max_body_bytes
        return HeaderBlock(
            length=length,
            is_chunked=bool(codings),
            keeps_alive=keeps_alive,
            expects_continue=minor == 1 and expectation == b"100-continue",
            expects_else=minor == 1 and expectation not in (b"", b"100-continue"),
            value_too_large=too_large,
            fields=b"".join(fields),
            plain_length=length if is_plain else NOT_PLAIN,
        )


def read_head(raw: bytes, blocks: HeaderBlocks) -> Head:
    """Read `raw`, from the request line up to and with the empty line. Raises Refused."""
    line = _REQUEST_LINE.match(raw)
    if line is None:
        raise Refused(MALFORMED)
    method, target, major, minor = line.groups()
    if major != b"1" or minor not in b"01":
        raise Refused(VERSION)
    if target[:1] != b"/" and target != b"*":
        absolute = _ABSOLUTE.match(target)
        if absolute is None:
            raise Refused(MALFORMED)
        target = target[absolute.end() :]
        target = target if target[:1] == b"/" else b"/" + target
    path, _, args = target.partition(b"?")
    block = blocks.read(raw[line.end() : -2], int(minor))
    return Head(method, path, args or None, len(target), block)


def has_lone_end(raw: bytes) -> bool:
    """Whether `raw` holds a CR without LF or an LF without CR. A CR at the very end does not count."""
    ends = raw.count(b"\r\n")
    return raw.count(b"\n") != ends or raw.count(b"\r") - raw.endswith(b"\r") != ends


def _closes(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(
        token.strip().lower() == b"close"
        for name, value in headers
        if name == b"connection"
        for token in value.split(b",")
    )
