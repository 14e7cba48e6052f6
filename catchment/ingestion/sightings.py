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

All calls are made under the lock of `Deduplicator`. Nothing here decides: `marking.py` does, and enters what it decides
into table and journal.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from zlib_ng import zlib_ng

from catchment.directories import sync_directory
from catchment.errors import Full
from catchment.ingestion import idtable
from catchment.ingestion.idtable import ENTRY_BYTES, KEY_BYTES, IdTable

USE_NOTED_NS = 1_000_000_000
"""How exactly the last use of a generation is known."""
RECORD_BYTES = ENTRY_BYTES
"""Of a journal: key and slot, as an entry of the table."""

_SLOT = struct.Struct("<qqIIq")
_BLOCK = struct.Struct("<II")
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
        self.pending = bytearray()
        """Records that `sync` makes durable: of what was decided and of what that was based on, whoever stored it."""
        self._used_ns = 0
        directory.mkdir(exist_ok=True)
        self.inode = directory.stat().st_ino
        self.table = self._open(expected_ids)

    def reserve(self, ids: int, now_ns: int) -> None:
        """Make room for so many more. Raises Full; then nothing is changed."""
        self.table.reserve(ids)
        if not self._used_ns <= now_ns < self._used_ns + USE_NOTED_NS:
            os.utime(self._directory / "boot", ns=(now_ns, now_ns))
            self._used_ns = now_ns

    def sync(self) -> None:
        """Write the journal; returns when it is on the disk."""
        if not self.pending:
            return
        self._directory.mkdir(exist_ok=True)
        head = _BLOCK.pack(len(self.pending), zlib_ng.crc32(self.pending))
        try:
            with self._journal.open("r+b" if self._journal_end else "wb") as file:
                # At a known place: after an error the next try overwrites what this one left.
                file.seek(self._journal_end)
                file.write(head)
                file.write(self.pending)
                file.flush()
                os.fdatasync(file.fileno())
            if not self._journal_end:
                sync_directory(self._directory)
                sync_directory(self._directory.parent)
        except OSError as error:
            raise Full(f"writing {self._journal}: {error.strerror}; free space on this disk") from error
        self._journal_end += len(head) + len(self.pending)
        self.pending.clear()

    def close(self) -> None:
        self.table.close()

    def _open(self, expected_ids: int) -> IdTable:
        boot, index = self._directory / "boot", self._directory / "index"
        this_boot = _BOOT_ID.read_bytes()
        if boot.exists() and boot.read_bytes() == this_boot and index.exists():
            return IdTable(index)
        index.unlink(missing_ok=True)
        journalled = sum(path.stat().st_size for path in self._directory.glob("*.journal")) // RECORD_BYTES
        table = IdTable(index, max(expected_ids, journalled))
        for path in sorted(self._directory.glob("*.journal")):
            for records in _blocks(path):
                table.reserve(len(records) // RECORD_BYTES)
                merge(table, records)
        fresh = boot.with_suffix(".tmp")
        fresh.write_bytes(this_boot)
        fresh.replace(boot)
        return table


def merge(table: IdTable, records: bytes) -> None:
    """Enter the records of a journal, for which there must be room. Raises Corrupt when the table is damaged."""
    if idtable.compiled is None:
        merge_plainly(table, records)
        return
    try:
        idtable.compiled.merge(table.index, table.entries, records)
    except LookupError as error:
        raise table.damaged() from error


def merge_plainly(table: IdTable, records: bytes) -> None:
    """`merge` in Python alone."""
    for at in range(0, len(records), RECORD_BYTES):
        key = records[at : at + KEY_BYTES]
        slot = unpack(records[at + KEY_BYTES : at + RECORD_BYTES])
        known = table.get(key)
        table.put(key, pack(*(slot.merged(unpack(known)) if known else slot)))


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


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while len(head := file.read(_BLOCK.size)) == _BLOCK.size:
            length, crc = _BLOCK.unpack(head)
            payload = file.read(length)
            if len(payload) < length or length % RECORD_BYTES or zlib_ng.crc32(payload) != crc:
                return
            yield payload
