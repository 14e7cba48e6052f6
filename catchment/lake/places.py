"""Places: the lists behind the columns of one shape, and the Arrow arrays that are made of them.

A place gets exactly one entry for each value of the thing that it is in (`slots`), so an absent struct costs its place
one entry and its columns none:

| place | its entries | inside it |
|---|---|---|
| leaf | the value, or None | |
| struct | the number of the present struct, or None | one entry in each column a present struct |
| map | where its keys begin, or None | keys, and one entry in the value's place a key |
| list | where its items begin, or None | one entry in the item's place an item |

`build` makes the array of all entries and empties the lists; what they are filled by is in `appender.py`.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from catchment.schemas.shape import Leaf, ListOf, MapOf, Shape, Struct

_LEAF_TYPES = {
    "string": pa.string(),
    "json": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
}


def arrow_type(shape: Shape) -> pa.DataType:
    """The Arrow type of a shape's column."""
    if isinstance(shape, Leaf):
        return _LEAF_TYPES[shape.kind]
    if isinstance(shape, MapOf):
        return pa.map_(pa.string(), arrow_type(shape.value))
    if isinstance(shape, ListOf):
        return pa.list_(arrow_type(shape.item))
    return pa.struct([_field(p.column, arrow_type(p.shape), p.description) for p in shape.properties])


def _field(name: str, kind: pa.DataType, description: str) -> pa.Field:
    return pa.field(name, kind, metadata={"doc": description} if description else None)


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
        is_empty = slots.count(None) == len(slots)
        array = pa.nulls(len(slots), self.type) if is_empty else pa.array(slots, self.type)
        slots.clear()
        return array


class StructPlace:
    """`slots` may stay unused: a map's value is never absent, so then `count` is told to `build`."""

    def __init__(self, shape: Struct) -> None:
        self.type = arrow_type(shape)
        self.slots: list[int | None] = []
        self.columns: dict[str, Place] = {p.name: place_of(p.shape) for p in shape.properties}
        self.inner: list[Any] = next(iter(self.columns.values())).slots
        """The entries of the first column: their number is the number of present structs."""

    def build(self) -> pa.Array:
        slots = self.slots
        present = len(self.inner)
        if not present:
            array = pa.nulls(len(slots), self.type)
        else:
            array = self.build_present()
            if present != len(slots):
                array = array.take(pa.array(slots, pa.int64()))
        slots.clear()
        return array

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
        count = len(slots)
        if not keys and slots.count(None) == count:
            slots.clear()
            return pa.nulls(count, self.type)
        slots.append(len(keys))
        values = self.value.build_present() if isinstance(self.value, StructPlace) and keys else self.value.build()
        array = pa.MapArray.from_arrays(pa.array(slots, pa.int32()), pa.array(keys, pa.string()), values, self.type)
        slots.clear()
        keys.clear()
        return array


class ListPlace:
    def __init__(self, shape: ListOf) -> None:
        self.type = arrow_type(shape)
        self.slots: list[int | None] = []
        self.item: Place = place_of(shape.item)

    def build(self) -> pa.Array:
        slots = self.slots
        count = len(slots)
        if slots.count(None) == count:
            slots.clear()
            return pa.nulls(count, self.type)
        slots.append(len(self.item.slots))
        array = pa.ListArray.from_arrays(pa.array(slots, pa.int32()), self.item.build(), self.type)
        slots.clear()
        return array


Place = LeafPlace | StructPlace | MapPlace | ListPlace
