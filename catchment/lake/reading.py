"""Reading data files as rows of the table's present schema, by field id, a few at a time.

What a file has not is NULL; narrower numbers are widened; what the table has not is left out. pyiceberg's own reader is
not used: it makes an empty list or map of structs of one that is NULL (its projection drops their validity), so a file
written anew by it would say something else than before; and it holds all batches of a file at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.types import IcebergType, ListType, MapType, NestedField, StringType, StructType

from catchment.lake.datafiles import ROW_GROUP_ROWS
from catchment.lake.evolution import FIELD_ID


def read(table: Table, file: DataFile, columns: Sequence[str] = ()) -> Iterator[pa.Table]:
    """The rows of a file, in its order and in pieces of at most `ROW_GROUP_ROWS`; all columns of the table, or these.
    No piece is without rows. Raises OSError and pa.ArrowException."""
    schema = table.schema()
    struct = StructType(*(schema.find_field(column) for column in columns)) if columns else schema.as_struct()
    with table.io.new_input(file.file_path).open() as stream:
        parquet = pq.ParquetFile(stream)
        held = {_key(field): field.name for field in parquet.schema_arrow}
        names = [held[key] for field in struct.fields if (key := _found(field, held)) is not None]
        if not names:
            yield from _absent(struct, parquet.metadata.num_rows)
            return
        for batch in parquet.iter_batches(ROW_GROUP_ROWS, columns=names):
            if batch.num_rows:
                whole = pa.StructArray.from_arrays(batch.columns, fields=list(batch.schema))
                rows = _projected(whole, struct)
                fields = list(rows.type)
                yield pa.Table.from_arrays([rows.field(at) for at in range(len(fields))], schema=pa.schema(fields))


def read_all(table: Table, file: DataFile, columns: Sequence[str] = ()) -> pa.Table:
    """The same in one piece."""
    return pa.concat_tables(read(table, file, columns))


def _absent(struct: StructType, count: int) -> Iterator[pa.Table]:
    fields = [_field(field, _arrow(field.field_type)) for field in struct.fields]
    for start in range(0, count, ROW_GROUP_ROWS):
        some = min(ROW_GROUP_ROWS, count - start)
        yield pa.Table.from_arrays([pa.nulls(some, field.type) for field in fields], schema=pa.schema(fields))


def _key(field: pa.Field) -> int | str:
    """By what a field of a file is found: its id; the name of one without."""
    number = (field.metadata or {}).get(FIELD_ID)
    return int(number) if number is not None else str(field.name)


def _found(field: NestedField, held: Mapping[int | str, object]) -> int | str | None:
    return field.field_id if field.field_id in held else field.name if field.name in held else None


def _projected(array: pa.Array, wanted: IcebergType) -> pa.Array:
    if isinstance(wanted, StructType):
        held = {_key(field): at for at, field in enumerate(array.type)}
        fields, parts = [], []
        for field in wanted.fields:
            key = _found(field, held)
            if key is None:
                part = pa.nulls(len(array), _arrow(field.field_type))
            else:
                part = _projected(array.field(held[key]), field.field_type)
            parts.append(part)
            fields.append(_field(field, part.type))
        return pa.StructArray.from_arrays(parts, fields=fields, mask=array.is_null())
    if isinstance(wanted, ListType):
        values = _projected(array.values, wanted.element_type)
        make = pa.large_list if pa.types.is_large_list(array.type) else pa.list_
        return _with_children(array, make(_field(wanted.element_field, values.type)), values)
    if isinstance(wanted, MapType):
        parts = [_projected(array.keys, wanted.key_type), _projected(array.items, wanted.value_type)]
        kind = pa.map_(_field(wanted.key_field, parts[0].type), _field(wanted.value_field, parts[1].type))
        entries = pa.StructArray.from_arrays(parts, fields=[kind.key_field, kind.item_field])
        return _with_children(array, kind, entries)
    kind = _arrow(wanted)
    return array if array.type == kind else array.cast(kind)


def _with_children(array: pa.Array, kind: pa.DataType, child: pa.Array) -> pa.Array:
    """The same list or map, NULLs and all, of other values."""
    return pa.Array.from_buffers(kind, len(array), array.buffers()[:2], offset=array.offset, children=[child])


def _field(field: NestedField, kind: pa.DataType) -> pa.Field:
    return pa.field(field.name, kind, not field.required, {"doc": field.doc} if field.doc else None)


def _arrow(wanted: IcebergType) -> pa.DataType:
    if isinstance(wanted, StructType):
        return pa.struct([_field(field, _arrow(field.field_type)) for field in wanted.fields])
    if isinstance(wanted, ListType):
        return pa.list_(_field(wanted.element_field, _arrow(wanted.element_type)))
    if isinstance(wanted, MapType):
        key, value = wanted.key_field, wanted.value_field
        return pa.map_(_field(key, _arrow(key.field_type)), _field(value, _arrow(value.field_type)))
    return pa.string() if isinstance(wanted, StringType) else schema_to_pyarrow(wanted, include_field_ids=False)
