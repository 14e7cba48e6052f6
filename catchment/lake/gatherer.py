"""Gatherers: what takes documents of one shape, keeps their values by column, and makes Arrow arrays of them.

Two do the same, held together by the tests. `CompiledGatherer` writes Arrow's own buffers while it walks a document
(`_columns.c`); it is there when a C compiler was, as Catchment was installed. `PlainGatherer` is Python alone
(`appender.py` and `places.py`) and takes several times as long. What has no place is told in `appender.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

import orjson
import pyarrow as pa

from catchment.lake.appender import make_appender
from catchment.lake.places import StructPlace, arrow_type
from catchment.schemas.shape import Leaf, ListOf, MapOf, Shape, Struct

try:
    from catchment.lake import _columns
except ImportError:
    HAS_COMPILED = False
else:
    HAS_COMPILED = True


class Gatherer(Protocol):
    """Columns that grow by a row a document."""

    def append(self, content: dict[str, Any]) -> dict[str, Any] | None:
        """Add a row. Returns what has no place, nested at its path, or None. `content` is not kept, nor changed."""
        ...

    def take(self) -> list[pa.Array]:
        """An array for each property of the shape, all rows in order; it is empty afterwards."""
        ...

    def misfits(self) -> dict[str, int]:
        """How many values did not fit their column since this was last asked, by its path (`lines[].sku`, `tags{}`);
        only columns for which there were some."""
        ...


def gatherer_of(shape: Struct) -> Gatherer:
    """The faster one that is there. The shape must have columns."""
    return CompiledGatherer(shape) if HAS_COMPILED else PlainGatherer(shape)


class PlainGatherer:
    def __init__(self, shape: Struct) -> None:
        self._place = StructPlace(shape)
        self._misfits: Counter[str] = Counter()
        self.append = make_appender(shape, self._place, self._misfits)

    def take(self) -> list[pa.Array]:
        return [place.build() for place in self._place.columns.values()]

    def misfits(self) -> dict[str, int]:
        counts = dict(self._misfits)
        self._misfits.clear()
        return counts


class CompiledGatherer:
    def __init__(self, shape: Struct) -> None:
        gatherer = _columns.Gatherer(_spec(shape), orjson.dumps)
        self.append = gatherer.append
        self._take = gatherer.take
        self._misfits = gatherer.misfits
        self._types = [field.type for field in arrow_type(shape)]
        self._shape = shape

    def take(self) -> list[pa.Array]:
        _, columns = self._take()
        return [_array(kind, column) for kind, column in zip(self._types, columns, strict=True)]

    def misfits(self) -> dict[str, int]:
        counts = self._misfits()
        paths = list(_paths(self._shape, "")) if counts else []
        return {paths[number]: count for number, count in counts.items()}


def _paths(shape: Shape, path: str) -> Iterator[str]:
    """The paths of all columns in the order in which `_columns.c` numbers them."""
    yield path
    if isinstance(shape, ListOf):
        yield from _paths(shape.item, f"{path}[]")
    elif isinstance(shape, MapOf):
        yield f"{path}[key]"
        yield from _paths(shape.value, f"{path}{{}}")
    elif isinstance(shape, Struct):
        for p in shape.properties:
            yield from _paths(p.shape, f"{path}.{p.column}" if path else p.column)


def _spec(shape: Shape) -> tuple[str, Any]:
    if isinstance(shape, Leaf):
        return shape.kind, None
    if isinstance(shape, ListOf):
        return "list", _spec(shape.item)
    if isinstance(shape, MapOf):
        return "map", _spec(shape.value)
    return "tuple" if shape.is_tuple else "struct", tuple((p.name, _spec(p.shape)) for p in shape.properties)


def _array(kind: pa.DataType, taken: tuple[Any, ...]) -> pa.Array:
    """The array of what `_columns.Gatherer.take` gives for one column; its buffers are not copied."""
    length, nulls, *parts = taken
    if not parts:
        return pa.nulls(length, kind)
    inner: list[pa.Array] | None = None
    if pa.types.is_struct(kind):
        inner = [_array(kind.field(number).type, part) for number, part in enumerate(parts.pop())]
    elif pa.types.is_map(kind):
        values, keys = _array(kind.item_type, parts.pop()), _array(kind.key_type, parts.pop())
        inner = [pa.StructArray.from_arrays([keys, values], fields=[kind.key_field, kind.item_field])]
    elif pa.types.is_list(kind):
        inner = [_array(kind.value_type, parts.pop())]
    buffers = [None if part is None else pa.py_buffer(part) for part in parts]
    return pa.Array.from_buffers(kind, length, buffers, nulls, children=inner)
