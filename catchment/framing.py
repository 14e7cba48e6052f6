"""Heka frames: messages one after the other in a stream or a file, and two readers of them.

    offset   bytes                   frame
    0        0x1e                    record separator
    1        H, 1 to 255             length of the header
    2        H bytes                 header (protobuf): 0x08, message length L as varint; then perhaps a signature
    2 + H    0x1f                    unit separator
    3 + H    L bytes                 the message, L from 1 to a limit

| header field | # | wire |
|---|---|---|
| message_length | 1 | varint, uint32 |
| hmac_hash_function | 3 | varint: 0 MD5, 1 SHA1 |
| hmac_signer | 4 | bytes |
| hmac_key_version | 5 | varint, uint32 |
| hmac | 6 | bytes: over the message only |

`StreamReader` is for a connection whose sender can be told to stop: it refuses at the first bad byte. `read_archive` is
for files that are what they are: it passes over damage, says what it passed over, and finds every frame that no other
valid frame contains. `docs/message.md` tells both in full. Source: the Heka stream framing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn, Protocol

from catchment.errors import Malformed, TooLarge
from catchment.message import Message, decode, encode_varint

MAX_MESSAGE_BYTES = 8 * 1024 * 1024 + 64 * 1024
"""Default limit of a message: the log's largest record. The original's is 65,536."""
MAX_HEADER_BYTES = 255
CHUNK_BYTES = 1024 * 1024
_MAX_UINT32 = 0xFFFFFFFF
_NEW = tuple.__new__  # of a NamedTuple, in half the time


class BadFrame(Malformed):
    """`offset` is the place of the first bad byte in the stream, from 0."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"reading frames: offset {offset}: {reason}")
        self.offset = offset
        self.reason = reason


class Framed(NamedTuple):
    """A message that was read. `offset` is where its frame begins; `payload` are its bytes, unpacked."""

    offset: int
    payload: bytes
    message: Message


