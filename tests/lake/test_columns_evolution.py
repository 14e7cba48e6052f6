"""A schema that was changed in place: its rows still fit the table that there is, and nothing of them is lost."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rebuilding import TABLES, contents, document, kept, rebuilt, rows, text
from restoring import grown

from catchment.lake.columns import Columns, row_schema
from catchment.lake.commit import Span
from catchment.lake.evolution import differences, iceberg_schema
from catchment.lake.fitting import fitted
from catchment.lake.tables import Lake
from catchment.schemas.registry import RESERVED_COLUMNS
from catchment.schemas.shape import Leaf, Struct, shape_of

TABLE = "shop.order_v1"
TEXT, INTEGER, NUMBER, OPEN = {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "object"}
OBJECT = {"properties": {"x": INTEGER, "y": TEXT}}
CHANGES: dict[str, tuple[Any, Any, Any, tuple[str, ...]]] = {
    "the same": (INTEGER, INTEGER, 7, ()),
    "an integer becomes a number": (INTEGER, NUMBER, 2.5, ("a__double",)),
    "a number becomes an integer": (NUMBER, INTEGER, 2**62, ()),
    "an integer becomes a string": (INTEGER, TEXT, "x", ("a__string",)),
    "a string becomes a boolean": (TEXT, {"type": "boolean"}, True, ("a__boolean",)),
    "a string becomes open": (TEXT, {}, [1, {"b": None}], ()),
    "an open object gets properties": (OPEN, OBJECT, {"x": 1, "y": "q"}, ("a__struct",)),
    "an object becomes open": (OBJECT, OPEN, {"x": 1, "y": "q"}, ("a__json",)),
    "a property is added": (
        {"properties": {"x": INTEGER}},
        OBJECT,
        {"x": 1, "y": "q"},
        (),
    ),
    "a property is removed": (OBJECT, {"properties": {"x": INTEGER}}, {"x": 1, "y": "q"}, ()),
    "one property changes": (OBJECT, {"properties": {"x": TEXT, "y": TEXT}}, {"x": "1", "y": "q"}, ("a.x__string",)),
    "every property changes": (
        {"properties": {"x": INTEGER}},
        {"properties": {"x": TEXT}},
        {"x": "1"},
        ("a.x__string",),
    ),
    "a list of other items": (
        {"type": "array", "items": INTEGER},
        {"type": "array", "items": TEXT},
        ["1", None],
        ("a__list",),
    ),
    "a map of numbers": (
        {"type": "object", "additionalProperties": INTEGER},
        {"type": "object", "additionalProperties": NUMBER},
        {"k": 1, "l": 0.5},
        ("a__map",),
    ),
}


def shape(**properties: Any) -> Struct:
    return shape_of({"properties": properties}, RESERVED_COLUMNS)


@pytest.mark.parametrize(("before", "after", "value", "paths"), CHANGES.values(), ids=CHANGES)
def test_rows_of_a_changed_schema_go_into_the_old_table(
    lake: Lake, before: Any, after: Any, value: Any, paths: tuple[str, ...]
) -> None:
    lake.ensure(TABLE, row_schema(shape(a=before)))
    held = lake.load(TABLE).schema().as_arrow()
    fit, differing = fitted(shape(a=after, b=INTEGER), held)
    assert differing == paths
    columns = Columns(fit)
    columns.append(document({"a": value, "b": 1}))
    table = columns.take()
    lake.ensure(TABLE, table.schema)
    lake.commit(TABLE, table, {"raw/0": Span(None, 1)})
    [row] = lake.load(TABLE).scan().to_arrow().to_pylist()
    assert text(rebuilt(row, fit)) == text(kept({"a": value, "b": 1}, fit))


def test_what_fits_is_not_touched() -> None:
    same = shape(a=OBJECT, b={"type": "array", "items": NUMBER}, c=OPEN)
    assert fitted(same, row_schema(same)) == (same, ())


def test_each_type_that_a_property_had_has_one_column() -> None:
    table = row_schema(shape(a=INTEGER))
    for wanted, column in (
        (TEXT, "a__string"),
        ({"type": "boolean"}, "a__boolean"),
        (INTEGER, "a"),
        (TEXT, "a__string"),
    ):
        fit, _ = fitted(shape(a=wanted), table)
        assert fit.properties[0].column == column
        table = pa.unify_schemas([table, row_schema(fit)])
    lists = {"type": "array", "items": INTEGER}, {"type": "array", "items": TEXT}
    fit, _ = fitted(shape(a=lists[0]), table)
    table = pa.unify_schemas([table, row_schema(fit)])
    fit, moved = fitted(shape(a=lists[1]), table)
    assert (fit.properties[0].column, moved) == ("a__list_2", ("a__list_2",))


def test_a_double_holds_the_integers_of_a_later_schema() -> None:
    fit, moved = fitted(shape(a=INTEGER), row_schema(shape(a=NUMBER)))
    assert (fit.properties[0].column, fit.properties[0].shape, moved) == ("a", Leaf("number"), ())


@given(st.data())
@settings(max_examples=60)
def test_any_shape_can_follow_any_other(data: st.DataObject) -> None:
    old, new = data.draw(TABLES), data.draw(TABLES)
    fit, _ = fitted(new, row_schema(old))
    held, rows_of = iceberg_schema(row_schema(old)), iceberg_schema(row_schema(fit))
    differences(TABLE, held.as_struct(), rows_of.as_struct())
    table = pa.schema(list(grown(pa.struct(list(row_schema(old))), pa.struct(list(row_schema(fit))))))
    assert fitted(new, table)[0] == fit == fitted(fit, table)[0]
    content = data.draw(contents(new))
    [row] = rows(fit, [document(content)])
    assert text(rebuilt(row, fit)) == text(kept(content, fit))
