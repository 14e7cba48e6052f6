"""Fitting a shape to the table that there is: a column keeps its type, so what has become another type goes beside it.

    total: long, and the schema now says number   →   total (long, as it was), total__double (from now on)

A column that holds the values of its property stays its place; a double holds an integer schema's values too, and a
column of text any JSON text. A property whose column has another type gets a column beside, called after the type; a
list or map of another type as a whole, since its items cannot have two types. No property is spelled like one
(`names.beside`). What is new in the shape stays in it; the table gains it.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pyarrow as pa

from catchment.lake.places import arrow_type
from catchment.schemas.compatibility import type_word
from catchment.schemas.names import beside, primary
from catchment.schemas.shape import Leaf, ListOf, MapOf, Property, Shape, Struct

_POSITION = re.compile(r"_\d+")


def fitted(shape: Struct, held: pa.DataType | pa.Schema) -> tuple[Struct, tuple[str, ...]]:
    """The shape as an existing table can hold it, and the paths of the columns beside that it uses. Fitting it again,
    also to the table that has grown by it, changes nothing."""
    moved: list[str] = []
    return replace(shape, properties=_properties(shape, held, "", moved)), tuple(moved)


def _properties(shape: Struct, held: pa.DataType | pa.Schema, path: str, moved: list[str]) -> tuple[Property, ...]:
    columns = {field.name: field.type for field in held}
    return tuple(_property(p, columns, path, moved) for p in shape.properties)


def _property(p: Property, columns: dict[str, pa.DataType], path: str, moved: list[str]) -> Property:
    column, number = p.column, 0
    while column in columns:
        inner: list[str] = []
        fit = _fitted(p.shape, columns[column], f"{path}{column}", inner)
        if fit is not None:
            moved += [f"{path}{column}"] if number else []
            moved += inner
            return replace(p, column=column, shape=fit)
        number += 1
        column = beside(p.column, type_word(p.shape), number)
    moved += [f"{path}{column}"] if number else []
    return replace(p, column=column)


def _fitted(shape: Shape, held: pa.DataType, path: str, moved: list[str]) -> Shape | None:
    """The shape with the columns of `held`; None when values of it cannot stand there."""
    if isinstance(shape, Struct):
        return replace(shape, properties=_properties(shape, held, f"{path}.", moved)) if _may_be(shape, held) else None
    if isinstance(shape, MapOf):
        value = _fitted(shape.value, held.item_type, f"{path}{{}}", moved) if pa.types.is_map(held) else None
        return MapOf(value) if value is not None else None
    if isinstance(shape, ListOf):
        is_list = pa.types.is_list(held) or pa.types.is_large_list(held)
        item = _fitted(shape.item, held.value_type, f"{path}[]", moved) if is_list else None
        return ListOf(item) if item is not None else None
    if _is_same(arrow_type(shape), held):
        return shape
    return Leaf("number") if shape.kind == "integer" and pa.types.is_floating(held) else None


def _may_be(shape: Struct, held: pa.DataType) -> bool:
    """Whether a column of structs is for objects, or tuples, as the shape is: the columns of a tuple are numbered."""
    if not pa.types.is_struct(held):
        return False
    is_numbered = all(_POSITION.fullmatch(primary(field.name)) for field in held)
    is_like_one = all(_POSITION.fullmatch(primary(p.column)) for p in shape.properties)
    return is_numbered if shape.is_tuple else not is_numbered or is_like_one


def _is_same(kind: pa.DataType, held: pa.DataType) -> bool:
    if pa.types.is_string(kind):
        return bool(pa.types.is_string(held) or pa.types.is_large_string(held))
    if pa.types.is_timestamp(kind):
        return bool(pa.types.is_timestamp(held))
    if pa.types.is_integer(kind):
        return bool(pa.types.is_integer(held))
    return bool(kind == held)
