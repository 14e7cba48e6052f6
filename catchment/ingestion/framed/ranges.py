"""A range of a partition while it is filled, and its plan.

Documents of a place gather as frames; every 256 KiB of them become one zstd frame, and an object is such frames one
behind the other. So a place costs memory for what it holds, packed, and not for a compressor of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
import zstandard

from catchment.datasets.layout import ENDING, PLANS
from catchment.errors import Corrupt
from catchment.framing import frame
from catchment.ingestion.framed.dimensions import Place, within

_CHUNK_BYTES = 256 * 1024
_OFFSET_BYTES = 40
_MAX_PLAN_BYTES = 1 << 30
_compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the records `first` to `end` (not included) become: the offsets of each object, by its key."""

    first: int
    end: int
    objects: dict[str, list[int]]

    def encoded(self) -> bytes:
        return _compressor.compress(orjson.dumps({"first": self.first, "end": self.end, "objects": self.objects}))


def read_plan(key: str, content: bytes) -> Plan:
    """The plan in an object. Raises Corrupt."""
    try:
        plain = zstandard.ZstdDecompressor().decompress(content, max_output_size=_MAX_PLAN_BYTES)
        return Plan(**orjson.loads(plain))
    except (zstandard.ZstdError, orjson.JSONDecodeError, TypeError) as error:
        raise Corrupt(f"{key}: not a plan of the framed lake ({error}); restore it from a backup") from error


def plan_key(label: str, first: int) -> str:
    """`label` is the log's name and the partition."""
    return f"{PLANS}{label}/{first:020d}.json.zst"


@dataclass(slots=True)
class Part:
    """An object while it is filled."""

    offsets: list[int] = field(default_factory=list)
    held_bytes: int = 0
    _waiting: list[bytes] = field(default_factory=list)
    _waiting_bytes: int = 0
    _blocks: list[bytes] = field(default_factory=list)

    def add(self, offset: int, framed: bytes) -> None:
        self.offsets.append(offset)
        self._waiting.append(framed)
        self._waiting_bytes += len(framed)
        self.held_bytes += len(framed) + _OFFSET_BYTES
        if self._waiting_bytes >= _CHUNK_BYTES:
            self._pack()

    def content(self) -> bytes:
        """The bytes of the object."""
        if self._waiting:
            self._pack()
        return b"".join(self._blocks)

    def _pack(self) -> None:
        block = _compressor.compress(b"".join(self._waiting))
        self._blocks.append(block)
        self.held_bytes += len(block) - self._waiting_bytes
        self._waiting.clear()
        self._waiting_bytes = 0


class Range:
    """Records of one partition from `first` on. With a plan it takes what that says, and is complete at its end."""

    def __init__(self, label: str, first: int, max_objects: int, plan: Plan | None = None) -> None:
        self.first = self.end = first
        self.parts: dict[str, Part] = {}
        self.held_bytes = 0
        self.has_lost = False
        self.planned = plan
        self._name = f"{label}-{first:020d}{ENDING}"
        self._max_objects = max_objects
        self._keys_of: dict[int, list[str]] = {}
        for key, offsets in plan.objects.items() if plan is not None else ():
            for offset in offsets:
                self._keys_of.setdefault(offset, []).append(key)

    @property
    def is_complete(self) -> bool:
        return self.planned is not None and self.end >= self.planned.end

    def add(self, offset: int, payload: bytes, places: Sequence[Place]) -> None:
        """Take a record that belongs to these places; a plan knows better."""
        self.end = offset + 1
        if self.planned is not None:
            keys = self._keys_of.get(offset, [])
        else:
            keys = list(dict.fromkeys(self._key(prefix, values) for prefix, values in places))
        framed = frame(payload) if keys else b""
        for key in keys:
            part = self.parts.setdefault(key, Part())
            before = part.held_bytes
            part.add(offset, framed)
            self.held_bytes += part.held_bytes - before

    def pass_over(self, offsets: range) -> None:
        """Go on behind records that the log has lost."""
        self.has_lost = True
        self.end = max(self.end, offsets.stop)

    def plan(self) -> Plan:
        return self.planned or Plan(self.first, self.end, {key: part.offsets for key, part in self.parts.items()})

    def _key(self, prefix: str, values: tuple[str, ...]) -> str:
        def key_of(some: Sequence[str]) -> str:
            return f"{prefix}{'/'.join(some)}/{self._name}"

        def is_room(some: Sequence[str]) -> bool:
            return len(self.parts) < self._max_objects or key_of(some) in self.parts

        return key_of(within(values, is_room))
