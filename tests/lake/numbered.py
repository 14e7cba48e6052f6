"""Rows for a lake's tests: numbered, so that what is lost or doubled is seen."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa

from catchment.lake.tables import Lake

SCHEMA = pa.schema(
    [
        pa.field("submission_timestamp", pa.timestamp("us", "UTC")),
        pa.field("document_id", pa.string()),
        pa.field("sample_id", pa.int64()),
        pa.field("number", pa.int64()),
    ]
)
START = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)


def make_rows(first: int, count: int, day: int = 0) -> pa.Table:
    """Rows numbered from `first`, all of one day."""
    found = [
        {
            "submission_timestamp": START + dt.timedelta(days=day, seconds=number % 86_400),
            "document_id": f"{number:08d}",
            "sample_id": number * 7 % 100,
            "number": number,
        }
        for number in range(first, first + count)
    ]
    return pa.Table.from_pylist(found, SCHEMA)


def numbers(lake: Lake, table: str) -> list[int]:
    """All numbers in a table, sorted, read by pyiceberg itself."""
    return sorted(lake.load(table).scan(selected_fields=("number",)).to_arrow().column("number").to_pylist())
