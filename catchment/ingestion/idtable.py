"""A table of document ids in two mapped files: exact, shared by processes, whole after any of them is killed.

    index           64 bytes: "CLIDX001", u64 secret, u64 places; then the places, a u64 each, 0 where nothing is:
                    bits 0..39   number of the entry, from 1
                    bits 40..63  a tag of its key, so that nearly all misses end here
    index.entries   64 bytes: "CLIDE001", u64 entries; then the entries in the order in which they came:
                    24 bytes key, 32 bytes slot

A key's place is the one that the secret gives it or the next free one; nobody who does not know the secret can choose
ids that all meet. So a new id changes a page of the index, which is small, and the end of the entries; a table with a
page for each id would make the disk write a page for each.

An entry is written before its count, and that before its place, so a killed process leaves ids that are there or not. A
slot that is changed keeps a meaning whichever of its 8-byte words are new. Space is taken from the disk before it is
mapped, so a full disk is met there and never by a write to the map. An index that is half full is made anew with twice
the places from the entries, and replaces the old one by a rename; a half-window begins with as many places as the one
before has needed.

All calls are made under the lock of `Deduplicator`.
"""

from __future__ import annotations

import mmap
import os
import secrets
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from catchment.errors import Corrupt, Full

KEY_BYTES, SLOT_BYTES = 24, 32
ENTRY_BYTES = KEY_BYTES + SLOT_BYTES
SPREAD_BY = 17
"""Bytes of a key that choose its place: the document id, so that it can be looked for without its doctype, and one of
the doctype's, so that many doctypes of one id do not all meet."""
FIRST_PLACES = 16 * 1024
_ROOM_BYTES = 1024 * 1024
_INDEX, _ENTRIES = b"CLIDX001", b"CLIDE001"
_INDEX_HEAD, _ENTRIES_HEAD = struct.Struct("<8sQQ"), struct.Struct("<8sQ")
_HEAD_BYTES = 64
_COUNT = struct.Struct("<Q")
_COUNT_AT = 8
_SECRET_BITS, _NUMBER_BITS, _TAG_BITS = 61, 40, 24
_NUMBERS = 1 << _NUMBER_BITS
_TAG_SHIFT = _SECRET_BITS - _TAG_BITS


