"""A table of document ids in a mapped file: exact, shared by processes, whole after any of them is killed.

    bytes 0..7      "CLIDS001"
    bytes 8..15     u64   secret: ids are spread by it, so that nobody can choose ids that all meet in one bucket
    bytes 16..23    u64   buckets
    bytes 24..31    u64   ids
    from 4096       buckets of 904 bytes: u64 ids in it (0..16), 16 keys of 24 bytes, 16 slots of 32 bytes

A key is in the bucket that the secret gives it or, as long as those before are full, in one of the next. It is written
before its bucket's count, so a killed process leaves ids that are there or not. A slot that is changed keeps a meaning
whichever of its 8-byte words are new. All space is taken from the disk when a table is made, so a full disk is met
there and never by a write to the map. A table that is three quarters full is copied into one of twice the size, which
replaces it by a rename; a half-window begins as large as the one before has become.

All calls are made under the lock of `Deduplicator`.
"""

from __future__ import annotations

import mmap
import os
import secrets
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from catchment.errors import Corrupt, Full

KEY_BYTES, SLOT_BYTES = 24, 32
SPREAD_BY = 17
"""Bytes of a key that choose its bucket: the document id, so that it can be looked for without its doctype, and one of
the doctype's, so that many doctypes of one id do not all meet."""
FIRST_BUCKETS = 1024
_MAGIC = b"CLIDS001"
_HEAD = struct.Struct("<8sQQQ")
_HEAD_BYTES = 4096
_IDS = struct.Struct("<Q")
_IDS_AT = 24
_PLACES, _FULL = 16, 12
"""Places of a bucket, and how many of them are taken on average before the table grows."""
_KEYS, _SLOTS = 8, 8 + 16 * KEY_BYTES
_BUCKET_BYTES = _SLOTS + 16 * SLOT_BYTES


