"""The Heka message: the envelope of every record, and its protobuf bytes.

| field | # | wire | | field of a Field | # | wire |
|---|---|---|---|---|---|---|
| uuid | 1 | bytes, 16 | | name | 1 | bytes |
| timestamp | 2 | varint, ns since 1970 | | value_type | 2 | varint: 0 string, 1 bytes, 2 integer, 3 double, 4 bool |
| type | 3 | bytes | | representation | 3 | bytes |
| logger | 4 | bytes | | value_string | 4 | bytes, once a value |
| severity | 5 | varint | | value_bytes | 5 | bytes, once a value |
| payload | 6 | bytes | | value_integer | 6 | varint, or packed |
| env_version | 7 | bytes | | value_double | 7 | 8 bytes little-endian, or packed |
| pid | 8 | varint | | value_bool | 8 | varint, or packed |
| hostname | 9 | bytes | | | | |
| fields | 10 | bytes, once a Field | | | | |

`decode` is strict: an unknown tag, a wrong wire type, a length beyond the end, a varint over 10 bytes, a missing uuid
or timestamp, or a field without a name refuse the whole message. Texts that are not UTF-8 survive a round trip as
surrogate escapes. Of a repeated scalar the last one counts. Source: the Heka message definition, proto2.

Small encoded fields repeat from message to message (headers, host, protocol), so their decoded form is remembered, by
their bytes, up to a bound.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from catchment.errors import Malformed

STRING, BYTES, INTEGER, DOUBLE, BOOL = range(5)
UUID_BYTES = 16
DEFAULT_SEVERITY = 7
Value = str | bytes | int | float | bool

_MASK64 = (1 << 64) - 1
_REMEMBERED_BYTES = 192
_REMEMBERED = 8192
_remembered: dict[bytes, Field] = {}


class Field(NamedTuple):
    """A named list of values of one type. Names may repeat in a message; order is kept."""

    name: str
    values: tuple[Value, ...]
    value_type: int = STRING
    representation: str | None = None

    @property
    def value(self) -> Value | None:
        """The first value, None when there is none."""
        return self.values[0] if self.values else None


@dataclass(slots=True)
class Message:
    """One message; what is None is absent. `timestamp` is ns since the epoch, UTC."""

    uuid: bytes
    timestamp: int
    type: str | None = None
    logger: str | None = None
    severity: int | None = None
    payload: str | None = None
    env_version: str | None = None
    pid: int | None = None
    hostname: str | None = None
    fields: list[Field] = field(default_factory=list)

    def field(self, name: str) -> Field | None:
        """The first field of this name."""
        for found in self.fields:
            if found.name == name:
                return found
        return None

    def first(self, name: str) -> Value | None:
        """The first value of the first field of this name."""
        found = self.field(name)
        return found.value if found is not None else None


def encode_varint(number: int) -> bytes:
    """A base-128 varint; a negative number takes ten bytes (two's complement, 64 bits)."""
    if 0 <= number < 128:
        return _SMALL[number]
    number &= _MASK64
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


_SMALL = [bytes((number,)) for number in range(128)]


def field_prefix(name: str, value_type: int = STRING, representation: str | None = None) -> bytes:
    """The bytes of a Field before its values: what a hot path computes once. `encode_field_with` completes it."""
    encoded = name.encode("utf-8", "surrogateescape")
    prefix = b"\x0a" + encode_varint(len(encoded)) + encoded
    if value_type != STRING:
        prefix += b"\x10" + encode_varint(value_type)
    if representation is not None:
        text = representation.encode("utf-8", "surrogateescape")
        prefix += b"\x1a" + encode_varint(len(text)) + text
    return prefix


def encode_field_with(prefix: bytes, value: bytes, tag: bytes = b"\x22") -> bytes:
    """A whole Field of a message: tag and length, `prefix`, one length-delimited value (tag 0x22 string, 0x2a bytes)."""
    size = encode_varint(len(value))
    return b"".join((b"\x52", encode_varint(len(prefix) + 1 + len(size) + len(value)), prefix, tag, size, value))


def encode(message: Message) -> bytes:
    """The message's bytes, in the order of the table above. Raises Malformed when the uuid has not 16 bytes."""
    if len(message.uuid) != UUID_BYTES:
        raise Malformed(f"encoding a message: its uuid has {len(message.uuid)} bytes, must have {UUID_BYTES}")
    parts = [b"\x0a\x10", message.uuid, b"\x10", encode_varint(message.timestamp)]
    _add_text(parts, b"\x1a", message.type)
    _add_text(parts, b"\x22", message.logger)
    if message.severity is not None:
        parts += (b"\x28", encode_varint(message.severity))
    _add_text(parts, b"\x32", message.payload)
    _add_text(parts, b"\x3a", message.env_version)
    if message.pid is not None:
        parts += (b"\x40", encode_varint(message.pid))
    _add_text(parts, b"\x4a", message.hostname)
    for found in message.fields:
        encoded = encode_field(found)
        parts += (b"\x52", encode_varint(len(encoded)), encoded)
    return b"".join(parts)


def _add_text(parts: list[bytes], tag: bytes, text: str | None) -> None:
    if text is not None:
        encoded = text.encode("utf-8", "surrogateescape")
        parts += (tag, encode_varint(len(encoded)), encoded)


def encode_field(found: Field) -> bytes:
    """A Field's bytes, without tag and length. One number is written plainly, several packed."""
    prefix = field_prefix(found.name, found.value_type, found.representation)
    kind, values = found.value_type, found.values
    if kind in (STRING, BYTES):
        tag = b"\x22" if kind == STRING else b"\x2a"
        encoded = [v.encode("utf-8", "surrogateescape") if isinstance(v, str) else bytes(v) for v in values]  # type: ignore[arg-type]
        return prefix + b"".join(tag + encode_varint(len(text)) + text for text in encoded)
    if kind not in _NUMBERS:
        raise Malformed(f"encoding field {found.name!r}: value type {kind} is unknown, must be 0 to 4")
    plain, packed, number = _NUMBERS[kind]
    numbers = [number(value) for value in values]
    if len(numbers) < 2:
        return prefix + b"".join(plain + text for text in numbers)
    body = b"".join(numbers)
    return prefix + packed + encode_varint(len(body)) + body


_NUMBERS: dict[int, tuple[bytes, bytes, Callable[[Any], bytes]]] = {
    INTEGER: (b"\x30", b"\x32", lambda value: encode_varint(int(value))),
    DOUBLE: (b"\x39", b"\x3a", lambda value: struct.pack("<d", value)),
    BOOL: (b"\x40", b"\x42", lambda value: encode_varint(bool(value))),
}


def decode(data: bytes, *, lenient_uuid: bool = False) -> Message:
    """The message in `data`, all of it. `lenient_uuid` lets a uuid of another length pass, as old archives need.

    Raises Malformed with the tag, the wire type and the offset at which it stopped.
    """
    uuid: bytes | None = None
    timestamp: int | None = None
    texts: dict[int, str] = {}
    numbers: dict[int, int] = {}
    fields: list[Field] = []
    at, end = 0, len(data)
    remembered = _remembered.get
    while at < end:
        start, key = at, data[at]
        at += 1
        if key == 0x52 or key in _LENGTHS:
            at, stop = _span(data, at, end, key, start)
            chunk = data[at:stop]
            at = stop
            if key == 0x52:
                found = remembered(chunk)
                fields.append(found if found is not None else _field(chunk, start))
            elif key == 0x0A:
                uuid = bytes(chunk)
                if len(uuid) != UUID_BYTES and not lenient_uuid:
                    _refuse(key, start, f"uuid has {len(uuid)} bytes, must have {UUID_BYTES}")
            else:
                texts[key] = chunk.decode("utf-8", "surrogateescape")
        elif key in (0x10, 0x28, 0x40):
            number, at = _varint(data, at, end, key, start)
            if key == 0x10:
                timestamp = _signed(number)
            else:
                numbers[key] = _signed(number)
        else:
            _refuse(key, start, "unknown tag or wrong wire type")
    if uuid is None or timestamp is None:
        raise Malformed(f"decoding a message: missing {'uuid' if uuid is None else 'timestamp'}; it is required")
    text, number_of = texts.get, numbers.get
    return Message(
        uuid, timestamp, text(0x1A), text(0x22), number_of(0x28), text(0x32), text(0x3A), number_of(0x40), text(0x4A),
        fields,
    )  # fmt: skip


_LENGTHS = frozenset((0x0A, 0x1A, 0x22, 0x32, 0x3A, 0x4A))


def _refuse(key: int, start: int, why: str) -> NoReturn:
    raise Malformed(f"decoding a message: {why} (tag {key >> 3}, wire type {key & 7}, offset {start})")


def _span(data: bytes, at: int, end: int, key: int, start: int) -> tuple[int, int]:
    """Where the length-delimited value whose length stands at `at` begins and ends."""
    if at < end and data[at] < 128:
        length = data[at]
        at += 1
    else:
        length, at = _varint(data, at, end, key, start)
    if length > end - at:
        _refuse(key, start, f"length {length} is beyond the end")
    return at, at + length


def _varint(data: bytes, at: int, end: int, key: int, start: int) -> tuple[int, int]:
    number = shift = 0
    for position in range(at, min(at + 10, end)):
        byte = data[position]
        number |= (byte & 127) << shift
        if byte < 128:
            return number & _MASK64, position + 1
        shift += 7
    _refuse(key, start, "varint does not end")


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _field(data: bytes, outer: int) -> Field:
    """A Field from its bytes; `outer` is its offset in the message, for errors."""
    name: str | None = None
    kind, representation = STRING, None
    values: list[Value] = []
    at, end = 0, len(data)
    while at < end:
        start, key = at, data[at]
        at += 1
        if key in _FIELD_LENGTHS:
            at, stop = _span(data, at, end, key, outer + start)
            chunk = data[at:stop]
            at = stop
            if key == 0x22:
                values.append(chunk.decode("utf-8", "surrogateescape"))
            elif key == 0x2A:
                values.append(chunk)
            elif key == 0x0A:
                name = chunk.decode("utf-8", "surrogateescape")
            elif key == 0x1A:
                representation = chunk.decode("utf-8", "surrogateescape")
            else:
                values += _packed(key, chunk, outer + start)
        elif key in (0x10, 0x30, 0x40):
            number, at = _varint(data, at, end, key, outer + start)
            if key == 0x10:
                kind = number
            else:
                values.append(_signed(number) if key == 0x30 else bool(number))
        elif key == 0x39:
            if at + 8 > end:
                _refuse(key, outer + start, "double is cut short")
            values.append(struct.unpack_from("<d", data, at)[0])
            at += 8
        else:
            _refuse(key, outer + start, "unknown tag or wrong wire type in a field")
    if name is None:
        _refuse(0x52, outer, "field has no name")
    found = Field(name, tuple(values), kind, representation)
    if len(data) <= _REMEMBERED_BYTES:
        if len(_remembered) >= _REMEMBERED:
            _remembered.clear()
        _remembered[data] = found
    return found


_FIELD_LENGTHS = frozenset((0x0A, 0x1A, 0x22, 0x2A, 0x32, 0x3A, 0x42))


def _packed(key: int, chunk: bytes, start: int) -> Sequence[Value]:
    if key == 0x3A:
        if len(chunk) % 8:
            _refuse(key, start, f"packed doubles have {len(chunk)} bytes, must be a multiple of 8")
        return struct.unpack(f"<{len(chunk) // 8}d", chunk)
    values: list[Value] = []
    at = 0
    while at < len(chunk):
        number, at = _varint(chunk, at, len(chunk), key, start)
        values.append(_signed(number) if key == 0x32 else bool(number))
    return values