class IdTable:
    """An open table. Its files are made when `path`, the index, is not there."""

    def __init__(self, path: Path, expected_ids: int = 0) -> None:
        """Begin with places for so many ids. Raises Full, Corrupt."""
        self._path = path
        self._entries_path = path.with_suffix(".entries")
        if not path.exists():
            self._entries_path.unlink(missing_ok=True)
            _make(self._entries_path, _ENTRIES_HEAD.pack(_ENTRIES, 0), _ROOM_BYTES)
            _make_index(path, max(2 * expected_ids, FIRST_PLACES))
        self._open_index()
        self._open_entries()

    def find(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The slots of those keys that are there."""
        self._follow()
        places, count, secret, entries, number = self._places, self._count, self._secret, self._entries, int.from_bytes
        found: dict[bytes, bytes] = {}
        for key in keys:
            spread = number(key[:SPREAD_BY], "little") % secret
            at, tag = spread % count, spread >> _TAG_SHIFT << _NUMBER_BITS
            while place := places[at]:
                if (place ^ tag) < _NUMBERS:
                    begin = (place ^ tag) * ENTRY_BYTES + _HEAD_BYTES - ENTRY_BYTES
                    if entries[begin : begin + KEY_BYTES] == key:
                        found[key] = entries[begin + KEY_BYTES : begin + ENTRY_BYTES]
                        break
                at = at + 1 if at + 1 < count else 0
        return found

    def find_all(self, prefix: bytes) -> dict[bytes, bytes]:
        """The slots of all keys that begin with these SPREAD_BY − 1 bytes."""
        self._follow()
        found: dict[bytes, bytes] = {}
        for last in range(256):
            at = int.from_bytes(prefix + bytes((last,)), "little") % self._secret % self._count
            while place := self._places[at]:
                begin = place % _NUMBERS * ENTRY_BYTES + _HEAD_BYTES - ENTRY_BYTES
                key = self._entries[begin : begin + KEY_BYTES]
                if key.startswith(prefix):
                    found[key] = self._entries[begin + KEY_BYTES : begin + ENTRY_BYTES]
                at = (at + 1) % self._count
        return found

    def store(self, slots: Mapping[bytes, bytes]) -> None:
        """Enter these keys or change their slots. Raises Full; then nothing is changed."""
        self._follow()
        wanted = self.ids + len(slots)
        if _HEAD_BYTES + wanted * ENTRY_BYTES > len(self._entries):
            self._extend(_HEAD_BYTES + wanted * ENTRY_BYTES)
        if 2 * wanted > self._count:
            self._grow(4 * wanted)
        places, count, secret, entries, number = self._places, self._count, self._secret, self._entries, int.from_bytes
        ids = self.ids
        for key, slot in slots.items():
            spread = number(key[:SPREAD_BY], "little") % secret
            at, tag = spread % count, spread >> _TAG_SHIFT << _NUMBER_BITS
            while place := places[at]:
                if (place ^ tag) < _NUMBERS:
                    begin = (place ^ tag) * ENTRY_BYTES + _HEAD_BYTES - ENTRY_BYTES
                    if entries[begin : begin + KEY_BYTES] == key:
                        entries[begin + KEY_BYTES : begin + ENTRY_BYTES] = slot
                        break
                at = at + 1 if at + 1 < count else 0
            else:
                begin = ids * ENTRY_BYTES + _HEAD_BYTES
                entries[begin : begin + ENTRY_BYTES] = key + slot
                ids += 1
                _COUNT.pack_into(entries, _COUNT_AT, ids)
                places[at] = tag | ids

    @property
    def ids(self) -> int:
        count: int = _COUNT.unpack_from(self._entries, _COUNT_AT)[0]
        return count

    def close(self) -> None:
        self._close_index()
        self._entries.close()

    def _follow(self) -> None:
        """Go on in what other processes have made of the files."""
        if self._path.stat().st_ino != self._inode:
            self._close_index()
            self._open_index()
        if _HEAD_BYTES + self.ids * ENTRY_BYTES > len(self._entries):
            self._entries.close()
            self._open_entries()

    def _open_index(self) -> None:
        with self._path.open("r+b") as file:
            found = os.fstat(file.fileno())
            head = file.read(_INDEX_HEAD.size).ljust(_INDEX_HEAD.size, b"\0")
            magic, self._secret, self._count = _INDEX_HEAD.unpack(head)
            if magic != _INDEX or not self._secret or found.st_size != _HEAD_BYTES + 8 * self._count:
                raise self._damaged(self._path)
            self._inode = found.st_ino
            self._index = mmap.mmap(file.fileno(), found.st_size)
        self._index.madvise(mmap.MADV_RANDOM)
        self._places = memoryview(self._index)[_HEAD_BYTES:].cast("Q")

    def _close_index(self) -> None:
        self._places.release()
        self._index.close()

    def _open_entries(self) -> None:
        try:
            with self._entries_path.open("r+b") as file:
                self._entries = mmap.mmap(file.fileno(), 0)
        except (FileNotFoundError, ValueError) as error:  # not there, or empty
            raise self._damaged(self._entries_path) from error
        if self._entries[:_COUNT_AT] != _ENTRIES:
            raise self._damaged(self._entries_path)

    def _damaged(self, path: Path) -> Corrupt:
        return Corrupt(
            f"opening {path}: not a table of document ids; stop the loaders, remove {self._path.name}; it is rebuilt "
            "from the journals"
        )

    def _extend(self, wanted_bytes: int) -> None:
        """Room for entries, half as much again at the least."""
        size_bytes = len(self._entries)
        with self._entries_path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, max(wanted_bytes, size_bytes + size_bytes // 2))
            except OSError as error:
                raise _full(self._entries_path, error) from error
        self._entries.close()
        self._open_entries()

    def _grow(self, places: int) -> None:
        fresh = self._path.with_suffix(".new")
        _make_index(fresh, places)
        entries, ids, number = self._entries, self.ids, int.from_bytes
        with fresh.open("r+b") as file, mmap.mmap(file.fileno(), 0) as index:
            secret, count = _INDEX_HEAD.unpack_from(index)[1:]
            with memoryview(index) as whole, whole[_HEAD_BYTES:] as rest, rest.cast("Q") as places_of:
                for entry in range(1, ids + 1):
                    begin = entry * ENTRY_BYTES + _HEAD_BYTES - ENTRY_BYTES
                    spread = number(entries[begin : begin + SPREAD_BY], "little") % secret
                    at = spread % count
                    while places_of[at]:
                        at = at + 1 if at + 1 < count else 0
                    places_of[at] = spread >> _TAG_SHIFT << _NUMBER_BITS | entry
        fresh.replace(self._path)
        self._follow()


def _make_index(path: Path, places: int) -> None:
    secret = secrets.randbits(_SECRET_BITS) | 1 << (_SECRET_BITS - 1) | 1
    _make(path, _INDEX_HEAD.pack(_INDEX, secret, places), _HEAD_BYTES + 8 * places)


def _make(path: Path, head: bytes, size_bytes: int) -> None:
    """A file of zeros behind a head, under its name only once it is whole."""
    unfinished = path.with_suffix(".tmp")
    try:
        with unfinished.open("w+b", buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, size_bytes)
            file.write(head)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise _full(path, error) from error
    unfinished.replace(path)


def _full(path: Path, error: OSError) -> Full:
    return Full(f"making room in {path}: {error.strerror}; free space on this disk")
