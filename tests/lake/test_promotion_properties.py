"""Drawn schemas that follow each other: promotion changes no document, and leaves nothing that it could move."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rebuilding import TABLES, contents, document
from restoring import grown, restored, spelled

from catchment.lake.columns import Columns, row_schema
from catchment.lake.fitting import fitted
from catchment.lake.leftovers import COLUMN, may_move, promoted
from catchment.schemas.shape import Leaf, ListOf, MapOf, Property, Shape, Struct

UNTYPED = Struct((Property("never", "never_there", Leaf("boolean")),))


def loaded(shape: Struct, documents: list[dict[str, Any]]) -> pa.Table:
    columns = Columns(shape)
    for content in documents:
        columns.append(document(content))
    return columns.take()


def promoting(old: Struct, new: Struct, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of documents that were loaded by `old`, after promotion to `new`."""
    rows = loaded(old, documents)
    before = rows.to_pylist()
    fit, _ = fitted(new, rows.schema)
    kind = grown(pa.struct(list(rows.schema)), pa.struct(list(row_schema(fit))))
    after, moved = promoted(pa.Table.from_pylist(before, pa.schema(list(kind))), fit)
    after.validate(full=True)
    found: list[dict[str, Any]] = after.to_pylist()
    assert [spelled(restored(row, old, fit)) for row in found] == [spelled(restored(row, old)) for row in before]
    assert moved <= sum(may_move(row[COLUMN], fit) for row in before)
    assert promoted(after, fit) == (after, 0), "a second time there is nothing to move"
    return found


@given(st.data())
@settings(max_examples=60)
def test_a_document_is_the_same_before_and_after(data: st.DataObject) -> None:
    old, new = data.draw(TABLES), data.draw(TABLES)
    assume(not taken_over(old, new))
    documents = data.draw(st.lists(contents(old) | contents(new), min_size=1, max_size=4))
    assert len(promoting(old, new, documents)) == len(documents)


@given(st.data())
@settings(max_examples=60)
def test_what_was_all_left_over_is_as_if_loaded_today(data: st.DataObject) -> None:
    new = data.draw(TABLES)
    documents = data.draw(st.lists(contents(new), min_size=1, max_size=4))
    fresh = loaded(new, documents).to_pylist()
    for row, today in zip(promoting(UNTYPED, new, documents), fresh, strict=True):
        for p in new.properties:
            assert _without_empty(row[p.column]) == _without_empty(today[p.column]), p.column


def taken_over(old: Shape, new: Shape) -> bool:
    """Whether a column would get values of another property than before (`fooBar`, then `foo_bar`)."""
    if isinstance(old, Struct) and isinstance(new, Struct):
        before = {p.column: p for p in old.properties}
        return any(
            before[p.column].name != p.name or taken_over(before[p.column].shape, p.shape)
            for p in new.properties
            if p.column in before
        )
    if isinstance(old, ListOf) and isinstance(new, ListOf):
        return taken_over(old.item, new.item)
    return isinstance(old, MapOf) and isinstance(new, MapOf) and taken_over(old.value, new.value)


def _without_empty(value: Any) -> Any:
    """What is there of a value: an object or list of nothing but what did not fit stays in the leftovers as a whole."""
    if isinstance(value, dict):
        return {key: inner for key, item in value.items() if (inner := _without_empty(item)) is not None} or None
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return {key: inner for key, item in value if (inner := _without_empty(item)) is not None} or None
    if isinstance(value, list):
        found = [_without_empty(item) for item in value]
        return found if any(item is not None for item in found) else None
    return value
