"""Taking out of `additional_properties` what has a column now: one batch of rows of one table at a time.

    row: count NULL, additional_properties {"count": 3, "coupon": "X"}
      →  count 3,    additional_properties {"coupon": "X"}

A value moves when the place that the shape gives it is NULL and takes it, at any depth: in structs column by column as
Arrow arrays, in lists, maps and tuples row by row as Python values. Everything else stays as it is, so the document
that can be built of the row is the same before and after (but for `12` in a double, which comes back as `12.0`):

- what does not fit its place, and nulls, which a column could not tell from an absence;
- what belongs to a column of another type beside the place (`fitting.py`) that this row fills.

What fits a leaf is decided by the appender, as for new rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from catchment.lake.appender import make_appender
from catchment.lake.places import LeafPlace, StructPlace
from catchment.schemas.names import primary
from catchment.schemas.shape import Leaf, ListOf, MapOf, Property, Shape, Struct

COLUMN = "additional_properties"
_NOTHING: Any = object()
"""Left over: nothing, not even a null."""


class Merged(NamedTuple):
    """A value with what it has gained, what is left over after that, and whether anything moved."""

    value: Any
    rest: Any
    moved: bool


def promoted(rows: pa.Table, shape: Struct) -> tuple[pa.Table, int]:
    """The rows with what `shape` has places for moved into them, and how many rows changed. The table must have the
    shape's columns."""
    index = rows.column_names.index(COLUMN)
    texts = rows.column(index).to_pylist()
    found = {row: left for row, text in enumerate(texts) if isinstance(left := _parsed(text), dict)}
    columns = {name: _whole(rows.column(name)) for name in rows.column_names if name != COLUMN}
    moved = _into_struct(columns, shape, found)
    if not moved:
        return rows, 0
    for row in moved:
        texts[row] = orjson.dumps(found[row]).decode() if found[row] else None
    columns[COLUMN] = pa.array(texts, rows.schema.field(index).type)
    return pa.Table.from_arrays([columns[name] for name in rows.column_names], schema=rows.schema), len(moved)


def may_move(text: str | None, shape: Struct) -> bool:
    """Whether leftovers hold something that could have a place; told by them alone, without the row's columns."""
    left = _parsed(text)
    return isinstance(left, dict) and _may_move(left, shape)


