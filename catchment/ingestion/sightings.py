"""One generation of document ids: an index that answers and a journal that lasts.

A generation holds the sightings of half a window of message time, in a directory of its own:

    00002836/                 half-window number (message time divided by half the window)
      index/data.mdb          LMDB, key → slot; written without waiting for the disk
      <random>.journal        one a process: blocks of length, CRC-32, records; flushed by `sync`
      boot                    id of the machine's boot under which the index was written; its time: last use

    key   24 bytes   document id (16), hash of namespace and doctype (8)
    slot  32 bytes   earliest and latest sighting (8 + 8, ns, signed), accepted record: topic (4), partition (4),
                     offset (8); all ones where this generation only has repeats

The index survives the death of any process, because the kernel has its pages; after a crash of the machine it is not
trusted, but built again from the journals. Their records merge in any order: the earliest and the latest win, an
accepted record beats none. So a journal may end in a torn block, and the reader stops there.

All calls are made under the lock of `Deduplicator`, so LMDB's own is switched off. Nothing here decides.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, cast

import lmdb

from catchment.errors import Corrupt, Full

KEY_BYTES = 24
FIRST_MAP_BYTES = 64 * 1024 * 1024
TRANSACTION_RECORDS = 20_000
"""Most records written at once; LMDB holds at most 131,072 changed pages in a transaction."""

_SLOT = struct.Struct("<qqIIq")
_BLOCK = struct.Struct("<II")
_RECORD_BYTES = KEY_BYTES + _SLOT.size
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Slot(NamedTuple):
    """What a generation knows of one id."""

    earliest_ns: int
    latest_ns: int
    topic: int
    """CRC-32 of the topic's name."""
    partition: int
    offset: int
    """−1 where the accepted record is in another generation."""

    def merged(self, other: Slot) -> Slot:
        accepted = other if self.offset < 0 else self
        return Slot(min(self.earliest_ns, other.earliest_ns), max(self.latest_ns, other.latest_ns), *accepted[2:])


pack = _SLOT.pack


def unpack(packed: bytes) -> Slot:
    return Slot(*_SLOT.unpack(packed))


