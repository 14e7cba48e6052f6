"""The reader of a partition: large reads, every checksum checked, never beyond the head.

    head ─▶ limit ─▶ pread 1 MiB ─▶ take ─▶ records      at the limit: head again, next segment, or wait

A reader keeps its segment open, so retention does not disturb it before the segment's end. A seek reads the segment
from its first byte, checking on the way: at most `segment_bytes`, about 0.03 s for 64 MiB of 1 KB records.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from itertools import count

from catchment import metrics
from catchment.errors import Closed, Corrupt, Missing
from catchment.log.embedded.head import Head, read_head
from catchment.log.embedded.layout import PartitionFiles
from catchment.log.embedded.records import BAD, CHUNK_BYTES, HEADER_BYTES, claimed_bytes, resume, take
from catchment.log.embedded.watch import WRITTEN, Watch, now_s
from catchment.log.port import Record

READ = metrics.counter("log_read_records_total", "Records handed to readers.", "records", ("topic",))

_record = partial(tuple.__new__, Record)  # Record(...) without its Python-level __new__: a third of a scan's time
_ANY_BYTES = 1 << 62


class EmbeddedReader:
    """`Reader` over a partition's files."""

    def __init__(self, files: PartitionFiles, offset: int, mend: Callable[[], None]) -> None:
        """Read from `offset`, which may lie beyond the end: then the reader waits until the log gets there.

        `mend` makes a head that is missing or damaged anew, if no writer lives. Raises Missing for an unknown
        partition.
        """
        self._files = files
        self._mend = mend
        self._read_counter = READ.labels(files.source.topic)
        self._watch: Watch | None = None
        self._segment: int | None = None
        self._base = self._next = 0  # of the segment, and of the record at `_at`
        self._buffer, self._buffer_begin, self._at = b"", 0, 0  # where the buffer begins in the file, and is read
        self._limit, self._is_sealed = 0, False
        self._offset = offset
        self.is_closed = False
        try:
            self._head_file = os.open(files.head, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            mend()
            try:
                self._head_file = os.open(files.head, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise Missing(f"{files.source}: no such partition under {files.directory}; create the topic") from error

    @property
    def position(self) -> int:
        return self._offset

    def read(self, max_records: int, max_bytes: int, timeout_s: float) -> list[Record]:
        records = self._take(max_records, max_bytes)
        if records or timeout_s <= 0:
            return records
        deadline_s = now_s() + timeout_s
        if self._watch is None:
            self._watch = Watch()
            self._watch.add(self._files.head, WRITTEN)
        while not (records := self._take(max_records, max_bytes)):
            if not self._watch.wait(deadline_s - now_s()):
                return []
            self._watch.drain()
        return records

    def seek(self, offset: int) -> None:
        self._offset = offset
        self._leave_segment()

    def next_kept(self) -> int | None:
        """The first offset after the position at which a segment begins: where to go on after Missing."""
        return next((base for base in self._files.bases() if base > self._offset), None)

    def skip_damage(self) -> range | None:
        """After Corrupt: go on behind the damage, and return the offsets from the position on that are lost with it
        (none when the damage is before the position).

        One record is lost when a good one, or the end, stands where its length says. Else good ones are searched for
        behind it. In a sealed segment one must be missing then, or the rest of it is lost; in the one in use, how many
        are missing tells the head, and nothing behind what it calls durable is looked at. None when that is not known.
        """
        damaged, begin = self._next, self._buffer_begin + self._at
        head = self._find_limit()
        later = next((base for base in self._files.bases() if base > self._base), None)
        end_offset = later if self._is_sealed else head.end
        if end_offset is None or begin >= self._limit:
            return None
        behind, stop = self._behind(begin), damaged + 1
        if behind is None or (behind == self._limit and stop != end_offset):
            behind, records = self._resumed(begin, end_offset - stop)
            stop = end_offset - records
        if behind == self._limit and self._is_sealed:
            self._leave_segment()
        else:
            self._buffer, self._buffer_begin, self._at, self._next = b"", behind, 0, stop
        lost = range(min(max(damaged, self._offset), stop), stop)
        self._offset = max(self._offset, stop)
        return lost

    def close(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self._leave_segment()
        os.close(self._head_file)
        if self._watch is not None:
            self._watch.close()

    def _take(self, max_records: int, max_bytes: int) -> list[Record]:
        if self.is_closed:
            raise Closed(f"{self._files.source}: read after close; open a reader again")
        if self._segment is None and not self._enter(self._offset):
            return []
        while True:
            if self._next < self._offset:  # after a seek: check and drop the segment's records before it
                payloads, self._at, needed = take(self._buffer, self._at, self._offset - self._next, _ANY_BYTES)
                self._next += len(payloads)
                if self._next == self._offset:
                    continue
            else:
                payloads, self._at, needed = take(self._buffer, self._at, max_records, max_bytes)
                if payloads:
                    first = self._offset
                    self._offset = self._next = first + len(payloads)
                    self._read_counter.inc(len(payloads))
                    return list(map(_record, zip(count(first), payloads, strict=False)))
            if not needed:  # nothing was asked for
                return []
            if needed == BAD:
                raise self._corrupt("a record that breaks its checksum or length")
            if not self._fill(needed):
                return []

    def _fill(self, needed: int) -> bool:
        """Get the next bytes, at least `needed`, or the next segment; False at the durable end."""
        begin = self._buffer_begin + self._at
        if begin + needed > self._limit:
            self._find_limit()
        available = self._limit - begin
        if available <= 0:
            return self._is_sealed and self._follow()
        if available < needed:
            raise self._corrupt(f"{available} bytes of a record that needs {needed}")
        assert self._segment is not None
        buffer = os.pread(self._segment, min(max(CHUNK_BYTES, needed), available), begin)
        if len(buffer) < needed:
            raise self._corrupt(f"{len(buffer)} bytes where {available} are durable")
        self._buffer, self._buffer_begin, self._at = buffer, begin, 0
        return True

    def _behind(self, begin: int) -> int | None:
        """Where the damaged record at byte `begin` ends, if a good one or the end of what is durable stands there."""
        assert self._segment is not None
        end = begin + claimed_bytes(os.pread(self._segment, HEADER_BYTES, begin))
        if end >= self._limit:
            return end if end == self._limit else None
        following = os.pread(self._segment, claimed_bytes(os.pread(self._segment, HEADER_BYTES, end)), end)
        return end if take(following, 0, 1, _ANY_BYTES)[0] else None

    def _resumed(self, begin: int, most: int) -> tuple[int, int]:
        """Where records go on behind the damage, and how many they are; the limit and none when that is not sure."""
        assert self._segment is not None
        records, position = resume(self._segment, begin, self._limit, most)
        return (self._limit, 0) if self._is_sealed and records != most else (position, records)

    def _find_limit(self) -> Head:
        """How far this segment may be read: as the head says, or to its end once a later one is in use."""
        head = self._head()
        assert self._segment is not None
        self._is_sealed = head.base > self._base
        if self._is_sealed:
            self._limit = os.fstat(self._segment).st_size
        else:
            self._limit = head.position if head.base == self._base else 0
        return head

    def _head(self) -> Head:
        head = read_head(self._head_file)
        if head is None:
            self._mend()
            head = read_head(self._head_file)
        return head or Head(0, 0, 0)  # a writer lives and is about to write it: nothing can be read yet

    def _enter(self, offset: int) -> bool:
        """Open the segment that holds `offset`; False when the partition has no segment yet."""
        while True:
            bases = self._files.bases()
            holding = [base for base in bases if base <= offset]
            if not bases:
                return False
            if not holding:
                raise Missing(
                    f"{self._files.source}: offset {offset} was removed by retention; the first one kept is "
                    f"{bases[0]}; seek there, and raise the topic's retention if nothing should be skipped"
                )
            if self._open(holding[-1]):
                return True

    def _open(self, base: int) -> bool:
        try:
            segment = os.open(self._files.segment(base), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # removed since it was listed
            return False
        self._leave_segment()
        self._segment = segment
        self._base = self._next = base
        return True

    def _follow(self) -> bool:
        """Go on in the segment after this sealed one; False when that is not there yet."""
        later = [base for base in self._files.bases() if base > self._base]
        if not later:
            return False
        if later[0] == self._next:
            return self._open(later[0]) or self._follow()
        if later[0] < self._next:
            raise self._corrupt(f"offset {self._next} where the next segment begins at {later[0]}")
        if self._offset >= later[0]:
            return self._enter(self._offset)
        raise Missing(
            f"{self._files.source}: offsets {self._offset} to {later[0] - 1} are gone (retention, or a damaged end "
            f"that was cut off: see the .torn files in {self._files.directory}); seek to {later[0]}"
        )

    def _leave_segment(self) -> None:
        if self._segment is not None:
            os.close(self._segment)
        self._segment = None
        self._base = self._next = 0
        self._buffer, self._buffer_begin, self._at = b"", 0, 0
        self._limit, self._is_sealed = 0, False

    def _corrupt(self, found: str) -> Corrupt:
        path = self._files.segment(self._base)
        return Corrupt(
            f"{path}: {found} at byte {self._buffer_begin + self._at}, offset {self._next}; the disk has changed "
            "stored bytes: restore the file, or move it away and read on behind it; see docs/log.md#damage"
        )
