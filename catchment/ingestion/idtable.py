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
mapped (`reserve`), so a full disk is met there and never by a write to the map. An index that is two thirds full is
made anew with half as many places again from the entries, and replaces the old one by a rename: 12 to 18 bytes an id. A
half-window begins with as many places as the one before has needed.

What is done for each of many ids is in C where a compiler was (`_idtable.c`), and in Python alone else.

All calls are made under the lock of `Deduplicator`.
"""

from __future__ import annotations

import mmap
import os
import secrets
import struct
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from types import ModuleType

from catchment.errors import Corrupt, Full

compiled: ModuleType | None
try:
    from catchment.ingestion import _idtable as compiled
except ImportError:
    compiled = None

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
            _make_index(path, max(7 * expected_ids // 4, FIRST_PLACES))
        self._open_index()
        self._open_entries()

    def follow(self) -> None:
        """Go on in what other processes have made of the files."""
        if self._path.stat().st_ino != self._inode:
            self._close_index()
            self._open_index()
        if _HEAD_BYTES + self.ids * ENTRY_BYTES > len(self.entries):
            self.entries.close()
            self._open_entries()

    def reserve(self, ids: int) -> None:
        """Make room for so many more; follows, too. Raises Full; then nothing is changed."""
        self.follow()
        wanted = self.ids + ids
        if _HEAD_BYTES + wanted * ENTRY_BYTES > len(self.entries):
            self._extend(_HEAD_BYTES + wanted * ENTRY_BYTES)
        if 3 * wanted > 2 * self._count:
            self._grow(9 * wanted // 4)

    def get(self, key: bytes) -> bytes | None:
        """The slot of a key."""
        begin = self._find(key)[1]
        return self.entries[begin + KEY_BYTES : begin + ENTRY_BYTES] if begin else None

    def put(self, key: bytes, slot: bytes) -> None:
        """Enter this key, for which there must be room, or change its slot."""
        at, begin, tag = self._find(key)
        if begin:
            self.entries[begin + KEY_BYTES : begin + ENTRY_BYTES] = slot
            return
        number = self.ids + 1
        begin = number * ENTRY_BYTES + _HEAD_BYTES - ENTRY_BYTES
        self.entries[begin : begin + ENTRY_BYTES] = key + slot
        _COUNT.pack_into(self.entries, _COUNT_AT, number)
        self._places[at] = tag | number

    def find_all(self, prefix: bytes) -> dict[bytes, bytes]:
        """The slots of all keys that begin with these SPREAD_BY − 1 bytes."""
        self.follow()
        found: dict[bytes, bytes] = {}
        for last in range(256):
            for at in self._search(prefix + bytes((last,)))[0]:
                if not self._places[at]:
                    break
                begin = self._places[at] % _NUMBERS * ENTRY_BYTES + _HEAD_BYTES - ENTRY_BYTES
                key = self.entries[begin : begin + KEY_BYTES]
                if key.startswith(prefix):
                    found[key] = self.entries[begin + KEY_BYTES : begin + ENTRY_BYTES]
        return found

    @property
    def ids(self) -> int:
        count: int = _COUNT.unpack_from(self.entries, _COUNT_AT)[0]
        return count

    def close(self) -> None:
        self._close_index()
        self.entries.close()

    def _search(self, key: bytes) -> tuple[Iterable[int], int]:
        """The places that a key may have, in their order, and its tag, shifted."""
        spread = int.from_bytes(key[:SPREAD_BY], "little") % self._secret
        begin = spread % self._count
        return chain(range(begin, self._count), range(begin)), spread >> _TAG_SHIFT << _NUMBER_BITS

    def _find(self, key: bytes) -> tuple[int, int, int]:
        """The place of a key, where its entry begins (0: it has none, the place is free), and its tag, shifted."""
        search, tag = self._search(key)
        for at in search:
            place = self._places[at]
            if not place:
                return at, 0, tag
            if place ^ tag < _NUMBERS:
                begin = (place ^ tag) * ENTRY_BYTES + _HEAD_BYTES - ENTRY_BYTES
                if not _HEAD_BYTES <= begin <= len(self.entries) - ENTRY_BYTES:
                    break
                if self.entries[begin : begin + KEY_BYTES] == key:
                    return at, begin, tag
        raise self.damaged()

    def _open_index(self) -> None:
        with self._path.open("r+b") as file:
            found = os.fstat(file.fileno())
            head = file.read(_INDEX_HEAD.size).ljust(_INDEX_HEAD.size, b"\0")
            magic, self._secret, self._count = _INDEX_HEAD.unpack(head)
            if magic != _INDEX or not self._secret or not self._count or found.st_size != _HEAD_BYTES + 8 * self._count:
                raise self.damaged()
            self._inode = found.st_ino
            self.index = mmap.mmap(file.fileno(), found.st_size)
        self.index.madvise(mmap.MADV_RANDOM)
        self._places = memoryview(self.index)[_HEAD_BYTES:].cast("Q")

    def _close_index(self) -> None:
        self._places.release()
        self.index.close()

    def _open_entries(self) -> None:
        try:
            with self._entries_path.open("r+b") as file:
                self.entries = mmap.mmap(file.fileno(), 0)
        except (FileNotFoundError, ValueError) as error:  # not there, or empty
            raise self.damaged() from error
        if self.entries[:_COUNT_AT] != _ENTRIES or _HEAD_BYTES + self.ids * ENTRY_BYTES > len(self.entries):
            raise self.damaged()
        self.entries.madvise(mmap.MADV_RANDOM)

    def damaged(self) -> Corrupt:
        """What to raise when the files contradict themselves."""
        return Corrupt(
            f"reading {self._path}: not a table of document ids; stop the loaders, remove {self._path.name}; it is "
            "rebuilt from the journals"
        )

    def _extend(self, wanted_bytes: int) -> None:
        """Room for entries, half as much again at the least."""
        size_bytes = len(self.entries)
        with self._entries_path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, max(wanted_bytes, size_bytes + size_bytes // 2))
            except OSError as error:
                raise _full(self._entries_path, error) from error
        self.entries.close()
        self._open_entries()

    def _grow(self, places: int) -> None:
        fresh = self._path.with_suffix(".new")
        _make_index(fresh, places)
        self.entries.madvise(mmap.MADV_SEQUENTIAL)
        with fresh.open("r+b") as file, mmap.mmap(file.fileno(), 0) as index:
            (compiled.fill if compiled else fill_plainly)(index, self.entries, self.ids)
        self.entries.madvise(mmap.MADV_RANDOM)
        fresh.replace(self._path)
        self.follow()


def fill_plainly(index: mmap.mmap, entries: mmap.mmap, ids: int) -> None:
    """Enter the first ids of `entries` into an empty index; in Python alone."""
    _, secret, count = _INDEX_HEAD.unpack_from(index)
    with memoryview(index) as whole, whole[_HEAD_BYTES:] as rest, rest.cast("Q") as places:
        for entry in range(1, ids + 1):
            begin = entry * ENTRY_BYTES + _HEAD_BYTES - ENTRY_BYTES
            spread = int.from_bytes(entries[begin : begin + SPREAD_BY], "little") % secret
            at = spread % count
            while places[at]:
                at = at + 1 if at + 1 < count else 0
            places[at] = spread >> _TAG_SHIFT << _NUMBER_BITS | entry


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
