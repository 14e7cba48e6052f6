"""All versions of a doctype as one: which tables belong together, and what columns a view over them has.

    telemetry.main_v4, telemetry.main_v5 ─▶ telemetry.main

A view has every column of every version, by name, fields of structs likewise, and `document_version`. Where the types
of one name differ, the newest version's comes first:

| newest | older | in the view |
|---|---|---|
| integer or double, any width | the other | the wider one; of an integer and a double, double |
| struct | struct | their fields united by these rules |
| list, map | list, map | of the united items or values, when these have a type without a second column |
| string | anything | string; a struct, list or map as JSON text |
| anything else | anything else | two columns: `<name>` of the newest, `<name>_v<version>` of the older |

So no value is lost or guessed. A table that is called like a view is the table: `tls_13_study_v4` is version 4 of
`tls_13_study`, and the versions of a doctype `tls-13-study-v4` have no view.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pyiceberg.schema import Schema, assign_fresh_schema_ids
from pyiceberg.types import (
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    PrimitiveType,
    StringType,
    StructType,
)

VERSION_COLUMN = "document_version"
_VERSIONED = re.compile(r"(?P<view>.+)_v(?P<version>0|[1-9]\d*)")
_INTEGERS = (IntegerType, LongType)
_NUMBERS = (*_INTEGERS, FloatType, DoubleType)


class Version(NamedTuple):
    """A version of a doctype and its table."""

    number: int
    table: str


@dataclass(slots=True)
class Column:
    """A column of a view, or a field of one of its structs. `held` are the fields of the versions that it shows; of a
    struct, `parts` are its fields."""

    name: str
    kind: IcebergType
    doc: str
    held: dict[int, NestedField]
    parts: list[Column] = field(default_factory=list)


def views_of(tables: Iterable[str]) -> dict[str, tuple[Version, ...]]:
    """The views over these tables, by name, each with its versions, the newest first."""
    names = set(tables)
    found: dict[str, list[Version]] = defaultdict(list)
    for name in names:
        named = _VERSIONED.fullmatch(name)
        if named is not None and named["view"] not in names:
            found[named["view"]].append(Version(int(named["version"]), name))
    return {view: tuple(sorted(found[view], reverse=True)) for view in sorted(found)}


def unite(versions: Sequence[tuple[int, Schema]]) -> list[Column]:
    """The columns of the view over these versions, the newest first."""
    columns = _united([(number, schema.fields) for number, schema in versions])
    names = {column.name for column in columns}
    name = VERSION_COLUMN
    while name in names:
        name += "_2"
    at = next((place + 1 for place, column in enumerate(columns) if column.name == "document_id"), 0)
    columns.insert(at, Column(name, IntegerType(), "Version of the schema that the document was judged by", {}))
    return columns


def has_version_column(columns: Sequence[Column]) -> bool:
    """Whether `document_version` is the version, and not a column of that name."""
    return any(column.name == VERSION_COLUMN and not column.held for column in columns)


def schema_of(columns: Sequence[Column]) -> Schema:
    """The view's schema. Its field ids mean nothing."""
    return assign_fresh_schema_ids(Schema(*_fields(columns)))


def _united(versions: Sequence[tuple[int, Sequence[NestedField]]]) -> list[Column]:
    columns: dict[str, Column] = {}
    for number, fields in versions:
        for held in fields:
            name, there = held.name, columns.get(held.name)
            kind = merged(there.kind, held.field_type) if there is not None else held.field_type
            while kind is None or (there is not None and number in there.held):
                name = f"{held.name}_v{number}" if name == held.name else f"{name}_2"
                there = columns.get(name)
                kind = None if there is not None else held.field_type
            if there is None:
                columns[name] = Column(name, kind, held.doc or "", {number: held})
            else:
                there.kind, there.held[number] = kind, held
    for column in columns.values():
        if isinstance(column.kind, StructType):
            column.parts = _united([(number, _inner(held)) for number, held in column.held.items()])
            column.kind = StructType(*_fields(column.parts))
    return list(columns.values())


def _inner(held: NestedField) -> Sequence[NestedField]:
    assert isinstance(held.field_type, StructType)
    return held.field_type.fields


def _fields(columns: Sequence[Column]) -> list[NestedField]:
    return [
        NestedField(number, column.name, column.kind, required=False, doc=column.doc or None)
        for number, column in enumerate(columns, 1)
    ]


def merged(newer: IcebergType, older: IcebergType) -> IcebergType | None:
    """The type of a column that shows both; None when there is none. Of two structs, the newer stands for both."""
    if isinstance(newer, StringType) or (isinstance(newer, StructType) and isinstance(older, StructType)):
        return newer
    return _cast(newer, older)


def _cast(newer: IcebergType, older: IcebergType) -> IcebergType | None:
    """The type that both can be cast to without loss and without renaming anything inside."""
    if newer == older:
        return newer
    if isinstance(newer, _NUMBERS) and isinstance(older, _NUMBERS):
        return LongType() if isinstance(newer, _INTEGERS) and isinstance(older, _INTEGERS) else DoubleType()
    if isinstance(newer, StringType) and isinstance(older, PrimitiveType):
        return newer
    if isinstance(newer, ListType) and isinstance(older, ListType):
        item = _cast(newer.element_type, older.element_type)
        return ListType(newer.element_id, item, element_required=False) if item is not None else None
    if isinstance(newer, MapType) and isinstance(older, MapType) and newer.key_type == older.key_type:
        value = _cast(newer.value_type, older.value_type)
        if value is None:
            return None
        return MapType(newer.key_id, newer.key_type, newer.value_id, value, value_required=False)
    if isinstance(newer, StructType) and isinstance(older, StructType):
        return _cast_struct(newer, older)
    return None


def _cast_struct(newer: StructType, older: StructType) -> StructType | None:
    kinds: dict[str, IcebergType] = {held.name: held.field_type for held in newer.fields}
    common = 0
    for held in older.fields:
        kind = _cast(kinds[held.name], held.field_type) if held.name in kinds else held.field_type
        if kind is None:
            return None
        common += held.name in kinds
        kinds[held.name] = kind
    if not common:  # a cast from one to the other would have nothing to go by
        return None
    return StructType(
        *(NestedField(number, name, kind, required=False) for number, (name, kind) in enumerate(kinds.items(), 1))
    )


def is_cast_by_name(column: Column, number: int) -> bool:
    """Whether a cast alone makes the column out of what version `number` holds: each part has its own name there."""
    held = column.held[number]
    if not isinstance(column.kind, StructType):
        return not isinstance(column.kind, StringType) or isinstance(held.field_type, PrimitiveType)
    names = {inner.name for inner in _inner(held)}
    return all(
        part.held[number].name == part.name and is_cast_by_name(part, number)
        if number in part.held
        else part.name not in names
        for part in column.parts
    )