class Generation:
    """An open generation. One thread uses it."""

    def __init__(self, directory: Path, journal_name: str) -> None:
        self._directory = directory
        self._journal = directory / f"{journal_name}.journal"
        self._journal_end = 0
        self._pending: list[bytes] = []
        directory.mkdir(exist_ok=True)
        self.inode = directory.stat().st_ino
        self._environment = self._open()

    def find(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The packed slots of those keys (sorted, for speed) that the generation has."""
        with self._transaction(write=False) as transaction, transaction.cursor() as cursor:
            return dict(cast("list[tuple[bytes, bytes]]", cursor.getmulti(keys)))

    def store(self, slots: Mapping[bytes, bytes], now_ns: int) -> None:
        """Replace the slots of these keys, for every process at once; durable after `sync`."""
        self._put(sorted(slots.items()))
        self.remember(slots)
        os.utime(self._directory / "boot", ns=(now_ns, now_ns))

    def remember(self, slots: Mapping[bytes, bytes]) -> None:
        """Have `sync` make these slots durable, whoever stored them: a decision was based on them."""
        for item in slots.items():
            self._pending += item

    def sync(self) -> None:
        """Write the journal; returns when it is on the disk."""
        if not self._pending:
            return
        payload = b"".join(self._pending)
        self._directory.mkdir(exist_ok=True)
        block = _BLOCK.pack(len(payload), zlib.crc32(payload)) + payload
        try:
            with self._journal.open("r+b" if self._journal_end else "wb") as file:
                # At a known place: after an error the next try overwrites what this one left.
                file.seek(self._journal_end)
                file.write(block)
                file.flush()
                os.fdatasync(file.fileno())
            if not self._journal_end:
                _sync_directory(self._directory)
                _sync_directory(self._directory.parent)
        except OSError as error:
            raise Full(f"writing {self._journal}: {error.strerror}; free space on this disk") from error
        self._journal_end += len(block)
        self._pending.clear()

    def close(self) -> None:
        self._environment.close()

    @property
    def entries(self) -> int:
        with self._transaction(write=False) as transaction:
            return int(transaction.stat()["entries"])

    def _open(self) -> lmdb.Environment:
        boot = self._directory / "boot"
        this_boot = _BOOT_ID.read_bytes()
        if boot.exists() and boot.read_bytes() == this_boot:
            return self._open_index()
        index = self._directory / "index"
        if index.exists():
            shutil.rmtree(index)
        index.mkdir()
        self._environment = self._open_index()
        for slots in _journalled(self._directory):
            self._merge(slots)
        fresh = boot.with_suffix(".tmp")
        fresh.write_bytes(this_boot)
        fresh.replace(boot)
        return self._environment

    def _open_index(self) -> lmdb.Environment:
        path = self._directory / "index"
        size = max(FIRST_MAP_BYTES, 2 * _size(path / "data.mdb"))
        try:
            return lmdb.open(
                str(path), map_size=size, sync=False, metasync=False, lock=False, readahead=False, meminit=False
            )
        except lmdb.Error as error:
            raise Corrupt(
                f"opening {path}: {error}; stop the loaders, remove this directory; it is rebuilt from the journals"
            ) from error

    def _merge(self, slots: Mapping[bytes, Slot]) -> None:
        keys = sorted(slots)
        found = self.find(keys)
        self._put(
            [(key, pack(*(slots[key].merged(unpack(found[key])) if key in found else slots[key]))) for key in keys]
        )

    def _put(self, items: list[tuple[bytes, bytes]]) -> None:
        for start in range(0, len(items), TRANSACTION_RECORDS):
            self._put_together(items[start : start + TRANSACTION_RECORDS])

    def _put_together(self, items: list[tuple[bytes, bytes]]) -> None:
        while True:
            try:
                with self._transaction(write=True) as transaction, transaction.cursor() as cursor:
                    cursor.putmulti(items)
                return
            except lmdb.MapFullError:
                self._environment.set_mapsize(2 * int(self._environment.info()["map_size"]))
            except lmdb.DiskError as error:
                raise Full(f"writing {self._directory}/index: {error}; free space on this disk") from error

    @contextlib.contextmanager
    def _transaction(self, *, write: bool) -> Iterator[lmdb.Transaction]:
        try:
            transaction = self._environment.begin(write=write)
        except lmdb.MapResizedError:  # another process grew the file
            self._environment.set_mapsize(0)
            transaction = self._environment.begin(write=write)
        with transaction:
            yield transaction


def read_slots(directory: Path, prefix: bytes) -> dict[bytes, Slot]:
    """The slots of all keys that begin with `prefix`, of a generation that other processes write; under the lock too.

    Empty while the index is not trusted: after a crash of the machine, until a loader has built it again.
    """
    boot = directory / "boot"
    if not boot.exists() or boot.read_bytes() != _BOOT_ID.read_bytes():
        return {}
    found = {}
    with (
        lmdb.open(str(directory / "index"), readonly=True, lock=False, readahead=False) as environment,
        environment.begin() as transaction,
        transaction.cursor() as cursor,
    ):
        is_there = cursor.set_range(prefix)
        while is_there and cursor.key().startswith(prefix):
            found[cursor.key()] = unpack(cursor.value())
            is_there = cursor.next()
    return found


def last_used_ns(directory: Path) -> int | None:
    """When a generation was last written, by the platform's clock; None for a directory that was never finished."""
    try:
        return (directory / "boot").stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _journalled(directory: Path) -> Iterator[dict[bytes, Slot]]:
    """The records of all journals, merged in portions."""
    slots: dict[bytes, Slot] = {}
    for path in sorted(directory.glob("*.journal")):
        for payload in _blocks(path):
            for at in range(0, len(payload), _RECORD_BYTES):
                key = payload[at : at + KEY_BYTES]
                slot = unpack(payload[at + KEY_BYTES : at + _RECORD_BYTES])
                slots[key] = slot.merged(slots[key]) if key in slots else slot
            if len(slots) >= TRANSACTION_RECORDS:
                yield slots
                slots = {}
    if slots:
        yield slots


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while len(head := file.read(_BLOCK.size)) == _BLOCK.size:
            length, crc = _BLOCK.unpack(head)
            payload = file.read(length)
            if len(payload) < length or length % _RECORD_BYTES or zlib.crc32(payload) != crc:
                return
            yield payload


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
