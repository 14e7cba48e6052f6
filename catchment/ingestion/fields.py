"""Fields of Heka messages as the streams write them. Those that repeat from message to message are encoded once."""

from __future__ import annotations

import struct
from functools import lru_cache

from catchment.log.port import TopicPartition
from catchment.message import BOOL, DOUBLE, INTEGER, encode_field_with, encode_varint, field_prefix

CACHED = 8192

_TYPE, _LOGGER, _HOSTNAME = b"\x1a", b"\x22", b"\x4a"
_SOURCE_OFFSET = field_prefix("sourceOffset", INTEGER)


def text_field(name: str, value: str) -> bytes:
    return encode_field_with(field_prefix(name), value.encode())


def optional_text(name: str, value: str | None) -> bytes:
    return b"" if value is None else text_field(name, value)


def double_field(name: str, value: float) -> bytes:
    encoded = field_prefix(name, DOUBLE) + b"\x39" + struct.pack("<d", value)
    return b"\x52" + encode_varint(len(encoded)) + encoded


def integer_field(name: str, varint: bytes, representation: str | None = None) -> bytes:
    encoded = field_prefix(name, INTEGER, representation) + b"\x30" + varint
    return b"\x52" + encode_varint(len(encoded)) + encoded


def boolean_field(name: str, value: bool) -> bytes:
    encoded = field_prefix(name, BOOL) + (b"\x40\x01" if value else b"\x40\x00")
    return b"\x52" + encode_varint(len(encoded)) + encoded


@lru_cache(CACHED)
def logger_and_type(logger: str, kind: str) -> bytes:
    return _plain(_TYPE, kind) + _plain(_LOGGER, logger)


@lru_cache(CACHED)
def hostname_field(hostname: str | None) -> bytes:
    return b"" if hostname is None else _plain(_HOSTNAME, hostname)


def _plain(tag: bytes, text: str) -> bytes:
    encoded = text.encode()
    return tag + encode_varint(len(encoded)) + encoded


def source_fields(source: TopicPartition, offset: int) -> bytes:
    encoded = _SOURCE_OFFSET + b"\x30" + encode_varint(offset)
    return b"".join((_partition(source), b"\x52", encode_varint(len(encoded)), encoded))


@lru_cache(CACHED)
def _partition(source: TopicPartition) -> bytes:
    return text_field("sourceTopic", source.topic) + integer_field("sourcePartition", encode_varint(source.partition))
