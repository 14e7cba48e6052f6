"""Writes a small geographic database in the MaxMind format 2.0, so that tests read a real one of their own."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path
from typing import Any

RECORD_BITS = 24


class NodeCount(int):
    """The one number of the metadata that is written in 32 bits however small it is."""


MILTON = {
    "country": {"iso_code": "US"},
    "subdivisions": [{"iso_code": "WA"}],
    "city": {"geoname_id": 5803556, "names": {"en": "Milton"}},
}
NESTED = {"216.160.83.0/24": MILTON, "203.0.113.0/24": {"country": {"iso_code": "CA"}}}
ISPS = {
    "216.160.83.0/24": {"isp": "Century Link", "autonomous_system_organization": "AS of it"},
    "203.0.113.0/24": {"autonomous_system_organization": "Example Networks"},
}
FLAT = {"216.160.83.0/24": {"country_code": "US"}, "203.0.113.0/24": {"country_code": "ca"}}


def write_database(path: Path, networks: dict[str, Any]) -> Path:
    """A database of IPv4 networks, written aside and renamed into place."""
    nodes: list[list[int | None]] = [[None, None]]
    leaves: list[tuple[int, int, int]] = []
    data = bytearray()
    for network, record in networks.items():
        net = ipaddress.IPv4Network(network)
        at, bits = 0, int(net.network_address)
        for depth in range(net.prefixlen - 1):
            side = bits >> (31 - depth) & 1
            if nodes[at][side] is None:
                nodes.append([None, None])
                nodes[at][side] = len(nodes) - 1
            step = nodes[at][side]
            assert step is not None
            at = step
        leaves.append((at, bits >> (32 - net.prefixlen) & 1, len(data)))
        data += encode(record)
    count = len(nodes)
    for at, side, offset in leaves:
        nodes[at][side] = count + 16 + offset
    tree = b"".join((count if record is None else record).to_bytes(3, "big") for node in nodes for record in node)
    about = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1_700_000_000,
        "database_type": "Test",
        "description": {"en": "test"},
        "ip_version": 4,
        "languages": ["en"],
        "node_count": NodeCount(count),
        "record_size": RECORD_BITS,
    }
    fresh = path.with_suffix(".new")
    fresh.write_bytes(tree + bytes(16) + bytes(data) + b"\xab\xcd\xefMaxMind.com" + encode(about))
    return fresh.replace(path)


def encode(value: Any) -> bytes:
    if isinstance(value, NodeCount):
        return _control(6, 4) + struct.pack(">I", value)
    if isinstance(value, str):
        text = value.encode()
        return _control(2, len(text)) + text
    if isinstance(value, dict):
        return _control(7, len(value)) + b"".join(encode(key) + encode(item) for key, item in value.items())
    if isinstance(value, list):
        return bytes((len(value), 11 - 7)) + b"".join(map(encode, value))
    if value < 1 << 16:
        return _control(5, 2) + struct.pack(">H", value)
    if value < 1_000_000_000:
        return _control(6, 4) + struct.pack(">I", value)
    return b"\x08\x02" + struct.pack(">Q", value)


def _control(kind: int, size: int) -> bytes:
    return bytes((kind << 5 | size,)) if size < 29 else bytes((kind << 5 | 29, size - 29))
