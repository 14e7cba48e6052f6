"""Files of framed messages in any layout that the landfill or the framed lake has ever had.

| layout | told by |
|---|---|
| zstd, whole file (ours) | 28 b5 2f fd |
| gzip, whole file, any number of members | 1f 8b |
| plain frames | a frame's first byte, 1e |
| plain frames, each message packed by snappy | per message: it begins with its unpacked length, not with a uuid's tag |

Damage is passed over and reported; `catchment.framing` tells how. Source: the layouts of the original's archive, whose
files were written as they were received, later as `.gz` and `.zst`, and by one loader with snappy a record.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from typing import BinaryIO, cast

import zstandard

from catchment.errors import Corrupt
from catchment.framing import MAX_MESSAGE_BYTES, Damage, Framed, Source, read_archive

_ZSTD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"
_UUID_TAG = 0x0A
_SLACK_BYTES = 64 * 1024
_READ_BYTES = 64 * 1024


def read_file(name: str, file: BinaryIO) -> Iterator[Framed | Damage]:
    """All messages of a file, whatever its layout, and the damage between them. Raises Corrupt when it cannot be
    unpacked to its end; the messages before that come first."""
    try:
        yield from read_archive(_unpacked(file), unpack=unsnap, max_message_bytes=MAX_MESSAGE_BYTES + _SLACK_BYTES)
    except (zstandard.ZstdError, EOFError, OSError) as error:
        raise Corrupt(f"{name}: cannot be unpacked to its end: {error}; what comes before is whole") from error


def unsnap(message: bytes) -> bytes | None:
    """The unpacked form of a message that snappy may have packed; None when it has not."""
    length = shift = at = 0
    while at < min(len(message), 5):
        byte = message[at]
        length |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    if not 0 < length <= MAX_MESSAGE_BYTES:
        return None
    import pyarrow as pa

    try:
        unpacked = pa.Codec("snappy").decompress(message, length, asbytes=True)
    except (pa.ArrowException, OSError):
        return None
    return unpacked if unpacked[:1] == bytes((_UUID_TAG,)) else None


def _unpacked(file: BinaryIO) -> Source:
    buffered = io.BufferedReader(cast(io.RawIOBase, file)) if not isinstance(file, io.BufferedReader) else file
    head = buffered.peek(4)[:4]
    if head == _ZSTD:
        return _Zstd(buffered)
    if head.startswith(_GZIP):
        return cast(Source, gzip.GzipFile(fileobj=buffered))
    return buffered


class _Zstd:
    """The content of zstd frames; unlike the library's reader it tells when the last one is cut short."""

    def __init__(self, file: Source) -> None:
        self._file = file
        self._unpacking = zstandard.ZstdDecompressor().decompressobj()
        self._is_within = False

    def read(self, size: int, /) -> bytes:
        while chunk := self._file.read(_READ_BYTES):
            unpacked = self._take(chunk)
            if unpacked:
                return unpacked
        if self._is_within:
            raise EOFError("a zstd frame is cut short")
        return b""

    def _take(self, chunk: bytes) -> bytes:
        parts = []
        while chunk:
            parts.append(self._unpacking.decompress(chunk))
            chunk = self._unpacking.unused_data
            self._is_within = not self._unpacking.eof
            if self._unpacking.eof:
                self._unpacking = zstandard.ZstdDecompressor().decompressobj()
        return b"".join(parts)
