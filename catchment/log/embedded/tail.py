"""The end of a partition, where its writer appends: the segment in use, and how every failure there is answered.

`open_tail` mends what a crash left; `Tail.append` adds a flush, durable and published, or takes it back. The rules are
in the package text. One thread uses a Tail.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from catchment.errors import CatchmentError, Full, Unavailable, Unknown
from catchment.events import Events
from catchment.log.embedded.disk import Disk, write_all, write_all_durably
from catchment.log.embedded.head import Head, publish, read_head
from catchment.log.embedded.layout import PartitionFiles
from catchment.log.embedded.records import walk
from catchment.log.embedded.space import SpaceGuard
from catchment.log.embedded.spare import BLOCK_BYTES, Spare
from catchment.log.port import TopicPartition
from catchment.log.settings import LogSettings

_CHECK_BYTES = 1024 * 1024
_ZEROS = bytes(_CHECK_BYTES)
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class TornTail:
    """What opening a writer cut off: `lost_bytes` behind `position` of segment `base`, without the zeros that end it;
    `saved` holds them, None when there were none. `lost_records` were acknowledged once (0 after an ordinary crash)."""

    source: TopicPartition
    base: int
    position: int
    lost_bytes: int
    lost_records: int
    saved: Path | None


class Tail:
    """The segment in use. `head` is what readers see."""

    def __init__(
        self,
        files: PartitionFiles,
        disk: Disk,
        guard: SpaceGuard,
        spare: Spare,
        settings: LogSettings,
        head: Head,
        head_file: int,
    ) -> None:
        """Take over a segment that ends, whole and synced, at `head`."""
        self._files = files
        self._disk = disk
        self._guard = guard
        self._spare = spare
        self._segment_bytes = settings.segment_bytes
        self._prepare_from_bytes = settings.prepare_from_bytes or 1 << 62
        self._head_file = head_file
        self._segment = disk.create(files.segment(head.base))
        self._is_prepared = False  # zeros stand where the next records go
        self._is_suspect = False  # the segment may hold more than the head says
        self._is_head_suspect = False  # the head may be half written
        self._is_sealed = False
        self._mark = head  # a past head: after a failure the segment is read again from here
        self.head = head

    def append(self, pieces: Sequence[bytes], size_bytes: int, records: int) -> bool:
        """Add `pieces`, which are `size_bytes` of `records` whole records; return whether a new segment was begun.

        Returns when it is durable and published. Raises Full, Unavailable: nothing of it is left; Unknown: it could
        not be taken back, and may turn up after a crash.
        """
        self._mend()
        self._admit(size_bytes)
        has_rolled = (
            self._is_sealed
            or self.head.position >= self._segment_bytes
            or (self._spare.is_ready and not self._is_prepared)
        )
        if has_rolled:
            self._roll()
        head = Head(self.head.base, self.head.position + size_bytes, self.head.end + records)
        ends_in_zeros = self._is_prepared and head.position < self._spare.size_bytes
        to_block_bytes = -head.position % BLOCK_BYTES if ends_in_zeros else 0
        if to_block_bytes:
            pieces = [*pieces, _ZEROS[:to_block_bytes]]
        self._is_suspect = True  # until it is published, whatever breaks
        try:
            write_all_durably(self._disk, self._segment, pieces, size_bytes + to_block_bytes, self.head.position)
            self._publish(head)
        except OSError as error:
            # a file-size limit is a limit of this file: the next one may have room
            self._is_sealed = error.errno == errno.EFBIG and self.head.position > 0
            refusal = self._refusal(f"append of {size_bytes} bytes", error)
            try:
                self._mend()
            except CatchmentError as worse:
                raise Unknown(f"{refusal}; taking it back failed too: {worse}; read back before repeating") from error
            raise refusal from error
        self._is_suspect = False
        self.head = head
        if head.position - self._mark.position > _CHECK_BYTES:
            self._mark = head
        if head.position >= self._prepare_from_bytes and not self._spare.is_begun:
            self._spare.begin()
        return has_rolled

    def close(self) -> None:
        """Let the files go, after a last attempt to take back what failed."""
        try:
            self._mend()
        finally:
            with suppress(OSError):  # what stays of the zeros is cut when the partition is opened again
                self._spare.close()
                if self._is_prepared:
                    self._disk.truncate(self._segment, self.head.position)
            os.close(self._segment)
            os.close(self._head_file)

    def _mend(self) -> None:
        """After a failure: cut the segment to its last durable byte and make sure of what stays.

        Raises Full, Unavailable when the disk does not let it.

        After a failed fdatasync the kernel calls the pages clean that it could not write. The cut dirties the last
        block again, so the sync that follows writes it anew, and reading it back shows what is there.
        """
        if not self._is_suspect:
            return
        try:
            if self._is_head_suspect:  # first: a kill must never leave a head that runs ahead of the segment
                self._publish(self.head)
            self._disk.truncate(self._segment, self.head.position)
            self._disk.sync(self._segment)
            found = walk(self._segment, self._mark.position, self.head.position)
        except OSError as error:
            kind = Full if error.errno in NO_SPACE else Unavailable
            raise kind(
                f"{self._files.source}: cutting segment {self.head.base} back to {self.head.position} bytes failed: "
                f"{error.strerror}; nothing is written before it succeeds; check the disk"
            ) from error
        if found != (self.head.end - self._mark.end, self.head.position):
            raise Unavailable(
                f"{self._files.source}: segment {self.head.base} reads back {found.position} good bytes of "
                f"{self.head.position} after a failed write; nothing is written; check the disk, then restart"
            )
        self._is_suspect = self._is_prepared = False

    def _publish(self, head: Head) -> None:
        self._is_head_suspect = True
        publish(self._disk, self._head_file, head)
        self._is_head_suspect = False

    def _admit(self, size_bytes: int) -> None:
        try:
            self._guard.admit(size_bytes)
        except OSError as error:
            raise self._refusal("asking for free space", error) from error

    def _roll(self) -> None:
        """Begin the next segment. Raises Full, Unavailable; then it is tried again before anything else is written: a
        file of that name may be there, so nothing may get the offset that it names but its first record.

        Zeros that are left are cut from the present one durably, before the next one can be seen: behind a segment
        that has a successor, readers take the end of the file for the end of its records.
        """
        base = self.head.end
        path = self._files.segment(base)
        segment = None
        self._is_sealed = True
        try:
            if self._is_prepared:
                if os.fstat(self._segment).st_size > self.head.position:
                    self._disk.truncate(self._segment, self.head.position)
                    self._disk.sync(self._segment)
                self._is_prepared = False
            is_prepared = self._spare.is_ready
            segment = self._spare.take(path) if is_prepared else self._disk.create(path)
            if (
                not is_prepared and os.fstat(segment).st_size
            ):  # left by a roll that failed after its file was made, and never published
                self._disk.truncate(segment, 0)
            self._disk.sync_directory(path.parent)
            self._publish(Head(base, 0, base))
        except OSError as error:
            if segment is not None:
                os.close(segment)
            self._is_suspect = self._is_head_suspect
            raise self._refusal(f"beginning segment {path.name}", error) from error
        os.close(self._segment)
        self._segment = segment
        self._is_prepared = is_prepared
        self._is_sealed = False
        self.head = self._mark = Head(base, 0, base)

    def _refusal(self, doing: str, error: OSError) -> CatchmentError:
        text = f"{self._files.source}: {doing} failed: {error.strerror}"
        if error.errno in NO_SPACE:
            return Full(f"{text}; nothing of it is kept; free space on {self._files.directory}")
        return Unavailable(f"{text}; nothing of it is kept; check the disk under {self._files.directory}")


def open_tail(
    files: PartitionFiles, disk: Disk, guard: SpaceGuard, settings: LogSettings, events: Events
) -> tuple[Tail, TornTail | None]:
    """Make the last segment end at a whole batch, durable and published; tell what was cut off.

    The caller holds the partition's lock. Raises Full, Unavailable when the disk does not let it.
    """
    try:
        head_file = disk.create(files.head)
        try:
            disk.unlink(files.spare)  # whoever prepared it did not finish, or did not need it
            head, torn = _mended(files, disk, read_head(head_file))
            publish(disk, head_file, head)
        except BaseException:
            os.close(head_file)
            raise
    except OSError as error:
        kind = Full if error.errno in NO_SPACE else Unavailable
        raise kind(f"{files.source}: opening for writing failed: {error.strerror}; check {files.directory}") from error
    if torn is not None:
        _report(torn, events)
    spare = Spare(files, disk, settings.segment_bytes, settings.min_free_bytes, events)
    return Tail(files, disk, guard, spare, settings, head, head_file), torn


def _mended(files: PartitionFiles, disk: Disk, known: Head | None) -> tuple[Head, TornTail | None]:
    bases = files.bases()
    if not bases:
        start = known.end if known else 0
        return _begin(files, disk, start), None
    base = bases[-1]
    segment = disk.create(files.segment(base))
    torn = None
    try:
        size_bytes = os.fstat(segment).st_size
        records, position = walk(segment, 0, size_bytes)
        end = base + records
        lost_records = max(known.end - end, 0) if known else 0
        content_end = _content_end(segment, position, size_bytes)
        if position < content_end or lost_records:
            saved = _save(files, disk, base, segment, position, content_end)
            torn = TornTail(files.source, base, position, content_end - position, lost_records, saved)
        if position < size_bytes:
            disk.truncate(segment, position)
        disk.sync(segment)
        disk.sync_directory(files.directory)
    finally:
        os.close(segment)
    if lost_records:
        return _begin(files, disk, end + lost_records), torn
    return Head(base, position, end), torn


def _begin(files: PartitionFiles, disk: Disk, base: int) -> Head:
    os.close(disk.create(files.segment(base)))
    disk.sync_directory(files.directory)
    return Head(base, 0, base)


def _content_end(segment: int, position: int, size_bytes: int) -> int:
    """Where the zeros begin that end the file, `position` if there is nothing else behind it."""
    end = position
    for begin in range(position, size_bytes, _CHECK_BYTES):
        chunk = os.pread(segment, min(_CHECK_BYTES, size_bytes - begin), begin)
        if chunk != _ZEROS[: len(chunk)]:
            end = begin + len(chunk.rstrip(b"\0"))
    return end


def _save(files: PartitionFiles, disk: Disk, base: int, segment: int, position: int, content_end: int) -> Path | None:
    cut = os.pread(segment, content_end - position, position)
    if not cut:
        return None
    path = files.unused_torn(base)
    side = disk.create(path)
    try:
        write_all(disk, side, cut, 0)
        disk.sync(side)
    finally:
        os.close(side)
    return path


def _report(torn: TornTail, events: Events) -> None:
    report = events.error if torn.lost_records else events.warning
    report(
        "acknowledged_records_damaged" if torn.lost_records else "torn_tail_truncated",
        partition=torn.source,
        segment=torn.base,
        position=torn.position,
        lost_bytes=torn.lost_bytes,
        lost_records=torn.lost_records,
        saved=torn.saved or "-",
    )
