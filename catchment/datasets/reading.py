"""Reading the files of a dataset, one after the other: what a worker does, on any machine."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from catchment.archives import read_file
from catchment.datasets.record import record_of, selector
from catchment.framing import Damage
from catchment.objects.open import open_objects
from catchment.objects.port import ObjectStore
from catchment.objects.settings import S3Settings

Decode = Callable[[BinaryIO], Iterable[dict[str, Any]]]
"""Gives the records of a file of a format of one's own."""


class Damaged(NamedTuple):
    """Bytes of a file that belong to no message."""

    key: str
    length: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where files are, in words that another process understands: `[objects] url`, the folder that a relative one is
    below, and how S3 is reached."""

    url: str
    home: str
    s3: S3Settings | None = None

    def open(self) -> ObjectStore:
        return open_objects(self.url, Path(self.home), self.s3)


@dataclass(frozen=True, slots=True)
class Reading:
    """What to do with each file: names and JMESPath expressions of what is selected (none: all), perhaps a format."""

    place: Place
    paths: Mapping[str, str]
    decode: Decode | None = None

    def whole_records(self, keys: Iterable[str]) -> Iterator[dict[str, Any]]:
        """`records` without the damage, which gives a warning."""
        for record in self.records(keys):
            if isinstance(record, Damaged):
                warnings.warn(f"{record.key}: {record.length} bytes belong to no message", stacklevel=2)
            else:
                yield record

    def records(self, keys: Iterable[str]) -> Iterator[dict[str, Any] | Damaged]:
        """The records of these files in order, one object in memory at a time. Raises Missing, Corrupt, Unavailable."""
        store, select = self.place.open(), selector(self.paths)
        for key in keys:
            file = io.BytesIO(store.get(key))
            if self.decode is not None:
                yield from map(select, self.decode(file))
                continue
            damaged = 0
            for found in read_file(key, file):
                if isinstance(found, Damage):
                    damaged += found.length
                else:
                    yield select(record_of(found.message))
            if damaged:
                yield Damaged(key, damaged)
