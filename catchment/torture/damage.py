"""Damage to the files of the embedded log: torn ends, flipped bits; and what stood in a segment before.

Only bytes that may be lost are touched by a tear: those behind the head of a partition whose writer is dead, which
is kept away meanwhile by holding the partition's lock. A flip changes one bit of a sealed segment.
"""

from __future__ import annotations

import fcntl
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from catchment import message
from catchment.errors import Unavailable
from catchment.log.embedded.head import read_head
from catchment.log.embedded.layout import PartitionFiles
from catchment.log.embedded.records import frame
from catchment.log.port import Log, TopicPartition
from catchment.torture.stage import wait_for

LOCK_WITHIN_S = 5.0


class Sealed(NamedTuple):
    """A segment behind which another one is in use: its records are those from `base` to before `end`."""

    files: PartitionFiles
    base: int
    end: int

    @property
    def path(self) -> Path:
        return self.files.segment(self.base)


def sealed_segments(root: Path, partitions: int) -> list[Sealed]:
    """All sealed segments of topic raw."""
    found = []
    for number in range(partitions):
        files = PartitionFiles.of(root, TopicPartition("raw", number))
        bases = files.bases()
        found += [Sealed(files, base, end) for base, end in pairwise(bases)]
    return found


@contextmanager
def no_writer(files: PartitionFiles) -> Iterator[None]:
    """Hold the partition's lock, so that no writer opens it. Raises Unavailable when one lives."""
    descriptor = os.open(files.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def is_taken() -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        if not wait_for(is_taken, LOCK_WITHIN_S, 0.001):
            raise Unavailable(f"tearing {files.source}: its writer lives; kill it before")
        yield
    finally:
        os.close(descriptor)


def tear(files: PartitionFiles, rng: random.Random, size_bytes: int) -> str:
    """Spoil what is behind the durable end of a partition without a writer; says how."""
    descriptor = os.open(files.head, os.O_RDONLY | os.O_CLOEXEC)
    try:
        head = read_head(descriptor)
    finally:
        os.close(descriptor)
    bases = files.bases()
    if head is None or not bases or bases[-1] != head.base:
        return "nothing torn: the segment in use has no head yet"
    way = rng.choice(("garbage", "half a record", "an unanswered record's first of two", "cut"))
    with files.segment(head.base).open("r+b") as segment:
        segment.seek(0, os.SEEK_END)
        if way == "cut":
            segment.truncate(rng.randint(head.position, segment.tell()))
        else:
            segment.seek(head.position)
            segment.write(_tail(way, rng, size_bytes))
        segment.flush()
        os.fsync(segment.fileno())
    return f"{way} at byte {head.position} of segment {head.base}"


def _tail(way: str, rng: random.Random, size_bytes: int) -> bytes:
    if way == "garbage":
        return rng.randbytes(size_bytes)
    pieces: list[bytes] = []
    frame([rng.randbytes(size_bytes), b"the rest of the batch"], pieces)
    if way == "half a record":
        return b"".join(pieces[:2])[: 8 + size_bytes // 2]
    return b"".join(pieces[:2])


def flip(path: Path, rng: random.Random) -> str:
    """Change one bit of a file; says which."""
    with path.open("r+b") as file:
        at, bit = rng.randrange(os.fstat(file.fileno()).st_size), rng.randrange(8)
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes((byte ^ 1 << bit,)))
        file.flush()
        os.fsync(file.fileno())
    return f"bit {bit} of byte {at} of {path.parent.name}/{path.name}"


def uris(log: Log, segment: Sealed) -> dict[int, str]:
    """Offset → URI of the submissions in a segment that is still whole."""
    reader = log.open_reader(segment.files.source, segment.base)
    found: dict[int, str] = {}
    try:
        while reader.position < segment.end:
            for record in reader.read(segment.end - reader.position, 1 << 24, 0):
                uri = message.decode(record.payload).first("uri")
                assert isinstance(uri, str)
                found[record.offset] = uri
    finally:
        reader.close()
    return found
