"""From an accepted request to the bytes of its Heka message, by joining parts that were encoded once.

    part        made                 protobuf
    uuid        per message          1: 16 random bytes
    stamp       per loop turn        2: receipt time (ns), 4: logger `moz_ingest`, 3: type (the topic), 9: hostname
    remote      per connection       field remote_addr
    uri, args   per message          fields uri (path as sent, undecoded) and args (query; absent without one)
    captured    per header block     field protocol, one field a stored header in configured order
    content     per message          field content (bytes): the body

All messages accepted in one turn of the event loop share the receipt time of the first. Wire format and order are
those of the original edge module; `catchment.message` reads them back (a test holds the two together).
"""

from __future__ import annotations

import os
from functools import lru_cache

LOGGER = b"moz_ingest"
_UUIDS_AT_ONCE = 256
_REMEMBERED_LENGTH = 4096
_STRING_FIELD, _BYTES_FIELD = b"\x22", b"\x10\x01\x2a"


def varint(number: int) -> bytes:
    """`number` (≥ 0) as a protobuf varint."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def delimited(tag: bytes, value: bytes) -> bytes:
    return tag + varint(len(value)) + value


def field_head(name: bytes, kind: bytes, length: int) -> bytes:
    """What stands before the `length` value bytes of a message field."""
    inner = delimited(b"\x0a", name) + kind + varint(length)
    return b"\x52" + varint(len(inner) + length) + inner


def string_field(name: bytes, value: bytes) -> bytes:
    return field_head(name, _STRING_FIELD, len(value)) + value


@lru_cache(maxsize=8192)
def content_head(length: int) -> bytes:
    """What stands before a body of `length` bytes."""
    return field_head(b"content", _BYTES_FIELD, length)


class StringField:
    """A message field whose name is known beforehand. What stands before a value depends on its length only and is
    remembered for lengths up to 4 KiB."""

    def __init__(self, name: bytes) -> None:
        self._name = name
        self._heads: dict[int, bytes] = {}

    def of(self, value: bytes) -> bytes:
        length = len(value)
        head = self._heads.get(length)
        if head is None:
            head = field_head(self._name, _STRING_FIELD, length)
            if length <= _REMEMBERED_LENGTH:
                self._heads[length] = head
        return head + value


PROTOCOL = tuple(string_field(b"protocol", b"HTTP/1.%d" % minor) for minor in (0, 1))


class Envelope:
    """The constant parts of one edge: its topic and its hostname."""

    def __init__(self, topic: str, hostname: str, max_uri_bytes: int) -> None:
        self._source = (
            delimited(b"\x22", LOGGER) + delimited(b"\x1a", topic.encode()) + delimited(b"\x4a", hostname.encode())
        )
        # What stands before a path or query, by its length.
        self._uri = [field_head(b"uri", _STRING_FIELD, length) for length in range(max_uri_bytes + 1)]
        self._args = [field_head(b"args", _STRING_FIELD, length) for length in range(max_uri_bytes + 1)]
        self._uuids: list[bytes] = []

    def stamp(self, time_ns: int) -> bytes:
        """Receipt time, logger, type and hostname."""
        return b"\x10" + varint(time_ns) + self._source

    def remote(self, address: str) -> bytes:
        """Field remote_addr; nothing for an unknown peer."""
        return string_field(b"remote_addr", address.encode()) if address else b""

    def uuid(self) -> bytes:
        """16 random bytes with their tag. The system is asked for 256 at once: one call for each would cost as much
        as the rest of the message."""
        if not self._uuids:
            pool = os.urandom(16 * _UUIDS_AT_ONCE)
            self._uuids = [b"\x0a\x10" + pool[at : at + 16] for at in range(0, len(pool), 16)]
        return self._uuids.pop()

    def seal(
        self, uuid: bytes, stamp: bytes, remote: bytes, path: bytes, args: bytes | None, fields: bytes, body: bytes
    ) -> bytes:
        """The message. `fields` ends with the head of the content field, made for the length of `body`."""
        if args is None:
            return b"".join((uuid, stamp, remote, self._uri[len(path)], path, fields, body))
        return b"".join((uuid, stamp, remote, self._uri[len(path)], path, self._args[len(args)], args, fields, body))
