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

`docs/message.md` tells the rules. Source: the Heka message definition, proto2.

What makes it fast: small fields repeat from message to message (headers, host, protocol), and the same bytes are always
the same field. So both directions remember small fields, and what stands before them, in memories with a bound.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

from catchment.errors import Malformed

STRING, BYTES, INTEGER, DOUBLE, BOOL = range(5)
UUID_BYTES = 16
Value = str | bytes | int | float | bool

_MASK64, _SIGN = (1 << 64) - 1, 1 << 63
_NINE_BYTES = range(1 << 56, 1 << 63)
_CACHED = 8192
_SHORT = 128
_HEAD = struct.Struct("<2s16sBI5s")
"""How almost every message begins: tag and length of the uuid, uuid, tag of the time, its 9 bytes as 4 and 5."""
_NEW = tuple.__new__  # of a NamedTuple, in half the time
_encoded: dict[Field, bytes] = {}
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
    """One message; what is None is absent. `timestamp` is ns since the epoch, UTC, from -2^63 to 2^63 - 1."""

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
    """A base-128 varint of a signed 64-bit number; a negative one takes ten bytes. Raises Malformed for any other."""
    if 0 <= number < 128:
        return _SMALL[number]
    if number in _NINE_BYTES:  # times: their high half is the same for a quarter of a second
        low = number & 0xFFFFFFF
        low = low & 0x7F | (low & 0x3F80) << 1 | (low & 0x1FC000) << 2 | (low & 0xFE00000) << 3
        return (low | 0x80808080).to_bytes(4, "little") + _high(number >> 28)
    if not -_SIGN <= number < _SIGN:
        raise Malformed(f"encoding a message: {number} does not fit 64 bits, signed; write it as a string or a double")
    number &= _MASK64
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


_SMALL = [bytes((number,)) for number in range(128)]
_high = lru_cache(256)(encode_varint)


def field_prefix(name: str, value_type: int = STRING, representation: str | None = None) -> bytes:
    """The bytes of a Field before its values: what a hot path computes once. `encode_field_with` completes it."""
    prefix = _text(b"\x0a", name)
    if value_type != STRING:
        prefix += b"\x10" + encode_varint(value_type)
    return prefix if representation is None else prefix + _text(b"\x1a", representation)


def encode_field_with(prefix: bytes, value: bytes, tag: bytes = b"\x22") -> bytes:
    """A whole Field of a message: `prefix` and one length-delimited value (tag 0x22 string, 0x2a bytes)."""
    return _field_head(prefix, tag, len(value)) + value


def _field_head(prefix: bytes, tag: bytes, length: int) -> bytes:
    """What stands before the `length` bytes of a Field's only value."""
    head = prefix + tag + encode_varint(length)
    return b"\x52" + encode_varint(len(head) + length) + head


def encode(message: Message) -> bytes:
    """The message's bytes, in the order of the table above. One number of a field is written plainly, several packed.

    Raises Malformed when the uuid has not 16 bytes, a number does not fit 64 bits, a text has no UTF-8 form, or a
    field's values are not of its type.
    """
    uuid, payload, known = message.uuid, message.payload, _encoded.get
    fields: list[Any] = message.fields
    if len(uuid) != UUID_BYTES:
        raise Malformed(f"encoding a message: its uuid has {len(uuid)} bytes, must have {UUID_BYTES}")
    source_of = _encode_source if payload is None or len(payload) < _SHORT else _encode_source.__wrapped__
    try:
        source = source_of(
            message.type, message.logger, message.severity, payload, message.env_version, message.pid, message.hostname
        )
        try:
            parts = [(known(f) if len(f[1][0]) < _SHORT else None) or _encode_field(f) for f in fields]
        except (TypeError, IndexError):  # a number, or no value
            parts = [_encode_field(f) for f in fields]
    except UnicodeEncodeError as error:
        raise Malformed(f"encoding a message: {error.object!r:.80} has no UTF-8 form ({error.reason})") from error
    return b"".join((b"\x0a\x10", uuid, b"\x10", encode_varint(message.timestamp), source, *parts))


@lru_cache(256)
def _encode_source(*values: Any) -> bytes:
    """What stands between time and fields, from type to hostname."""
    return b"".join(
        _SMALL[tag] + encode_varint(value) if tag in (0x28, 0x40) else _text(_SMALL[tag], value)
        for tag, value in zip((0x1A, 0x22, 0x28, 0x32, 0x3A, 0x40, 0x4A), values, strict=True)
        if value is not None
    )


