"""Names and indexes of the landfill's objects.

    landfill/2026-11-23/08/edge-7-3f09ac.0-00000000000000000000.heka.zst     framed messages, as they were received
    landfill/2026-11-23/08/edge-7-3f09ac.0-00000000000000000000.index.json   what is in it

Day and hour (UTC) are those of the first record's receipt; an object holds records of its hour, and late ones of the
hour before. Then come the edge, which is a home's name and a partition, and the offset of the first record.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import date

import orjson

from catchment.clock import utc
from catchment.errors import Corrupt

PREFIX = "landfill/"
OBJECT, INDEX = ".heka.zst", ".index.json"
HOUR_NS = 3_600_000_000_000
_KEY = re.compile(r"landfill/\d{4}-\d\d-\d\d/\d\d/([a-z0-9][a-z0-9._-]*)-(\d{20})")


def hour_of(time_ns: int) -> int:
    """Hours since the epoch."""
    return time_ns // HOUR_NS


def folder_of(hour: int) -> str:
    """The prefix of all keys of an hour."""
    return f"{PREFIX}{utc(hour * HOUR_NS):%Y-%m-%d/%H}/"


def name_of(hour: int, edge: str, first: int) -> str:
    """The key of an object and of its index, without the ending."""
    return f"{folder_of(hour)}{edge}-{first:020d}"


def hour_of_key(key: str) -> int | None:
    """The hour in a key; None for a key of another layout."""
    if not _KEY.match(key):
        return None
    day, hour = key.split("/")[1:3]
    return (date.fromisoformat(day) - date(1970, 1, 1)).days * 24 + int(hour)


@dataclass(frozen=True, slots=True)
class Count:
    """Records of one doctype in an object. Both names are empty for submissions whose path names none."""

    namespace: str
    doctype: str
    records: int
    earliest_ns: int
    latest_ns: int


@dataclass(frozen=True, slots=True)
class Index:
    """What is in an object: records `first` to `end` (not included) of `source`, their sizes, checksums and counts."""

    key: str
    edge: str
    source: str
    first: int
    end: int
    size_bytes: int
    plain_bytes: int
    crc32c: int
    sha256: str
    contents: tuple[Count, ...]

    @property
    def records(self) -> int:
        return self.end - self.first  # an object has no gaps

    @property
    def earliest_ns(self) -> int:
        return min(count.earliest_ns for count in self.contents)

    @property
    def latest_ns(self) -> int:
        return max(count.latest_ns for count in self.contents)

    def matching(self, namespace: str | None, doctype: str | None) -> tuple[Count, ...]:
        """The counts of a namespace and a doctype; None is any."""
        return tuple(
            count
            for count in self.contents
            if namespace in (None, count.namespace) and doctype in (None, count.doctype)
        )

    def encoded(self) -> bytes:
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2) + b"\n"


def read_index(key: str, content: bytes) -> Index:
    """The index in an object's `.index.json`. Raises Corrupt."""
    try:
        document = orjson.loads(content)
        counts = tuple(Count(**count) for count in document.pop("contents"))
        return Index(**document, contents=counts)
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Corrupt(f"{key}: not an index of the landfill ({error}); move it and its object away") from error
