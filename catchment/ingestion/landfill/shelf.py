"""The landfill in an object store: sealing objects, finding and reading them, letting old ones go."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator

import google_crc32c
import zstandard

from catchment import metrics
from catchment.errors import Corrupt, Malformed, Missing, Unavailable
from catchment.framing import split
from catchment.ingestion.landfill.checks import Check, checks, keep
from catchment.ingestion.landfill.layout import (
    HOUR_NS,
    INDEX,
    OBJECT,
    PREFIX,
    Index,
    folder_of,
    hour_of,
    hour_of_key,
    read_index,
)
from catchment.ingestion.landfill.packing import Pack, Sealed, look, opened
from catchment.log.port import Record, TopicPartition
from catchment.objects.port import ObjectStore

DAY_S = 86_400
READ_BYTES = 256 * 1024
"""Compressed bytes taken at a time; what they unpack to is held."""

LISTED_APART_DAYS = 62
"""A span of more days is found by one listing of all; each day's own would be a request to the store."""

EXPIRED = metrics.counter("landfill_expired_objects_total", "Objects deleted because of their age.", "objects")


class Landfill:
    """All objects below `landfill/`. Safe to use from several processes."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def store(self, sealed: Sealed, source: TopicPartition, at: Callable[[str], None]) -> int:
        """Put an object and its index, unless they are there; return the offset behind the object that is there then.

        The object is read back and its checksum compared before its index seals it. Raises Corrupt when the key is
        taken by something else, Unavailable and Full as the store does.
        """
        index_key, key = sealed.name + INDEX, sealed.index.key
        try:
            there = read_index(index_key, self._objects.get(index_key))
        except Missing:
            there = None
        if there is not None:
            problem = self.problem(there)
            if problem is not None:
                raise Corrupt(f"{problem}; move it and its index away, they are made again")
            return there.end
        is_new = self._objects.put(key, sealed.content)
        at("object_put")
        held = self._objects.get(key)
        index = sealed.index
        if google_crc32c.value(held) != index.crc32c:
            index = self._taken_over(held, sealed, source, is_new)
        at("object_verified")
        self._objects.put(index_key, index.encoded())
        at("index_put")
        return read_index(index_key, self._objects.get(index_key)).end

    def indexes(self, since_ns: int, until_ns: int) -> list[Index]:
        """Indexes of the objects that may hold records received from `since_ns` to `until_ns` (not included), in the
        order of their keys. Raises Corrupt."""
        hours = range(hour_of(since_ns), hour_of(until_ns - 1) + 2)
        folders = [PREFIX]
        if len(hours) <= LISTED_APART_DAYS * 24:
            folders = list(dict.fromkeys(f"{PREFIX}{folder_of(hour).split('/')[1]}/" for hour in hours))
        found = []
        for folder in folders:
            for stored in self._objects.list(folder):
                if not stored.key.endswith(INDEX) or hour_of_key(stored.key) not in hours:
                    continue
                try:
                    index = read_index(stored.key, self._objects.get(stored.key))
                except Missing:
                    continue  # it has expired since it was listed
                if index.earliest_ns < until_ns and index.latest_ns >= since_ns:
                    found.append(index)
        return found

    def index(self, key: str) -> Index:
        """The index of the object of this key. Raises Missing, Corrupt."""
        name = key.removesuffix(OBJECT).removesuffix(INDEX)
        return read_index(name + INDEX, self._objects.get(name + INDEX))

    def content(self, key: str) -> bytes:
        """The bytes of an object. Raises Missing."""
        return self._objects.get(key)

    def blocks(self, index: Index) -> Iterator[list[Record]]:
        """The records of an object in order, in blocks. Raises Corrupt when it is not as its index says,
        Missing when it has expired."""
        content = self._objects.get(index.key)
        if google_crc32c.value(content) != index.crc32c:
            raise Corrupt(f"{index.key}: its bytes have changed; restore it, see `catchment landfill verify`")
        offset = index.first
        for payloads in _frames(index.key, content):
            yield [Record(offset + number, opened(payload)) for number, payload in enumerate(payloads)]
            offset += len(payloads)

    def problem(self, index: Index) -> str | None:
        """What is wrong with an object, None when it is all that its index says; reads all of it."""
        try:
            content = self._objects.get(index.key)
            if len(content) != index.size_bytes or hashlib.sha256(content).hexdigest() != index.sha256:
                return f"{index.key}: its bytes are not those that were archived"
            records = sum(len(payloads) for payloads in _frames(index.key, content))
        except (Missing, Corrupt) as error:
            return str(error)
        counted = sum(count.records for count in index.contents)
        if records != index.records or records != counted:
            return f"{index.key}: holds {records} records, its index says {index.records}, its counts {counted}"
        return None

    def keep_check(self, check: Check) -> None:
        """Remember what a reading of objects has found."""
        keep(self._objects, check)

    def checks(self) -> list[Check]:
        """Readings of the landfill, the newest first. Raises Corrupt."""
        return checks(self._objects)

    def is_expired_by_store(self, max_age_s: float) -> bool:
        """Have the store itself delete what is older, by whole days; False when it cannot and `expire` must."""
        return self._objects.retain(PREFIX, math.ceil(max_age_s / DAY_S))

    def expire(self, now_ns: int, max_age_s: float) -> int:
        """Delete objects whose records *and* which themselves are older than `max_age_s`; how many."""
        before_ns = now_ns - round(max_age_s * 1e9)
        objects = 0
        for stored in self._objects.list(PREFIX):
            hour = hour_of_key(stored.key)
            if hour is None or stored.modified_ns >= before_ns:
                continue
            if hour * HOUR_NS >= before_ns - HOUR_NS:
                break  # ordered by time
            if stored.key.endswith(OBJECT):
                self._objects.delete(stored.key.removesuffix(OBJECT) + INDEX)
                objects += 1
            self._objects.delete(stored.key)
        EXPIRED.inc(objects)
        return objects

    def _taken_over(self, held: bytes, sealed: Sealed, source: TopicPartition, is_new: bool) -> Index:
        """The index of an object that an earlier life of the archiver has put and not sealed."""
        key = sealed.index.key
        ours = _frames(key, sealed.content)
        pack = Pack(sealed.index.edge, source, sealed.index.first)
        try:
            for payloads in _frames(key, held):
                for payload in payloads:
                    record = opened(payload)
                    pack.add(Record(pack.end, record), look(record))
            is_same = all(mine == theirs for mine, theirs in zip(_each(ours), _each(_frames(key, held)), strict=False))
        except Corrupt as error:
            self._objects.delete(key)  # it was never sealed, and the log still has all of it
            raise Unavailable(f"{key}: damaged on its way to the store ({error}); it is put again") from error
        if is_new or not is_same or not pack.records:
            raise Corrupt(f"{key}: the store holds other records under this name; move it away, or name the edge anew")
        return pack.index(key, held)


def _frames(key: str, content: bytes) -> Iterator[list[bytes]]:
    """Messages of an object, in portions. Raises Corrupt."""
    rest = b""
    unpacking = zstandard.ZstdDecompressor().decompressobj()
    try:
        for at in range(0, len(content), READ_BYTES):
            chunk = unpacking.decompress(content[at : at + READ_BYTES])
            payloads, rest = split(rest + chunk if rest else chunk)
            yield payloads
    except (zstandard.ZstdError, Malformed) as error:
        raise Corrupt(f"{key}: {error}") from error
    if rest or not unpacking.eof or unpacking.unused_data:
        raise Corrupt(f"{key}: does not end where its last frame does")


def _each(portions: Iterable[list[bytes]]) -> Iterator[bytes]:
    return (payload for portion in portions for payload in portion)
