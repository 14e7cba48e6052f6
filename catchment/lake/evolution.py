"""Schemas over time: what an Arrow schema means for a table, and how rows are marked with the table's field ids.

A table only grows: columns and nested fields are added (matched by name, then known by id for ever), and a type may
widen (int to long, float to double). Everything else that differs is refused as `Incompatible`. Files carry the id of
every field, so that a reader finds a column whatever the file is called in its schema. All columns are optional.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pyiceberg.io.pyarrow import UnsupportedPyArrowTypeException, _pyarrow_to_schema_without_ids
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
    StructType,
)

from catchment.errors import Incompatible

FIELD_ID = b"PARQUET:field_id"
_WIDER = {(IntegerType, LongType), (FloatType, DoubleType)}


def iceberg_schema(schema: pa.Schema) -> Schema:
    """The Iceberg form of an Arrow schema, every field optional, ids from 1. Raises Incompatible for types that
    Iceberg v2 has not (nanoseconds, unions, null)."""
    try:
        return assign_fresh_schema_ids(_pyarrow_to_schema_without_ids(_optional(schema)))
    except (TypeError, ValueError, UnsupportedPyArrowTypeException) as error:
        raise Incompatible(f"schema: {error}; use a type that Iceberg v2 has") from error


def differences(table: str, current: StructType, wanted: StructType) -> list[str]:
    """Paths of fields that `current` must gain or widen before it can hold `wanted`; [] when it can already.

    Raises Incompatible for a field whose type in `wanted` can neither be read nor become the table's.
    """
    return list(_differences(table, "", current, wanted))


def _differences(table: str, path: str, current: IcebergType, wanted: IcebergType) -> Iterator[str]:
    if isinstance(current, StructType) and isinstance(wanted, StructType):
        known = {field.name: field for field in current.fields}
        for field in wanted.fields:
            inner = f"{path}.{field.name}".lstrip(".")
            held = known.get(field.name)
            if held is None:
                yield inner
            else:
                yield from _differences(table, inner, held.field_type, field.field_type)
    elif isinstance(current, ListType) and isinstance(wanted, ListType):
        yield from _differences(table, f"{path}[]", current.element_type, wanted.element_type)
    elif isinstance(current, MapType) and isinstance(wanted, MapType):
        if current.key_type != wanted.key_type:
            raise _refused(table, f"{path}[key]", current.key_type, wanted.key_type)
        yield from _differences(table, f"{path}{{}}", current.value_type, wanted.value_type)
    elif current != wanted:
        if (type(current), type(wanted)) in _WIDER:
            yield path
        elif (type(wanted), type(current)) not in _WIDER:
            raise _refused(table, path, current, wanted)


def _refused(table: str, path: str, current: IcebergType, wanted: IcebergType) -> Incompatible:
    return Incompatible(
        f"table {table}: column {path} is {current}, the rows have {wanted}; a column keeps its type (only int to long "
        f"and float to double widen): give the new shape another name or version"
    )


def marked(schema: pa.Schema, struct: StructType) -> pa.Schema:
    """`schema` with the table's field id on every field, nested ones too. The schema must fit the table."""
    return pa.schema(_marked_fields(schema, struct))


def _marked_fields(fields: pa.Schema | pa.StructType, struct: StructType) -> list[pa.Field]:
    known = {field.name: field for field in struct.fields}
    return [_marked_field(field, known[field.name]) for field in fields]


def _marked_field(field: pa.Field, known: NestedField) -> pa.Field:
    kind = _marked_type(field.type, known.field_type)
    return pa.field(field.name, kind, field.nullable, {FIELD_ID: str(known.field_id)})


def _marked_type(kind: pa.DataType, known: IcebergType) -> pa.DataType:
    if isinstance(known, StructType):
        return pa.struct(_marked_fields(kind, known))
    if isinstance(known, ListType):
        element = _marked_field(kind.value_field, known.element_field)
        return pa.large_list(element) if pa.types.is_large_list(kind) else pa.list_(element)
    if isinstance(known, MapType):
        return pa.map_(
            _marked_field(kind.key_field, known.key_field), _marked_field(kind.item_field, known.value_field)
        )
    return kind


def _optional(schema: pa.Schema) -> pa.Schema:
    return pa.schema([_optional_field(field) for field in schema])


def _optional_field(field: pa.Field) -> pa.Field:
    return pa.field(field.name, _optional_type(field.type), True, field.metadata)


def _optional_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([_optional_field(kind.field(position)) for position in range(kind.num_fields)])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_optional_field(kind.value_field))
    if pa.types.is_map(kind):
        return pa.map_(kind.key_field, _optional_field(kind.item_field))
    return kind
