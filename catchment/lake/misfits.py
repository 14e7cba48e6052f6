"""Misfits: values that their column cannot hold, counted by table and column.

They are kept in `additional_properties`; the count tells which columns a schema should describe otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

from catchment import metrics

MISFITS = metrics.counter(
    "lake_misfits_total",
    "Values that their column cannot hold, kept in additional_properties, by table and path of the column "
    "(`lines[].n`, `tags{}`). A process tells 100 columns of a table apart, and 1,000 of all; the rest is `other`.",
    "values",
    ("table", "column"),
)
MAX_COLUMNS, MAX_COLUMNS_OF_TABLE = 1_000, 100
OTHER = "other"
_told_apart: dict[str, set[str]] = {}


def count_misfits(table: str, misfits: Mapping[str, int]) -> None:
    """Add to `MISFITS`; `misfits` is by path of the column."""
    for column, count in misfits.items():
        MISFITS.labels(table, column if _is_told_apart(table, column) else OTHER).inc(count)


def _is_told_apart(table: str, column: str) -> bool:
    columns = _told_apart.setdefault(table, set())
    if column in columns:
        return True
    if len(columns) >= MAX_COLUMNS_OF_TABLE or sum(map(len, _told_apart.values())) >= MAX_COLUMNS:
        return False
    columns.add(column)
    return True
