"""Values that do not fit their column are counted, by table and column, the same by each gatherer."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rebuilding import GATHERERS, TABLES, contents, document

from catchment.lake.columns import Columns
from catchment.lake.gatherer import Gatherer
from catchment.lake.misfits import MAX_COLUMNS_OF_TABLE, MISFITS, OTHER, count_misfits
from catchment.schemas.shape import Struct, properties_in, shape_of

INTEGER = {"type": "integer"}
SHAPE = shape_of(
    {
        "properties": {
            "n": INTEGER,
            "at": {"type": "string", "format": "date-time"},
            "lines": {"type": "array", "items": {"properties": {"count": INTEGER}}},
            "tags": {"type": "object", "additionalProperties": INTEGER},
            "pair": {"type": "array", "items": [INTEGER, {"type": "string"}]},
        }
    }
)
ODD: dict[str, Any] = {
    "n": 2**63,
    "at": "yesterday",
    "lines": [{"count": "1"}, 7, None, {"count": 1.5}],
    "tags": {"a": "x", "b": None, "c": 1},
    "pair": ["1", "a", "more"],
    "unknown": True,
}
COUNTED = {"n": 1, "at": 1, "lines[].count": 2, "lines[]": 1, "tags{}": 1, "pair._0": 1}
TABLES_OF_TESTS = (f"shop.misfits_{number}_v1" for number in count())


def counted(table: str) -> dict[str, int]:
    samples = [sample for metric in MISFITS.collect() for sample in metric.samples if sample.name.endswith("_total")]
    return {s.labels["column"]: int(s.value) for s in samples if s.labels["table"] == table}


@pytest.mark.parametrize("gather", GATHERERS)
def test_misfits_are_counted_by_column_when_rows_are_taken(gather: Callable[[Struct], Gatherer]) -> None:
    table = next(TABLES_OF_TESTS)
    columns = Columns(SHAPE, gather, table)
    for content in (ODD, ODD, {"n": None, "at": "2026-11-25T10:00:00+02:00", "pair": [1, None]}):
        columns.append(document(content))
    assert counted(table) == {}
    columns.take()
    assert counted(table) == {column: 2 * number for column, number in COUNTED.items()}
    columns.append(document({"n": "x"}))
    columns.take()
    assert counted(table)["n"] == 3


@given(st.data())
def test_each_gatherer_counts_the_same(data: st.DataObject) -> None:
    shape = data.draw(TABLES)
    batch = data.draw(st.lists(contents(shape, oddity=2), min_size=1, max_size=4))
    found = []
    for gather in GATHERERS:
        gatherer = gather(shape)
        for content in batch:
            gatherer.append(content)
        found.append(gatherer.misfits())
        assert gatherer.misfits() == {}
    assert all(misfits == found[0] for misfits in found)


def test_the_paths_of_columns_are_those_of_the_shapes_properties() -> None:
    paths = [path for path, _ in properties_in(SHAPE)]
    assert paths == ["n", "at", "lines", "lines[].count", "tags", "pair", "pair._0", "pair._1"]


def test_a_table_of_very_many_odd_columns_makes_no_more_series_than_the_limit() -> None:
    table = next(TABLES_OF_TESTS)
    for number in range(MAX_COLUMNS_OF_TABLE + 20):
        count_misfits(table, {f"c{number}": 1})
    count_misfits(table, {"c0": 5})
    found = counted(table)
    assert len(found) == MAX_COLUMNS_OF_TABLE + 1
    assert (found["c0"], found[OTHER]) == (6, 20)