def _parsed(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None  # another writer's


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _into_struct(columns: dict[str, pa.Array], shape: Struct, found: Mapping[int, dict[str, Any]]) -> set[int]:
    """Move what fits from the leftovers `found`, by row, into `columns`, which are replaced; the rows that changed.
    What moved is gone from `found`."""
    by_name: dict[str, list[int]] = defaultdict(list)
    for row, left in found.items():
        for name in left:
            by_name[name].append(row)
    moved: set[int] = set()
    for p in shape.properties:
        rows = by_name.get(p.name)
        if not rows or p.column not in columns:
            continue
        for other in _others(p, columns):
            is_filled = columns[other].is_valid().to_pylist()
            rows = [row for row in rows if not is_filled[row]]
        if isinstance(p.shape, Struct) and not p.shape.is_tuple:
            inner = {row: left for row in rows if isinstance(left := found[row][p.name], dict)}
            columns[p.column], changed = _into_column(columns[p.column], p.shape, inner)
            for row in changed:
                if not inner[row]:
                    del found[row][p.name]
        else:
            columns[p.column], changed = _into_leaves(columns[p.column], p, {row: found[row] for row in rows})
        moved |= changed
    return moved


def _into_column(array: pa.Array, shape: Struct, found: Mapping[int, dict[str, Any]]) -> tuple[pa.Array, set[int]]:
    """The same for one column of structs; one that gains something is there afterwards, and so is an empty object."""
    if not found:
        return array, set()
    is_there = array.is_valid().to_pylist()
    empty = {row for row, left in found.items() if not left and not is_there[row]}
    inner = dict(zip((field.name for field in array.type), array.flatten(), strict=True))
    moved = _into_struct(inner, shape, found) | empty
    if not moved:
        return array, moved
    for row in moved:
        is_there[row] = True
    mask = pa.array([not there for there in is_there], pa.bool_())
    return pa.StructArray.from_arrays(list(inner.values()), fields=list(array.type), mask=mask), moved


def _into_leaves(array: pa.Array, p: Property, found: Mapping[int, dict[str, Any]]) -> tuple[pa.Array, set[int]]:
    """The same for a column of anything else, value by value."""
    rows = list(found)
    gained: dict[int, Any] = {}
    for row, value in zip(rows, array.take(pa.array(rows, pa.int64())).to_pylist(), strict=True):
        merged = merge(value, found[row][p.name], p.shape, array.type)
        if merged.moved:
            gained[row] = merged.value
            _keep_rest(found[row], p.name, merged.rest)
    if not gained:
        return array, set()
    added = pa.array(list(gained.values()), array.type)
    order = list(range(len(array)))
    for number, row in enumerate(gained):
        order[row] = len(array) + number
    return pa.concat_arrays([array, added]).take(pa.array(order, pa.int64())), set(gained)


def _others(p: Property, columns: Mapping[str, Any]) -> list[str]:
    """Other columns that may hold the property's value, of another type."""
    return [name for name in columns if name != p.column and primary(name) == primary(p.column)]


def _is_free(p: Property, value: Any, whole: Mapping[str, Any]) -> bool:
    """Whether the property's place is there, and the row's struct fills no other column with it."""
    return p.column in whole and (value is None or all(whole[other] is None for other in _others(p, whole)))


def merge(value: Any, left: Any, shape: Shape, kind: pa.DataType) -> Merged:
    """Bring `left` into a value as Arrow gives it to Python, `kind` its type."""
    if isinstance(shape, Leaf):
        return _merge_leaf(value, left, shape.kind)
    if isinstance(shape, ListOf):
        return _merge_list(value, left, shape, kind)
    if isinstance(shape, MapOf):
        return _merge_map(value, left, shape, kind)
    return (_merge_tuple if shape.is_tuple else _merge_struct)(value, left, shape, kind)


def _merge_leaf(value: Any, left: Any, kind: str) -> Merged:
    if value is not None or left is None:
        return Merged(value, left, False)
    stored, rest = _leaf_reader(kind)(left)
    return Merged(stored, rest, stored is not None)


def _merge_struct(value: Any, left: Any, shape: Struct, kind: pa.DataType) -> Merged:
    if not isinstance(left, dict):
        return Merged(value, left, False)
    whole, rest, moved = _blank(value, kind), dict(left), False
    for p in shape.properties:
        if p.name in left and _is_free(p, value, whole):
            moved |= _merge_into(whole, p.column, rest, p.name, p.shape, kind.field(p.column).type)
    return _outcome(value, left, whole, rest, moved or (value is None and not left))


def _merge_tuple(value: Any, left: Any, shape: Struct, kind: pa.DataType) -> Merged:
    """A tuple that is not there yet is a list in the leftovers; of one that is there they are by index."""
    if isinstance(left, list) and value is None:
        rest = {str(at): item for at, item in enumerate(left) if item is not None or at == len(left) - 1}
    elif isinstance(left, dict) and value is not None:
        rest = dict(left)
    else:
        return Merged(value, left, False)
    whole, moved = _blank(value, kind), False
    for p in shape.properties:
        if p.name in rest and _is_free(p, value, whole):
            moved |= _merge_into(whole, p.column, rest, p.name, p.shape, kind.field(p.column).type)
    return _outcome(value, left, whole, rest, moved or left == [])


def _merge_map(value: Any, left: Any, shape: MapOf, kind: pa.DataType) -> Merged:
    if not isinstance(left, dict):
        return Merged(value, left, False)
    whole, rest, moved = dict(value or ()), dict(left), False
    for key in left:
        is_new = key not in whole
        whole.setdefault(key, None)
        if _merge_into(whole, key, rest, key, shape.value, kind.item_type):
            moved = True
        elif is_new:
            del whole[key]
    return _outcome(value, left, list(whole.items()), rest, moved or (value is None and not left))


def _merge_list(value: Any, left: Any, shape: ListOf, kind: pa.DataType) -> Merged:
    if isinstance(left, list) and value is None:
        whole: dict[str, Any] = {str(at): None for at in range(len(left))}
        rest = {str(at): item for at, item in enumerate(left) if item is not None}
        moved = not rest
    elif isinstance(left, dict) and value is not None:
        whole = {str(at): item for at, item in enumerate(value)}
        rest, moved = dict(left), False
    else:
        return Merged(value, left, False)
    for at in [at for at in rest if at in whole]:
        moved |= _merge_into(whole, at, rest, at, shape.item, kind.value_type)
    return _outcome(value, left, list(whole.values()), rest, moved)


def _merge_into(
    whole: dict[str, Any], column: str, rest: dict[str, Any], name: str, shape: Shape, kind: pa.DataType
) -> bool:
    merged = merge(whole[column], rest[name], shape, kind)
    if merged.moved:
        whole[column] = merged.value
        _keep_rest(rest, name, merged.rest)
    return merged.moved


def _outcome(value: Any, left: Any, whole: Any, rest: dict[str, Any], moved: bool) -> Merged:
    return Merged(whole, rest or _NOTHING, True) if moved else Merged(value, left, False)


def _blank(value: Any, kind: pa.DataType) -> dict[str, Any]:
    return dict(value) if value is not None else {field.name: None for field in kind}


def _keep_rest(left: dict[str, Any], name: str, rest: Any) -> None:
    if rest is _NOTHING:
        del left[name]
    else:
        left[name] = rest


@cache
def _leaf_reader(kind: str) -> Callable[[Any], tuple[Any, Any]]:
    """From a JSON value to what a column of this kind stores, as Python has it, and what is left over; None for what
    does not fit."""
    shape = Struct((Property("v", "v", Leaf(kind)),))
    place = StructPlace(shape)
    append = make_appender(shape, place, Counter())
    leaf = place.columns["v"]
    assert isinstance(leaf, LeafPlace)
    is_converted = not any(test(leaf.type) for test in (pa.types.is_string, pa.types.is_integer, pa.types.is_floating))

    def read(value: Any) -> tuple[Any, Any]:
        rest = append({"v": value})
        stored = leaf.slots.pop()
        if is_converted and stored is not None:
            stored = pa.scalar(stored, leaf.type).as_py()
        return stored, rest["v"] if rest is not None else _NOTHING

    return read


def _may_move(left: Any, shape: Shape) -> bool:
    if isinstance(shape, Leaf):
        return left is not None and _leaf_reader(shape.kind)(left)[0] is not None
    if isinstance(shape, MapOf):
        return isinstance(left, dict) and (not left or any(_may_move(inner, shape.value) for inner in left.values()))
    if isinstance(shape, ListOf):
        return _may_move_items(left, [shape.item] * len(left) if isinstance(left, (list, dict)) else ())
    if shape.is_tuple:
        return _may_move_items(left, [p.shape for p in shape.properties])
    return isinstance(left, dict) and (
        not left or any(p.name in left and _may_move(left[p.name], p.shape) for p in shape.properties)
    )


def _may_move_items(left: Any, shapes: Sequence[Shape]) -> bool:
    if isinstance(left, dict):  # by index, of any of them
        return any(_may_move(inner, shape) for inner in left.values() for shape in dict.fromkeys(shapes))
    is_list = isinstance(left, list)
    return is_list and (
        all(item is None for item in left) or any(map(_may_move, left, shapes))  # as long as both go
    )
