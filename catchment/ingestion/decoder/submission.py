"""Step 1: a raw record, read as the Heka message that the edge wrote.

`unwrap` parts the message in two: the `Submission`, which goes down the chain and into failures, and the `Addresses`,
which only the geographic look-up sees. Every field that can name the client's address is taken out here, by name, so
nothing behind this step can hold one.

Messages come in the edge's own shape (each tag one byte, each field one text or bytes value); that shape is read by a
short loop here, in half the time. Anything else goes to `catchment.message`, which knows the whole format and
decides what is malformed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from catchment import message
from catchment.errors import Malformed
from catchment.ingestion.decoder.failure import Refusal, cut
from catchment.ingestion.decoder.geo import Addresses

ADDRESS_FIELDS = frozenset(
    {
        "remote-addr",
        "x-forwarded-for",
        "forwarded",
        "x-forwarded",
        "forwarded-for",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-envoy-external-address",
        "x-appengine-user-ip",
        "x-original-forwarded-for",
        "client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "cf-connecting-ipv6",
        "fastly-client-ip",
        "fly-client-ip",
    }
)
"""Fields that hold an address, in lower case and with `-` for `_`; all of them are dropped, the first two are used."""

_CONTENT, _URI, _ARGS, _REMOTE, _FORWARDED = "content", "uri", "args", "remote-addr", "x-forwarded-for"
_DROPPED = ""
CACHED_NAMES = 1024
_SPELLINGS = {
    name.lower(): name
    for name in (
        "Date",
        "DNT",
        "Host",
        "User-Agent",
        "X-Debug-ID",
        "X-PingSender-Version",
        "X-Source-Tags",
        "X-Telemetry-Agent",
    )
}
"""Headers that the decoder reads, however the edge was told to spell them."""

_HEAD, _UUID_BYTES = b"\x0a\x10", 16
_TAG_TIMESTAMP, _TAG_FIELD, _TAG_NAME, _TAG_TEXT = b"\x10", 0x52, 0x0A, 0x22
_STAMP_AT = len(_HEAD) + _UUID_BYTES + 1
_SOURCE_AT = _STAMP_AT + 9
_TAG_HOSTNAME = 0x4A
_TOP_TEXTS = frozenset((0x1A, 0x22, _TAG_HOSTNAME))
_CONTENT_NAME = b"\x0a\x07content\x10\x01\x2a"

REMEMBERED = 16_384
_VARIED = frozenset({_URI, _REMOTE, _FORWARDED})
"""What differs from ping to ping, or must not be kept."""
_source: tuple[bytes, str | None] = (b"\xff", None)
"""Type, logger and hostname as last met, and the hostname."""
_remembered: dict[bytes, tuple[str, str]] = {}
"""Encoded text → place and text: headers repeat. Each is under 130 bytes."""

_ADDRESS_TEXT = re.compile(
    rb"(?:[0-9]{1,3}\.){1,3}[0-9]{0,3}|(?:[0-9a-fA-F]{0,4}:){2,}[0-9a-fA-F.:]*|[0-9a-fA-F]{1,4}:[0-9a-fA-F]{1,4}"
)


@dataclass(slots=True)
class Submission:
    """What a producer sent, as the edge stored it, without addresses."""

    uuid: bytes
    received_ns: int
    hostname: str | None
    uri: str | None
    args: str | None
    body: bytes
    headers: dict[str, str]
    """Every other text field of the message."""


def unwrap(record: bytes) -> tuple[Submission, Addresses] | Refusal:
    """The submission in a raw record and where it came from, or message_malformed."""
    try:
        return _read_edge_shape(record) or _read_any_shape(record)
    except Malformed as error:
        return Refusal("message_malformed", cut(str(error)))


def blank_addresses(record: bytes) -> bytes:
    """Bytes that are no message, of the same length, with everything that looks like an address overwritten by `x`.

    It overwrites too much (versions, times) rather than too little; the record itself stays in the raw log.
    """
    return _ADDRESS_TEXT.sub(lambda found: b"x" * len(found[0]), record)


@lru_cache(CACHED_NAMES)
def place_of(name: str) -> str:
    """Where a field goes: `content`, `uri`, `args`, `remote-addr`, `x-forwarded-for`, "" for nowhere, else its name as
    a header."""
    key = name.lower().replace("_", "-")
    if key in ADDRESS_FIELDS:
        return key if key in (_REMOTE, _FORWARDED) else _DROPPED
    return _SPELLINGS.get(key, name)


def _read_edge_shape(record: bytes) -> tuple[Submission, Addresses] | None:
    """Read a message as the edge writes it; None for any other, also for a damaged one."""
    if not record.startswith(_HEAD) or record[_STAMP_AT - 1 : _STAMP_AT] != _TAG_TIMESTAMP:
        return None
    body: bytes | None = None
    texts: dict[str, str] = {}
    count = 0
    remembered = _remembered.get
    end = len(record)
    try:
        received_ns = _read_stamp(record)
        at, hostname = _read_source(record)
        while at < end:
            start, length = at, record[at + 1]
            if length < 0x80:
                at += 2 + length
                pair = remembered(record[start:at]) or _read_text(record, start, at)
                if pair is not None:
                    texts[pair[0]] = pair[1]
                    count += 1
                    continue
                inner = start + 2
            else:
                length, inner = _varint(record, start + 1)
                at = inner + length
            if record[start] != _TAG_FIELD:
                return None
            if record.startswith(_CONTENT_NAME, inner):
                if body is not None:
                    return None
                body = _last_value(record, inner + len(_CONTENT_NAME), at)
            else:
                value_at = inner + 2 + record[inner + 1]
                if record[inner] != _TAG_NAME or record[value_at] != _TAG_TEXT:
                    return None
                place = place_of(record[inner + 2 : value_at].decode())
                texts[place] = _last_value(record, value_at + 1, at).decode()
                count += 1
    except (IndexError, ValueError):
        return None
    if at != end or count != len(texts) or _CONTENT in texts:  # cut short, or a name twice
        return None
    return _parted(texts, record[len(_HEAD) : _STAMP_AT - 1], received_ns, hostname, body or b"")


def _read_text(record: bytes, start: int, end: int) -> tuple[str, str] | None:
    """Place and text of a field with one text; None for anything else. Remembers it."""
    at = start + 2
    value_at = at + 2 + record[at + 1]
    text_at = value_at + 2
    if record[start] != _TAG_FIELD or record[at] != _TAG_NAME or record[value_at] != _TAG_TEXT:
        return None
    if text_at + record[value_at + 1] != end:
        return None
    place = _place_of_bytes(record[at + 2 : value_at])
    pair = place, record[text_at:end].decode()
    if place in _VARIED:
        return pair
    if len(_remembered) >= REMEMBERED:
        _remembered.clear()
    _remembered[record[start:end]] = pair
    return pair


def _read_source(record: bytes) -> tuple[int, str | None]:
    """Where the fields begin, behind type, logger and hostname, and the hostname. An edge writes the same each time."""
    global _source
    known, hostname = _source
    at = _SOURCE_AT + len(known)
    if record.startswith(known, _SOURCE_AT) and record[at] == _TAG_FIELD:
        return at, hostname
    at, hostname, tags = _SOURCE_AT, None, set()
    while record[at] in _TOP_TEXTS and record[at] not in tags:
        tags.add(record[at])
        stop = at + 2 + record[at + 1]
        if record[at + 1] > 0x7F:
            raise ValueError
        text = record[at + 2 : stop].decode()
        if record[at] == _TAG_HOSTNAME:
            hostname = text
        at = stop
    if at > len(record) or record[at] != _TAG_FIELD:
        raise ValueError
    _source = record[_SOURCE_AT:at], hostname
    return at, hostname


def _last_value(record: bytes, at: int, end: int) -> bytes:
    """The value whose length stands at `at`; ValueError unless it ends at `end`."""
    length, at = _varint(record, at)
    if at + length != end or end > len(record):
        raise ValueError
    return record[at:end]


def _read_stamp(record: bytes) -> int:
    """The receipt time: a varint of nine bytes, as all times from 1972 to 2262 are; ValueError for any other. Its high
    half is the same for a quarter of a second."""
    low = int.from_bytes(record[_STAMP_AT : _STAMP_AT + 4], "little")
    if low & 0x80808080 != 0x80808080:
        raise ValueError
    low = low & 0x7F | (low & 0x7F00) >> 1 | (low & 0x7F0000) >> 2 | (low & 0x7F000000) >> 3
    return _read_high(record[_STAMP_AT + 4 : _SOURCE_AT]) | low


@lru_cache(256)
def _read_high(encoded: bytes) -> int:
    number, length = _varint(encoded, 0)
    if length != _SOURCE_AT - _STAMP_AT - 4:
        raise ValueError
    return number << 28


@lru_cache(CACHED_NAMES)
def _place_of_bytes(name: bytes) -> str:
    return place_of(name.decode())


def _read_any_shape(record: bytes) -> tuple[Submission, Addresses]:
    """Read a message of any shape, strictly: Malformed when it is none. The first field of a name counts."""
    whole = message.decode(record)
    texts: dict[str, str] = {}
    body: bytes | None = None
    for field in whole.fields:
        value, place = field.value, place_of(field.name)
        if place == _CONTENT:
            if body is None and isinstance(value, str | bytes):
                body = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
        elif value is not None:
            texts.setdefault(_text(place), _text(value))
    hostname = None if whole.hostname is None else _text(whole.hostname)
    return _parted(texts, whole.uuid, whole.timestamp, hostname, body or b"")


def _text(value: message.Value) -> str:
    """A field's value as a text that is valid Unicode. Bytes that are not UTF-8 are taken for ISO-8859-1, as header
    values of HTTP are."""
    if isinstance(value, str) and value.isprintable():
        return value
    stored = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored.decode("latin-1")


def _varint(record: bytes, at: int) -> tuple[int, int]:
    """The varint at `at` and the place behind it; IndexError where it does not end in 9 bytes."""
    number = 0
    for shift in range(0, 63, 7):
        byte = record[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise IndexError


def _parted(
    texts: dict[str, str], uuid: bytes, received_ns: int, hostname: str | None, body: bytes
) -> tuple[Submission, Addresses]:
    """Take uri, args and the addresses out of the text fields; what is left are the headers."""
    addresses = texts.pop(_REMOTE, None), texts.pop(_FORWARDED, None)
    texts.pop(_DROPPED, None)
    uri, args = texts.pop(_URI, None), texts.pop(_ARGS, None)
    return Submission(uuid, received_ns, hostname, uri, args, body, texts), addresses
