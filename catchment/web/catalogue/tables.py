"""A table of the lake as the catalogue shows it: rows, size, newest row and days, from its metadata alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from pyiceberg.conversions import from_bytes
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.types import TimestamptzType

from catchment.errors import Missing
from catchment.lake.datafiles import PARTITION_COLUMN
from catchment.lake.plan import plan
from catchment.lake.tables import Lake

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Day:
    """The partition of one day; `day` is None for rows that have none."""

    day: date | None
    rows: int
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table as it is now. `newest_ns` is the submission time of its newest row, ns since 1970; 0 when not known."""

    name: str
    rows: int
    files: int
    size_bytes: int
    columns: int
    newest_ns: int
    days: tuple[Day, ...]
    """The newest first."""


def facts(lake: Lake, name: str) -> TableFacts | None:
    """None when there is no such table yet. Raises Unavailable, Incompatible as `plan`."""
    try:
        table = lake.load(name)
    except Missing:
        return None
    files = plan(table, AlwaysTrue())
    field = next((field for field in table.schema().fields if field.name == PARTITION_COLUMN), None)
    newest_us = 0
    days: dict[int | None, list[int]] = {}
    for file in files:
        value = file.partition[0] if len(file.partition) else None
        sums = days.setdefault(None if value is None else int(value), [0, 0, 0])
        for place, more in enumerate((file.record_count, 1, file.file_size_in_bytes)):
            sums[place] += more
        bound = (file.upper_bounds or {}).get(field.field_id) if field is not None else None
        if bound is not None:
            newest_us = max(newest_us, int(from_bytes(TimestamptzType(), bound)))
    ordered = sorted(days.items(), key=lambda item: -1 if item[0] is None else item[0], reverse=True)
    return TableFacts(
        name,
        sum(file.record_count for file in files),
        len(files),
        sum(file.file_size_in_bytes for file in files),
        len(table.schema().fields),
        newest_us * 1000,
        tuple(Day(None if day is None else _EPOCH + timedelta(days=day), *sums) for day, sums in ordered),
    )