class IdTable:
    """An open table. `path` is made when it is not there."""

    def __init__(self, path: Path, expected_ids: int = 0) -> None:
        """Make room for so many ids at once. Raises Full, Corrupt."""
        self._path = path
        if not path.exists():
            _make(path, max(expected_ids // _FULL + 1, FIRST_BUCKETS))
        self._open()

    def find(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The slots of those keys that are there."""
        self._follow()
        table, secret, buckets, number = self._table, self._secret, self._buckets, int.from_bytes
        found: dict[bytes, bytes] = {}
        for key in keys:
            at = _HEAD_BYTES + number(key[:SPREAD_BY], "little") % secret % buckets * _BUCKET_BYTES
            head = table[at : at + _SLOTS]
            if key in head or head[0] == _PLACES:
                at, place = self._place(key)
                if place >= 0:
                    begin = at + _SLOTS + place * SLOT_BYTES
                    found[key] = table[begin : begin + SLOT_BYTES]
        return found

    def find_all(self, prefix: bytes) -> dict[bytes, bytes]:
        """The slots of all keys that begin with these SPREAD_BY − 1 bytes."""
        self._follow()
        found: dict[bytes, bytes] = {}
        for last in range(256):
            for at in self._chain(prefix + bytes((last,))):
                found |= ((key, slot) for key, slot in self._held(at) if key.startswith(prefix))
        return found

    def store(self, slots: Mapping[bytes, bytes]) -> None:
        """Enter these keys or change their slots. Raises Full; then nothing is changed."""
        self._follow()
        if self.ids + len(slots) > self._buckets * _FULL:
            self._grow(self.ids + len(slots))
        _IDS.pack_into(self._table, _IDS_AT, self.ids + self._enter(slots.items()))

    @property
    def ids(self) -> int:
        count: int = _IDS.unpack_from(self._table, _IDS_AT)[0]
        return count

    def close(self) -> None:
        self._table.close()

    def _enter(self, slots: Iterable[tuple[bytes, bytes]]) -> int:
        """Returns how many were new."""
        table, secret, buckets, number = self._table, self._secret, self._buckets, int.from_bytes
        new = 0
        for key, slot in slots:
            at = _HEAD_BYTES + number(key[:SPREAD_BY], "little") % secret % buckets * _BUCKET_BYTES
            head = table[at : at + _SLOTS]
            place, count = -1, head[0]
            if key in head or count == _PLACES:
                at, place = self._place(key)
                count = table[at]
            begin = at + _SLOTS + (count if place < 0 else place) * SLOT_BYTES
            table[begin : begin + SLOT_BYTES] = slot
            if place < 0:
                begin = at + _KEYS + count * KEY_BYTES
                table[begin : begin + KEY_BYTES] = key
                table[at] = count + 1  # last: only now is it there
                new += 1
        return new

    def _place(self, key: bytes) -> tuple[int, int]:
        """Where the bucket begins that has the key, and its place there; −1 with the bucket that it belongs into."""
        for at in self._chain(key):
            head = self._table[at : at + _SLOTS]
            end = _KEYS + head[0] * KEY_BYTES
            begin = head.find(key, _KEYS, end)
            while begin >= 0 and (begin - _KEYS) % KEY_BYTES:  # parts of two keys that lie beside each other
                begin = head.find(key, begin + 1, end)
            if begin >= 0:
                return at, (begin - _KEYS) // KEY_BYTES
        return at, -1

    def _chain(self, key: bytes) -> Iterator[int]:
        """Where the buckets begin in which a key may be: its own, and the next ones while those before are full."""
        bucket = int.from_bytes(key[:SPREAD_BY], "little") % self._secret % self._buckets
        while True:
            at = _HEAD_BYTES + bucket * _BUCKET_BYTES
            yield at
            if self._table[at] < _PLACES:
                return
            bucket = (bucket + 1) % self._buckets

    def _open(self) -> None:
        with self._path.open("r+b") as file:
            found = os.fstat(file.fileno())
            head = file.read(_HEAD.size).ljust(_HEAD.size, b"\0")
            magic, self._secret, self._buckets, _ = _HEAD.unpack(head)
            if magic != _MAGIC or found.st_size != _size(self._buckets):
                raise Corrupt(
                    f"opening {self._path}: not a table of document ids; stop the loaders, remove this file; it is "
                    "rebuilt from the journals"
                )
            self._inode = found.st_ino
            self._table = mmap.mmap(file.fileno(), found.st_size)
        self._table.madvise(mmap.MADV_RANDOM)

    def _follow(self) -> None:
        """Go on in the table that another process has made of this one."""
        if self._path.stat().st_ino != self._inode:
            self._table.close()
            self._open()

    def _grow(self, ids: int) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        _make(fresh, max(2 * self._buckets, ids // _FULL + 1))
        larger = IdTable(fresh)
        _IDS.pack_into(larger._table, _IDS_AT, larger._enter(self._all()))
        larger.close()
        fresh.replace(self._path)
        self._follow()

    def _all(self) -> Iterator[tuple[bytes, bytes]]:
        for at in range(_HEAD_BYTES, len(self._table), _BUCKET_BYTES):
            yield from self._held(at)

    def _held(self, at: int) -> Iterator[tuple[bytes, bytes]]:
        """Keys and slots of the bucket that begins there."""
        bucket = self._table[at : at + _BUCKET_BYTES]
        for place in range(bucket[0]):
            key, slot = _KEYS + place * KEY_BYTES, _SLOTS + place * SLOT_BYTES
            yield bucket[key : key + KEY_BYTES], bucket[slot : slot + SLOT_BYTES]


def _size(buckets: int) -> int:
    return _HEAD_BYTES + buckets * _BUCKET_BYTES


def _make(path: Path, buckets: int) -> None:
    """An empty table, under its name only once it is whole."""
    unfinished = path.with_suffix(".tmp")
    try:
        with unfinished.open("w+b", buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, _size(buckets))
            file.write(_HEAD.pack(_MAGIC, secrets.randbits(60) | 1 << 60 | 1, buckets, 0))
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise Full(f"making {path} for {buckets * _FULL} ids: {error.strerror}; free space on this disk") from error
    unfinished.replace(path)