class Damage(NamedTuple):
    """`length` bytes from `offset` that belong to no frame, and what is wrong with the first frame among them."""

    offset: int
    length: int
    reason: str


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before a message. Without `digest` the message is not signed."""

    message_length: int
    hash_function: int = 0
    signer: str = ""
    key_version: int = 0
    digest: bytes | None = None


class Source(Protocol):
    """A binary file, plain or unpacking: `read` returns at most so many bytes, none at the end."""

    def read(self, size: int, /) -> bytes: ...


def frame(payload: bytes) -> bytes:
    """The frame of one encoded message. Raises Malformed for an empty one, TooLarge for one of 4 GiB or more."""
    return _head(len(payload)) + payload


@lru_cache(8192)
def _head(length: int) -> bytes:
    if not length:
        raise Malformed("framing a message: it has 0 bytes, must have 1 or more; encode it first")
    if length > _MAX_UINT32:
        raise TooLarge(f"framing a message: it has {length} bytes, a frame holds at most {_MAX_UINT32}")
    header = b"\x08" + encode_varint(length)
    return bytes((0x1E, len(header))) + header + b"\x1f"


class _Bad(Exception):
    """The byte at `at` of the bytes in hand cannot belong to a frame."""

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(reason)
        self.at = at


_CACHED = 8192
_lengths: dict[bytes, int] = {}
"""Message length by all bytes before the message, of frames that were read."""


def _message_at(data: bytes, at: int, limit: int) -> tuple[int, int]:
    """Where the message of the frame at `at` begins and ends; its end may lie behind the data. (-1, -1) when the data
    end before that is known. Raises _Bad at the first byte that breaks the rules."""
    if at + 1 < len(data):
        start = at + 3 + data[at + 1]
        length = _lengths.get(data[at:start])
        if length is not None and length <= limit:
            return start, start + length
    return _judged_at(data, at, limit)


def _judged_at(data: bytes, at: int, limit: int) -> tuple[int, int]:
    have = len(data) - at
    if have and data[at] != 0x1E:
        raise _Bad(at, f"byte is 0x{data[at]:02x}, a frame begins with 0x1e")
    if have < 2:
        return -1, -1
    begin, end = at + 2, at + 2 + data[at + 1]
    if begin == end:
        raise _Bad(at + 1, f"header has 0 bytes, must have 1 to {MAX_HEADER_BYTES}")
    if have > 2 and data[begin] != 0x08:
        raise _Bad(begin, f"header begins with 0x{data[begin]:02x}, must begin with 0x08, the message length")
    length = shift = 0
    for position in range(begin + 1, begin + 11):
        if position == end:
            raise _Bad(end - 1, "message length does not end in the header")
        if position >= len(data):
            return -1, -1
        length |= (data[position] & 127) << shift
        if data[position] < 128:
            break
        shift += 7
    else:
        raise _Bad(begin + 10, "message length has over 10 bytes")
    if not 0 < length <= limit:
        raise _Bad(begin + 1, f"message length is {length}, must be from 1 to {limit}")
    if end >= len(data):
        return -1, -1
    if data[end] != 0x1F:
        raise _Bad(end, f"byte behind the header is 0x{data[end]:02x}, must be 0x1f")
    if end - begin <= 6:  # longer ones are signed, and so never met again
        if len(_lengths) >= _CACHED:
            _lengths.clear()
        _lengths[data[at : end + 1]] = length
    return end + 1, end + 1 + length


def split(data: bytes, max_message_bytes: int = _MAX_UINT32) -> tuple[list[bytes], bytes]:
    """The messages of all whole frames in `data`, not decoded, and the bytes of the frame that is not whole. For what
    is known to be undamaged by other means: it is strict, and raises BadFrame with the offset in `data`."""
    payloads, at = list[bytes](), 0
    try:
        while True:
            start, end = _message_at(data, at, max_message_bytes)
            if start < 0 or end > len(data):
                return payloads, data[at:]
            payloads.append(data[start:end])
            at = end
    except _Bad as bad:
        raise BadFrame(bad.at, str(bad)) from bad


class StreamReader:
    """Reads frames from chunks of a stream, strictly: the first bad byte ends it.

    `keys`, by `<signer>_<key version>`, make it check signatures, see `is_authentic`; without keys they are ignored.
    Takes memory for one chunk and one message. Not for use by several threads.
    """

    def __init__(self, *, max_message_bytes: int = MAX_MESSAGE_BYTES, keys: Mapping[str, bytes] | None = None) -> None:
        self._limit = max_message_bytes
        self._keys = keys
        self._data = b""
        self._at = 0
        self._base = 0  # offset of the data's first byte
        self._chunks: list[bytes] = []
        self._waiting_bytes = 0
        self._needed_bytes = 1
        self._failure: BadFrame | None = None

    @property
    def offset(self) -> int:
        """Where the next frame begins: what lies before has been returned."""
        return self._base + self._at

    def feed(self, chunk: bytes) -> Iterator[Framed]:
        """The messages that are whole now. What is not taken from the iterator comes first from the next one.

        The iterator raises BadFrame where the stream breaks the format, after the messages before it. Every later call
        raises the same error.
        """
        self._chunks.append(chunk)
        self._waiting_bytes += len(chunk)
        return self._read()

    def close(self) -> None:
        """The stream has ended. Raises BadFrame when a message has begun and not ended, or was not taken."""
        for unread in self._read():
            raise BadFrame(unread.offset, "closed before this message was taken")
        rest = len(self._data) - self._at + self._waiting_bytes
        if rest:
            raise BadFrame(self.offset + rest, f"the stream ends {rest} bytes into a frame")

    def _read(self) -> Iterator[Framed]:
        if self._failure is not None:
            raise self._failure
        if len(self._data) - self._at + self._waiting_bytes < self._needed_bytes:
            return
        self._base += self._at
        self._data = b"".join((self._data[self._at :], *self._chunks))
        self._at = self._waiting_bytes = 0
        self._chunks.clear()
        try:
            while True:
                data, at = self._data, self._at
                start, end = _message_at(data, at, self._limit)
                if start < 0 or end > len(data):
                    self._needed_bytes = (len(data) if start < 0 else end - 1) - at + 1
                    return
                payload = data[start:end]
                try:
                    if self._keys is not None:
                        _verify(data[at + 2 : start - 1], payload, self._keys)
                    message = decode(payload)
                except Malformed as error:
                    raise _Bad(start, f"message of {len(payload)} bytes: {error}") from error
                self._at = end
                yield _NEW(Framed, (self._base + at, payload, message))
        except _Bad as bad:
            self._failure = BadFrame(self._base + bad.at, str(bad))
            raise self._failure from bad.__cause__


def read_archive(
    file: Source,
    *,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    lenient_uuid: bool = True,
    unpack: Callable[[bytes], bytes | None] | None = None,
    keys: Mapping[str, bytes] | None = None,
    chunk_bytes: int = CHUNK_BYTES,
) -> Iterator[Framed | Damage]:
    """All frames of a file in order, and the damage between them; together they cover each byte once.

    `file` may be larger than memory: a chunk and a message are held. `lenient_uuid` takes uuids of any length. `unpack`
    is asked for the unpacked form of each message, None when it is not packed; what does not decode unpacked is
    tried as it is. `keys` as for StreamReader: what is not authentic is damage. Errors of `file` itself are passed on.

    After a frame that is none, or whose message does not decode, the search goes on one byte behind its first. So a
    frame is missed only when it lies inside another one whose message decodes.
    """
    data, at, base = b"", 0, 0
    is_end, damaged_at, reason = False, -1, ""
    while True:
        try:
            start, end = _message_at(data, at, max_message_bytes)
            if start < 0 or end > len(data):
                if not is_end:
                    chunk = file.read(max(chunk_bytes, end - len(data)))
                    is_end = not chunk
                    data, at, base = data[at:] + chunk, 0, base + at
                    continue
                if at == len(data):
                    break
                raise _Bad(at, "frame is cut short by the end")
            payload, message = _opened(data[start:end], lenient_uuid, unpack)
            if keys is not None:
                _verify(data[at + 2 : start - 1], data[start:end], keys)
        except (_Bad, Malformed) as error:
            if damaged_at < 0:
                damaged_at, reason = base + at, str(error)
            found = data.find(b"\x1e", at + 1)
            at = len(data) if found < 0 else found
            continue
        if damaged_at >= 0:
            yield Damage(damaged_at, base + at - damaged_at, reason)
            damaged_at = -1
        yield _NEW(Framed, (base + at, payload, message))
        at = end
    if damaged_at >= 0:
        yield Damage(damaged_at, base + at - damaged_at, reason)


def _opened(body: bytes, lenient_uuid: bool, unpack: Callable[[bytes], bytes | None] | None) -> tuple[bytes, Message]:
    unpacked = None if unpack is None else unpack(body)
    if unpacked is not None:
        try:
            return unpacked, decode(unpacked, lenient_uuid=lenient_uuid)
        except Malformed:
            return body, decode(body, lenient_uuid=lenient_uuid)
    return body, decode(body, lenient_uuid=lenient_uuid)


def _verify(header: bytes, body: bytes, keys: Mapping[str, bytes]) -> None:
    found = read_header(header)
    if not is_authentic(found, body, keys):
        raise Malformed(
            f"signature of {found.signer!r}, key version {found.key_version}, is not by a key that is known"
        )


def read_header(header: bytes) -> Header:
    """All of a header; readers without keys look at the length only. Raises Malformed when it breaks its table."""
    found: dict[int, Any] = {}
    at = 0
    while at < len(header):
        start, key, number, shift = at, header[at], 0, 0
        at += 1
        while at < len(header) and header[at] > 127 and shift < 63:
            number |= (header[at] & 127) << shift
            shift += 7
            at += 1
        if at == len(header) or header[at] > 127:
            _refuse(header, start, "its number does not end")
        number |= header[at] << shift
        at += 1
        if key in (0x08, 0x18, 0x28) and number <= _MAX_UINT32:
            found[key] = number
        elif key in (0x22, 0x32) and number <= len(header) - at:
            found[key] = header[at : at + number]
            at += number
        else:
            _refuse(header, start, "tag, wire type or size is wrong")
    if 0x08 not in found:
        _refuse(header, 0, "message length is missing")
    signer = found.get(0x22, b"").decode("utf-8", "surrogateescape")
    return Header(found[0x08], found.get(0x18, 0), signer, found.get(0x28, 0), found.get(0x32))


def _refuse(header: bytes, at: int, why: str) -> NoReturn:
    raise Malformed(f"reading a frame's header {header.hex()}: {why} (offset {at})")


def is_authentic(header: Header, message: bytes, keys: Mapping[str, bytes]) -> bool:
    """Whether the bytes of a message are what its signer signed. `keys` are by `<signer>_<key version>`. What is not
    signed is authentic; what an unknown signer or an unknown function signed is not."""
    if header.digest is None:
        return True
    key = keys.get(f"{header.signer}_{header.key_version}")
    if key is None or header.hash_function not in (0, 1):
        return False
    function = hashlib.sha1 if header.hash_function else hashlib.md5
    return hmac.compare_digest(hmac.new(key, message, function).digest(), header.digest)
