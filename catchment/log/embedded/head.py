"""The head of a partition: how far it is durable. Written after each flush, read by everyone, watched by the waiting.

It is overwritten in place and never replaced, so that a watch on it stays good. A reader that catches it half written
sees a wrong checksum and reads again.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from google_crc32c import value

from catchment.log.embedded.disk import Disk, write_all

_BODY = struct.Struct("<4sQQQ")
_CHECKSUM = struct.Struct("<I")
_MAGIC = b"CLH1"
_SIZE_BYTES = _BODY.size + _CHECKSUM.size
_ATTEMPTS = 100


class Head(NamedTuple):
    """`position` bytes of the segment `base` are durable; `end` is the offset of the next record."""

    base: int
    position: int
    end: int


def publish(disk: Disk, descriptor: int, head: Head) -> None:
    body = _BODY.pack(_MAGIC, *head)
    write_all(disk, descriptor, body + _CHECKSUM.pack(value(body)), 0)


def read_head(descriptor: int) -> Head | None:
    """The head, or None when its bytes are not one even after repeated reads."""
    for _ in range(_ATTEMPTS):
        content = os.pread(descriptor, _SIZE_BYTES, 0)
        if len(content) < _SIZE_BYTES:
            return None
        magic, base, position, end = _BODY.unpack_from(content)
        if magic == _MAGIC and _CHECKSUM.unpack_from(content, _BODY.size)[0] == value(content[: _BODY.size]):
            return Head(base, position, end)
    return None
