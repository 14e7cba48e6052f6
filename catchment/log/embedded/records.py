"""Bytes of records: framing a batch, taking records out of a buffer, and walking a file to its last whole batch.

The layout is in the package text. Cost on one core: framing about 0.6 µs, taking about 0.5 µs a record of 1 KB.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Sequence
from typing import NamedTuple

from google_crc32c import extend, value

from catchment.log.port import MAX_PAYLOAD_BYTES

HEADER_BYTES = 8
CHUNK_BYTES = 1024 * 1024
MORE = 1 << 31
"""Flag in the length word: the next record belongs to the same batch."""
LENGTH = MORE - 1
BAD = -1
"""`take` met a record whose checksum or length is wrong."""

_LENGTH_SHAPE = re.compile(rb"(?s)(?=..[\x00-\x81][\x00\x80])")
"""The bytes of a length word that is no more than MAX_PAYLOAD_BYTES, with or without MORE."""

_WORD = struct.Struct("<I")
_HEADER = struct.Struct("<II")


class _Seeds(dict[int, int]):
    """Length word → its CRC-32C, from which the payload's goes on; saves a slice and a call a record."""

    def __missing__(self, word: int) -> int:
        if len(self) >= 65_536:
            self.clear()
        seed: int = value(_WORD.pack(word))
        self[word] = seed
        return seed


_SEEDS = _Seeds()


def frame(payloads: Sequence[bytes], into: list[bytes]) -> None:
    """Append the pieces of one batch's records to `into`, in order."""
    pack, push, seeds = _HEADER.pack, into.append, _SEEDS
    left = len(payloads)
    for payload in payloads:
        left -= 1
        word = len(payload) | MORE if left else len(payload)
        push(pack(word, extend(seeds[word], payload)))
        push(payload)


def take(buffer: bytes, at: int, max_records: int, max_bytes: int) -> tuple[list[bytes], int, int]:
    """Payloads from `buffer[at:]`, at least one if a whole one is there.

    Returns the payloads, where the next record begins, and why it stopped: 0 at a limit, BAD, or the number of bytes
    that the next record needs to be seen (its header, or all of it).
    """
    payloads: list[bytes] = []
    push, unpack, seeds = payloads.append, _HEADER.unpack_from, _SEEDS
    end = len(buffer)
    while max_records:
        start = at + HEADER_BYTES
        if start > end:
            return payloads, at, HEADER_BYTES
        word, checksum = unpack(buffer, at)
        stop = start + (word & LENGTH)
        if stop > end:
            return payloads, at, stop - at if stop - start <= MAX_PAYLOAD_BYTES else BAD
        payload = buffer[start:stop]
        if extend(seeds[word], payload) != checksum:
            return payloads, at, BAD
        max_bytes -= stop - start
        if max_bytes < 0 and payloads:
            return payloads, at, 0
        push(payload)
        at = stop
        max_records -= 1
    return payloads, at, 0


def claimed_bytes(header: bytes) -> int:
    """What a record says that it takes, header included; at most what one may, and the header at least."""
    if len(header) < HEADER_BYTES:
        return HEADER_BYTES
    length: int = _WORD.unpack_from(header)[0] & LENGTH
    return HEADER_BYTES + min(length, MAX_PAYLOAD_BYTES)


def resume(descriptor: int, begin: int, limit: int, most: int) -> Whole:
    """Where records go on behind a damaged one at byte `begin`, and how many there are from there to `limit`.

    That is at the first good one from which lengths lead from record to record exactly to `limit`, a place at which a
    record ends, and that makes no more than `most` of them. No records, and `limit`, when there is none.

    More than `most` would be records that are copied in the payload of the damaged one.
    """
    following: dict[int, int] = {limit: 0}
    for start in range(begin + 1, limit, CHUNK_BYTES):
        window = os.pread(descriptor, min(CHUNK_BYTES + HEADER_BYTES - 1, limit - start), start)
        for found in _LENGTH_SHAPE.finditer(window, 0, CHUNK_BYTES + 3):
            at = start + found.start()
            end = at + claimed_bytes(window[found.start() : found.start() + HEADER_BYTES])
            if end > limit or not take(os.pread(descriptor, end - at, at), 0, 1, 0)[0]:
                continue
            records = _count(descriptor, at, limit, following)
            if 0 < records <= most:
                return Whole(records, at)
    return Whole(0, limit)


def _count(descriptor: int, at: int, limit: int, following: dict[int, int]) -> int:
    """How many records lie from byte `at` to `limit` by their lengths, -1 when these do not lead there. `following` has
    what is known of this already, and gets the rest."""
    passed = []
    while at not in following:
        header = os.pread(descriptor, HEADER_BYTES, at)
        if at + HEADER_BYTES > limit or _WORD.unpack_from(header)[0] & LENGTH > MAX_PAYLOAD_BYTES:
            following[at] = -1
            break
        passed.append(at)
        at += claimed_bytes(header)
    records = following[at]
    for position in reversed(passed):
        records += records >= 0
        following[position] = records
    return records


class Whole(NamedTuple):
    """A good part of a segment: the records in it, and the byte behind the last whole batch."""

    records: int
    position: int


def walk(descriptor: int, position: int, size_bytes: int) -> Whole:
    """Check records from byte `position` of the file until the first bad one or `size_bytes`."""
    whole = Whole(0, position)
    records = 0
    wanted = CHUNK_BYTES
    while position < size_bytes:
        buffer = os.pread(descriptor, min(wanted, size_bytes - position), position)
        at = 0
        while True:
            payloads, after, needed = take(buffer, at, 1, 0)
            if not payloads:
                break
            records += 1
            if not _WORD.unpack_from(buffer, at)[0] & MORE:
                whole = Whole(records, position + after)
            at = after
        position += at
        if needed == BAD or position + needed > size_bytes:
            break
        wanted = max(CHUNK_BYTES, needed)
    return whole