def _text(tag: bytes, text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogateescape")
    return tag + encode_varint(len(encoded)) + encoded


def _encode_field(found: Field) -> bytes:
    """A Field of a message, with tag and length. One short text, or string of bytes, is remembered."""
    name, values, kind, representation = found
    try:
        if len(values) == 1 and kind in (STRING, BYTES):
            text = value.encode("utf-8", "surrogateescape") if isinstance(value := values[0], str) else _bytes(value)
            whole = _head_of(name, kind, representation, len(text)) + text
            if len(text) < _SHORT:
                _keep(_encoded, found, whole)
            return whole
        tag, packed, write = _WRITERS[kind]
        encoded = [write(value) for value in values]
    except (KeyError, TypeError, ValueError, OverflowError, struct.error) as error:
        raise Malformed(f"encoding field {name!r}: {values!r:.80} does not fit value type {kind}: {error!r}") from error
    if not packed:
        body = b"".join(tag + encode_varint(len(text)) + text for text in encoded)
    elif len(encoded) > 1:
        body = b"".join(encoded)
        body = packed + encode_varint(len(body)) + body
    else:
        body = tag.join((b"", *encoded))
    body = field_prefix(name, kind, representation) + body
    return b"\x52" + encode_varint(len(body)) + body


def _bytes(value: Any) -> bytes:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else b"".join((value,))


_WRITERS: dict[int, tuple[bytes, bytes, Callable[[Any], bytes]]] = {
    STRING: (b"\x22", b"", _bytes),
    BYTES: (b"\x2a", b"", _bytes),
    INTEGER: (b"\x30", b"\x32", lambda value: encode_varint(math.trunc(value))),
    DOUBLE: (b"\x39", b"\x3a", lambda value: struct.pack("<d", value)),
    BOOL: (b"\x40", b"\x42", lambda value: _SMALL[math.trunc(value) != 0]),
}
"""By value type: the tag of one value, that of packed values if there are such, and how a value is written."""


@lru_cache(_CACHED)
def _head_of(name: str, kind: int, representation: str | None, length: int) -> bytes:
    return _field_head(field_prefix(name, kind, representation), _WRITERS[kind][0], length)


def _keep(memory: dict[Any, Any], key: object, value: object) -> None:
    if len(memory) >= _CACHED:
        memory.clear()
    memory[key] = value


def decode(data: bytes, *, lenient_uuid: bool = False) -> Message:
    """The message in `data`, all of it. `lenient_uuid` lets a uuid of another length pass, as old archives need.

    Raises Malformed, with the offset of the part at which it stopped, for an unknown tag, a wrong wire type, a length
    beyond the end, a varint over 10 bytes, a missing uuid or timestamp, or a field without a name. Of a repeated scalar
    the last one counts. Bytes that are not UTF-8 become surrogate escapes in texts, which `encode` turns back.
    """
    top: list[Any] = [None] * 10  # by number, 0 is unused
    fields: list[Field] = []
    add, remembered = fields.append, _remembered.get
    at, end = 0, len(data)
    if end > _HEAD.size:
        opening, uuid, tag, low, high = _HEAD.unpack_from(data)
        if opening == b"\x0a\x10" and tag == 0x10 and low & 0x80808080 == 0x80808080 and (high := _high_of(high)) >= 0:
            low = low & 0x7F | (low & 0x7F00) >> 1 | (low & 0x7F0000) >> 2 | (low & 0x7F000000) >> 3
            known, source = _last_source
            at = _HEAD.size + len(known) - 1
            if not data.startswith(known, _HEAD.size):
                at, source = _read_source(data, end)
            top = [None, uuid, high | low, *source]
    try:
        while at < end:
            stop = at + 2 + data[at + 1]
            found = remembered(data[at:stop])  # by all its bytes, so nothing else has to be looked at
            if found is not None:
                add(found)
                at = stop
                continue
            start, key = at, data[at]
            if key == 0x52 and data[at + 1] < 128:
                add(_remember(data, at, stop))
                at = stop
            elif key in _LENGTHS:
                begin, at = _span(data, at + 1, end, key, start)
                if key == 0x52:
                    add(_field(data, begin, at))
                elif key != 0x0A:
                    top[key >> 3] = data[begin:at].decode("utf-8", "surrogateescape")
                elif at - begin == UUID_BYTES or lenient_uuid:
                    top[1] = data[begin:at]
                else:
                    _refuse(key, start, f"uuid has {at - begin} bytes, must have {UUID_BYTES}")
            elif key in (0x10, 0x28, 0x40):
                top[key >> 3], at = _varint(data, at + 1, end, key, start)
            else:
                _refuse(key, start, "unknown tag or wrong wire type")
    except IndexError:
        _refuse(data[at], at, "nothing follows the tag")
    _, uuid, timestamp, kind, logger, severity, payload, env_version, pid, hostname = top
    if uuid is None or timestamp is None:
        raise Malformed(f"decoding a message: missing {'uuid' if uuid is None else 'timestamp'}; it is required")
    return Message(uuid, timestamp, kind, logger, severity, payload, env_version, pid, hostname, fields)


def _read_source(data: bytes, end: int) -> tuple[int, tuple[Any, ...]]:
    """Where the short texts behind the time end, and type to hostname. One sender writes the same ones each time."""
    global _last_source
    at = _HEAD.size
    while at + 1 < end and data[at] in _TEXTS and data[at + 1] < 128:
        at += 2 + data[at + 1]
    if not _HEAD.size < at < min(end, _HEAD.size + 2 * _SHORT) or data[at] != 0x52:
        return _HEAD.size, _NO_SOURCE
    found = decode(b"\x0a\x10" + bytes(UUID_BYTES) + b"\x10\x00" + data[_HEAD.size : at])
    source = tuple(getattr(found, name) for name in Message.__slots__[2:9])
    _last_source = data[_HEAD.size : at + 1], source
    return at, source


_TEXTS = frozenset((0x1A, 0x22, 0x32, 0x3A, 0x4A))
_NO_SOURCE = (None,) * 7
_last_source: tuple[bytes, tuple[Any, ...]] = b"\x52", _NO_SOURCE
_LENGTHS = _TEXTS | {0x0A, 0x52}


@lru_cache(256)
def _high_of(high: bytes) -> int:
    """The last 5 of the 9 bytes of a varint, at their place in the number; -1 when it has not 9."""
    return -1 if high[4] > 127 or min(high[:4]) < 128 else _varint(high, 0, 5, 0x10, 0)[0] << 28


def _refuse(key: int, start: int, why: str) -> NoReturn:
    raise Malformed(f"decoding a message: {why} (tag {key >> 3}, wire type {key & 7}, offset {start})")


def _span(data: bytes, at: int, end: int, key: int, start: int) -> tuple[int, int]:
    """Where the length-delimited value whose length stands at `at` begins and ends."""
    length, at = _varint(data, at, end, key, start)
    if not 0 <= length <= end - at:
        _refuse(key, start, f"length {length} is beyond the end")
    return at, at + length


def _varint(data: bytes, at: int, end: int, key: int, start: int) -> tuple[int, int]:
    if at < end and data[at] < 128:
        return data[at], at + 1
    if at + 1 < end and data[at + 1] < 128:
        return data[at] & 127 | data[at + 1] << 7, at + 2
    number = shift = 0
    for position in range(at, min(at + 10, end)):
        byte = data[position]
        number |= (byte & 127) << shift
        if byte < 128:
            return (number & _MASK64 ^ _SIGN) - _SIGN, position + 1
        shift += 7
    _refuse(key, start, "varint does not end")


def _remember(data: bytes, at: int, end: int) -> Field:
    if end > len(data):
        _refuse(0x52, at, f"length {end - at - 2} is beyond the end")
    found = _field(data, at + 2, end)
    _keep(_remembered, data[at:end], found)
    return found


def _field(data: bytes, at: int, end: int) -> Field:
    """The Field in data[at:end]. Without a loop where it is a short name and one value, text or bytes, as most are."""
    value_at = at + 2 + data[at + 1] if end - at > 1 and data[at] == 0x0A and data[at + 1] < 128 else end
    if value_at + 4 < end:
        name = data[at + 2 : value_at].decode("utf-8", "surrogateescape")
        if data[value_at] == 0x22 and data[value_at + 1] == end - value_at - 2 < 128:
            return _NEW(Field, (name, (data[value_at + 2 : end].decode("utf-8", "surrogateescape"),), STRING, None))
        if data.startswith(b"\x10\x01\x2a", value_at):
            begin, stop = _span(data, value_at + 3, end, 0x2A, value_at)
            if stop == end:
                return _NEW(Field, (name, (data[begin:end],), BYTES, None))
    return _any_field(data, at, end)


def _any_field(data: bytes, at: int, end: int) -> Field:
    outer = at
    name: str | None = None
    kind, representation = STRING, None
    values: list[Value] = []
    while at < end:
        start, key = at, data[at]
        at += 1
        if key in _FIELD_LENGTHS:
            begin, at = _span(data, at, end, key, start)
            if key == 0x2A:
                values.append(data[begin:at])
            elif key in (0x32, 0x3A, 0x42):
                values += _packed(key, data[begin:at], start)
            else:
                text = data[begin:at].decode("utf-8", "surrogateescape")
                if key == 0x22:
                    values.append(text)
                elif key == 0x0A:
                    name = text
                else:
                    representation = text
        elif key in (0x10, 0x30, 0x40):
            number, at = _varint(data, at, end, key, start)
            if key == 0x10:
                kind = number
            else:
                values.append(number if key == 0x30 else number != 0)
        elif key == 0x39:
            values += _packed(key, data[at : min(at + 8, end)], start)
            at += 8
        else:
            _refuse(key, start, "unknown tag or wrong wire type in a field")
    if name is None:
        _refuse(0x52, outer, "field has no name")
    return Field(name, tuple(values), kind, representation)


_FIELD_LENGTHS = frozenset((0x0A, 0x1A, 0x22, 0x2A, 0x32, 0x3A, 0x42))


def _packed(key: int, chunk: bytes, start: int) -> Sequence[Value]:
    if key in (0x39, 0x3A):
        if len(chunk) % 8 or (key == 0x39 and not chunk):
            _refuse(key, start, f"doubles have {len(chunk)} bytes, must have 8 each")
        return struct.unpack(f"<{len(chunk) // 8}d", chunk)
    numbers, at = list[int](), 0
    while at < len(chunk):
        number, at = _varint(chunk, at, len(chunk), key, start)
        numbers.append(number)
    return numbers if key == 0x32 else [number != 0 for number in numbers]
