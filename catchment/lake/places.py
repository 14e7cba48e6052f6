"""Places: the lists behind the columns of one shape, and the Arrow arrays that are made of them.

A place gets exactly one entry for each value of the thing that it is in (`slots`), so an absent struct costs its place
one entry and its columns none:

| place | its entries | inside it |
|---|---|---|
| leaf | the value, or None | |
| struct, also of a tuple | True, or None | one entry in each column a present struct |
| map | the number of its keys, or None | keys, and one entry in the value's place a key |
| list | the number of its items, or None | one entry in the item's place an item |

`build` makes the array of all entries and empties the lists; what they are filled by is in `appender.py`.
"""

from __future__ import annotations

from array import array
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catchment.schemas.shape import Leaf, ListOf, MapOf, Property, Shape, Struct

_INTEGER = pa.int64()
_LEAF_TYPES = {
    "string": pa.string(),
    "json": pa.string(),
    "integer": _INTEGER,
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
}


def arrow_type(shape: Shape) -> pa.DataType:
    """The Arrow type of a shape's column."""
    if isinstance(shape, Leaf):
        return _LEAF_TYPES[shape.kind]
    if isinstance(shape, MapOf):
        return pa.map_(pa.string(), arrow_type(shape.value))
    if isinstance(shape, ListOf):
        return pa.list_(arrow_type(shape.item))
    return pa.struct([_field(p) for p in shape.properties])


def _field(p: Property) -> pa.Field:
    """The column; its comment names the property where the column's name does not tell it."""
    named = f"property {p.name!r}" if p.renamed else ""
    comment = f"{p.description} ({named})" if p.description and named else p.description or named
    return pa.field(p.column, arrow_type(p.shape), metadata={"doc": comment} if comment else None)


def place_of(shape: Shape) -> Place:
    """An empty place for a shape. A struct without columns is kept as JSON text by the appender, so it has a leaf."""
    if isinstance(shape, Leaf):
        return LeafPlace(_LEAF_TYPES[shape.kind])
    if isinstance(shape, MapOf):
        return MapPlace(shape)
    if isinstance(shape, ListOf):
        return ListPlace(shape)
    return StructPlace(shape)


class LeafPlace:
    def __init__(self, kind: pa.DataType) -> None:
        self.type = kind
        self.slots: list[Any] = []

    def build(self) -> pa.Array:
        slots = self.slots
        if _is_all_absent(slots):
            made = pa.nulls(len(slots), self.type)
        else:
            made = _integers(slots, self.type, "q") if self.type == _INTEGER else pa.array(slots, self.type)
        slots.clear()
        return made


class StructPlace:
    """`slots` stay unused in a map, whose values are never absent; then `build_present` makes the array."""

    def __init__(self, shape: Struct) -> None:
        self.type = arrow_type(shape)
        self.slots: list[bool | None] = []
        self.columns: dict[str, Place] = {p.name: place_of(p.shape) for p in shape.properties}
        self._inner: list[Any] = next(iter(self.columns.values())).slots
        """The entries of the first column: their number is the number of present structs."""

    def build(self) -> pa.Array:
        slots = self.slots
        present = len(self._inner)
        if not present:
            made = pa.nulls(len(slots), self.type)
        else:
            made = self.build_present()
            if present != len(slots):
                is_there = pa.array(slots, pa.bool_()).cast(pa.int64())
                made = made.take(_starts(is_there))
        slots.clear()
        return made

    def build_present(self) -> pa.Array:
        """The array of the present structs alone."""
        arrays = [place.build() for place in self.columns.values()]
        return pa.StructArray.from_arrays(arrays, fields=[self.type.field(i) for i in range(self.type.num_fields)])


class MapPlace:
    def __init__(self, shape: MapOf) -> None:
        self.type = arrow_type(shape)
        self.slots: list[int | None] = []
        self.keys: list[str] = []
        self.value: Place = place_of(shape.value)

    def build(self) -> pa.Array:
        slots, keys = self.slots, self.keys
        if not keys and _is_all_absent(slots):
            made = pa.nulls(len(slots), self.type)
        else:
            values = self.value.build_present() if isinstance(self.value, StructPlace) and keys else self.value.build()
            made = pa.MapArray.from_arrays(_offsets(slots), pa.array(keys, pa.string()), values, self.type)
        slots.clear()
        keys.clear()
        return made


class ListPlace:
    def __init__(self, shape: ListOf) -> None:
        self.type = arrow_type(shape)
        self.slots: list[int | None] = []
        self.item: Place = place_of(shape.item)

    def build(self) -> pa.Array:
        slots = self.slots
        if _is_all_absent(slots):
            made = pa.nulls(len(slots), self.type)
        else:
            made = pa.ListArray.from_arrays(_offsets(slots), self.item.build(), self.type)
        slots.clear()
        return made


Place = LeafPlace | StructPlace | MapPlace | ListPlace


def _is_all_absent(slots: list[Any]) -> bool:
    """Whether there is nothing but None; `any` alone ends at the first value that is not 0 or empty."""
    return not any(slots) and slots.count(None) == len(slots)


def _integers(slots: list[Any], kind: pa.DataType, code: str) -> pa.Array:
    """The integers as an array of `kind`; `code` is its name in module `array`: a third faster without None."""
    try:
        content = array(code, slots)
    except TypeError:
        return pa.array(slots, kind)
    return pa.Array.from_buffers(kind, len(slots), [None, pa.py_buffer(content)])


def _offsets(lengths: list[int | None]) -> pa.Array:
    """Where each part begins when they lie one behind the other, NULL for an absent one, and where the last ends."""
    return _starts(_integers([*lengths, 0], pa.int32(), "i"))


def _starts(lengths: pa.Array) -> pa.Array:
    return pc.subtract(pc.cumulative_sum(pc.fill_null(lengths, 0)), lengths)
