"""The document that a row of a table with a past was made of: by any number of shapes, the later ones last.

Each property is taken from the first of its columns that is filled, at every depth; what is left over completes it.
"""

from __future__ import annotations

from typing import Any

import orjson
import pyarrow as pa
from rebuilding import kept, leaf

from catchment.lake.leftovers import COLUMN
from catchment.schemas.shape import Leaf, ListOf, MapOf, Shape, Struct

ABSENT: Any = object()


def spelled(value: Any) -> Any:
    """The value with each text that a timestamp's column could hold spelled as that column gives it back."""
    if isinstance(value, dict):
        return {key: spelled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [spelled(item) for item in value]
    return kept(value, Leaf("timestamp")) if isinstance(value, str) else value


def restored(row: dict[str, Any], *shapes: Struct) -> dict[str, Any]:
    left = orjson.loads(row[COLUMN]) if row[COLUMN] is not None else {}
    found: dict[str, Any] = _struct(row, shapes, left)
    return found


def _value(value: Any, shapes: tuple[Shape, ...], left: Any) -> Any:
    if value is None:
        return left
    shape = shapes[-1]
    if isinstance(shape, Leaf):
        return leaf(value, shape.kind) if left is ABSENT else left  # a timestamp may say more than its column
    left = {} if left is ABSENT else left
    if isinstance(shape, Struct) and shape.is_tuple:
        found = _struct(value, tuple(one for one in shapes if isinstance(one, Struct)), left)
        return [found.get(str(at)) for at in range(max(map(int, found), default=-1) + 1)]
    if isinstance(shape, MapOf):
        inner = tuple(one.value for one in shapes if isinstance(one, MapOf))
        return {**left, **{key: _value(item, inner, left.get(key, ABSENT)) for key, item in value}}
    if isinstance(shape, ListOf):
        inner = tuple(one.item for one in shapes if isinstance(one, ListOf))
        items = [_value(item, inner, left.get(str(at), ABSENT)) for at, item in enumerate(value)]
        return [None if item is ABSENT else item for item in items]
    return _struct(value, tuple(one for one in shapes if isinstance(one, Struct)), left)


def _struct(value: dict[str, Any], shapes: tuple[Struct, ...], left: dict[str, Any]) -> dict[str, Any]:
    places: dict[str, dict[str, list[Shape]]] = {}
    for shape in shapes:
        for p in shape.properties:
            places.setdefault(p.name, {}).setdefault(p.column, []).append(p.shape)
    whole = dict(left)
    for name, columns in places.items():
        filled = [column for column in columns if value.get(column) is not None]
        assert len(filled) <= 1, f"{name} stands in {filled}"
        for column in filled:
            whole[name] = _value(value[column], tuple(columns[column]), left.get(name, ABSENT))
    return whole


def grown(held: pa.DataType, more: pa.DataType) -> pa.DataType:
    """The type of a table's column after it has grown by that of some rows."""
    if pa.types.is_struct(held):
        fields = {field.name: field.type for field in held}
        for field in more:
            fields[field.name] = grown(fields[field.name], field.type) if field.name in fields else field.type
        return pa.struct(list(fields.items()))
    if pa.types.is_list(held):
        return pa.list_(grown(held.value_type, more.value_type))
    return pa.map_(held.key_type, grown(held.item_type, more.item_type)) if pa.types.is_map(held) else held
