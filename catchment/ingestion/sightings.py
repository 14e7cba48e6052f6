"""One generation of document ids: an index that answers and a journal that lasts.

A generation holds the sightings of half a window of message time, in a directory of its own:

    00002836/                 half-window number (message time divided by half the window)
      index, index.entries    table (`idtable.py`), key → slot; written without waiting for the disk
      <random>.journal        one a process: blocks of length, CRC-32, records; flushed by `sync`
      boot                    id of the machine's boot under which the index was written; its time: last use

    key   24 bytes   document id (16), hash of namespace and doctype (8)
    slot  32 bytes   earliest and latest sighting (8 + 8, ns, signed), accepted record: topic (4), partition (4),
                     offset (8); all ones where this generation only has repeats

The index survives the death of any process, because the kernel has its pages; after a crash of the machine it is not
trusted, but built again from the journals. Their records merge in any order: the earliest and the latest win, an
accepted record beats none. So a journal may end in a torn block, and the reader stops there.

All calls are made under the lock of `Deduplicator`. Nothing here decides.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from catchment.directories import sync_directory
from catchment.errors import Full
from catchment.ingestion.idtable import KEY_BYTES, IdTable

MERGED_RECORDS = 20_000
"""Records of the journals merged at once."""

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

    def __init__(self, directory: Path, journal_name: str, expected_ids: int = 0) -> None:
        self._directory = directory
        self._journal = directory / f"{journal_name}.journal"
        self._journal_end = 0
        self._pending: list[bytes] = []
        directory.mkdir(exist_ok=True)
        self.inode = directory.stat().st_ino
        self._index = self._open(expected_ids)

    def find(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The packed slots of those keys that the generation has."""
        return self._index.find(keys)

    def store(self, slots: Mapping[bytes, bytes], now_ns: int) -> None:
        """Replace the slots of these keys, for every process at once; durable after `sync`."""
        self._index.store(slots)
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
                sync_directory(self._directory)
                sync_directory(self._directory.parent)
        except OSError as error:
            raise Full(f"writing {self._journal}: {error.strerror}; free space on this disk") from error
        self._journal_end += len(block)
        self._pending.clear()

    def close(self) -> None:
        self._index.close()

    @property
    def ids(self) -> int:
        return self._index.ids

    def _open(self, expected_ids: int) -> IdTable:
        boot, index = self._directory / "boot", self._directory / "index"
        this_boot = _BOOT_ID.read_bytes()
        if boot.exists() and boot.read_bytes() == this_boot and index.exists():
            return IdTable(index)
        index.unlink(missing_ok=True)
        journalled = sum(path.stat().st_size for path in self._directory.glob("*.journal")) // _RECORD_BYTES
        table = IdTable(index, max(expected_ids, journalled))
        for slots in _journalled(self._directory):
            found = table.find(slots)
            table.store(
                {key: pack(*(slot.merged(unpack(found[key])) if key in found else slot)) for key, slot in slots.items()}
            )
        fresh = boot.with_suffix(".tmp")
        fresh.write_bytes(this_boot)
        fresh.replace(boot)
        return table


def read_slots(directory: Path, prefix: bytes) -> dict[bytes, Slot]:
    """The slots of all keys that begin with `prefix`, of a generation that other processes write; under the lock too.

    Empty while the index is not trusted: after a crash of the machine, until a loader has built it again.
    """
    boot, index = directory / "boot", directory / "index"
    if not boot.exists() or boot.read_bytes() != _BOOT_ID.read_bytes() or not index.exists():
        return {}
    with closing(IdTable(index)) as table:
        return {key: unpack(packed) for key, packed in table.find_all(prefix).items()}


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
            if len(slots) >= MERGED_RECORDS:
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
