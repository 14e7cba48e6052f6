"""One object of the landfill while it is filled: records framed, compressed and counted.

Every record of topic raw is in the object, whatever its bytes: one that is no message is enclosed in one of type
`UNREADABLE`, and comes out again as it was (`opened`). The checksum of the compression covers the content.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import google_crc32c
import zstandard

from catchment import message
from catchment.framing import frame
from catchment.ingestion.decoder.failure import Refusal
from catchment.ingestion.decoder.submission import unwrap
from catchment.ingestion.decoder.uri import read_uri
from catchment.ingestion.landfill.layout import OBJECT, Count, Index, hour_of, name_of
from catchment.log.port import Record, TopicPartition

UNREADABLE = "catchment.unreadable"
_MARK_WITHIN = 64
_LEVEL = 3
_CHUNK_BYTES = 256 * 1024


class Seen(NamedTuple):
    """What the landfill reads of a record. `received_ns` is None when it is no message."""

    received_ns: int | None
    namespace: str
    doctype: str


def look(payload: bytes) -> Seen:
    """When a record was received and which doctype its path names."""
    unwrapped = unwrap(payload)
    if isinstance(unwrapped, Refusal):
        return Seen(None, "", "")
    submission = unwrapped[0]
    named = read_uri(submission.uri)
    if isinstance(named, Refusal):
        return Seen(submission.received_ns, named.namespace or "", named.doctype or "")
    return Seen(submission.received_ns, named[0].namespace, named[0].doctype)


def opened(payload: bytes) -> bytes:
    """The record in a message of the landfill: the message itself, unless it encloses what was none."""
    if payload.find(UNREADABLE.encode(), 0, _MARK_WITHIN) < 0:
        return payload
    found = message.decode(payload)
    content = found.first("record")
    return content if found.type == UNREADABLE and isinstance(content, bytes) else payload


@dataclass(frozen=True, slots=True)
class Sealed:
    """A finished object."""

    name: str
    content: bytes
    index: Index


class Pack:
    """Gathers records of one partition, in order, from `first` on."""

    def __init__(self, edge: str, source: TopicPartition, first: int) -> None:
        self.first = self.end = first
        self.plain_bytes = 0
        self._edge = edge
        self._source = source
        self._hour: int | None = None
        self._latest_ns = 0
        self._counts: dict[tuple[str, str], list[int]] = {}
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
        self._parts: list[bytes] = []
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    @property
    def records(self) -> int:
        return self.end - self.first

    def takes(self, seen: Seen) -> bool:
        """Whether the record belongs into this object: it is of the object's hour or the one before, or has no time."""
        if self._hour is None or seen.received_ns is None:
            return True
        return self._hour - 1 <= hour_of(seen.received_ns) <= self._hour

    def add(self, record: Record, seen: Seen) -> None:
        """Take the record of offset `end`. A record without a time has that of the latest one before it, or 0."""
        time_ns = self._latest_ns if seen.received_ns is None else seen.received_ns
        payload = record.payload if seen.received_ns is not None else _enclosed(record.payload, time_ns)
        if self._hour is None:
            self._hour = hour_of(time_ns)
        self._latest_ns = max(self._latest_ns, time_ns)
        count = self._counts.get((seen.namespace, seen.doctype))
        if count is None:
            self._counts[seen.namespace, seen.doctype] = [1, time_ns, time_ns]
        else:
            count[0] += 1
            count[1] = min(count[1], time_ns)
            count[2] = max(count[2], time_ns)
        self._waiting.append(frame(payload))
        self.end = record.offset + 1
        self.plain_bytes += len(payload)
        self._waiting_bytes += len(payload)
        if self._waiting_bytes >= _CHUNK_BYTES:
            self._compress()

    def seal(self) -> Sealed:
        """The object and its index. The pack has at least one record and takes no more."""
        assert self._hour is not None
        self._compress()
        content = b"".join((*self._parts, self._compressor.flush()))
        name = name_of(self._hour, self._edge, self.first)
        return Sealed(name, content, self.index(name + OBJECT, content))

    def index(self, key: str, content: bytes) -> Index:
        """The index of an object `content` that holds what this pack has taken."""
        counts = (Count(*doctype, *numbers) for doctype, numbers in sorted(self._counts.items()))
        return Index(
            key,
            self._edge,
            str(self._source),
            self.first,
            self.end,
            len(content),
            self.plain_bytes,
            google_crc32c.value(content),
            hashlib.sha256(content).hexdigest(),
            tuple(counts),
        )

    def _compress(self) -> None:
        self._parts.append(self._compressor.compress(b"".join(self._waiting)))
        self._waiting.clear()
        self._waiting_bytes = 0


def _enclosed(record: bytes, time_ns: int) -> bytes:
    field = message.Field("record", (record,), message.BYTES)
    return message.encode(message.Message(bytes(message.UUID_BYTES), time_ns, UNREADABLE, "catchment", fields=[field]))
