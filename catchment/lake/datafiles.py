"""Rows to Parquet: one file a day partition, with the few statistics that queries are pruned by.

A flush keeps the order in which its rows came: its files are small, and putting them in the order of the sample id
(`in_order`) would cost as much as writing them. Compaction does that, once, for the files that stay.

Rows are written as they are, marked with field ids; a column that the table has and the rows have not is absent from
the file and reads as null. pyiceberg's own writer is not used: for a partitioned table it needs another library, and
it collects statistics of all leaves (300 and more in a Firefox main ping), which then fill the manifests.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.conversions import to_bytes
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.typedef import Record
from pyiceberg.types import PrimitiveType, StringType, TimestampType, TimestamptzType
from pyiceberg.utils.truncate import truncate_upper_bound_text_string

from catchment.lake.evolution import marked
from catchment.lake.files import delete_files

PARTITION_COLUMN = "submission_timestamp"
SORT_COLUMN = "sample_id"
ROW_GROUP_ROWS = 64 * 1024
"""Rows that a query can skip as one piece."""
_BOUND_CHARACTERS = 16
_COMPRESSION = "zstd"
_SHAPE_DIGITS = 16
SPLIT = "catchment.split"
"""In the metadata of a schema of rows: the signature of the shape by which their documents were taken apart."""
_SPLIT = re.compile(r"-([0-9a-f]{16})-[0-9a-f]{16}\.parquet$")
_EPOCH = date(1970, 1, 1)


def is_measured(column: str) -> bool:
    """Whether files keep the least and the greatest value of this column."""
    return column in {PARTITION_COLUMN, "document_id", "client_id", SORT_COLUMN} or column.startswith("normalized_")


def write(table: Table, rows: pa.Table) -> list[DataFile]:
    """Write `rows` (they fit the table) as files that nothing names yet; durable when this returns."""
    return [_write_day(table, day, part) for day, part in _by_day(table, rows)]


def _by_day(table: Table, rows: pa.Table) -> Iterator[tuple[Record, pa.Table]]:
    if table.spec().is_unpartitioned():
        yield Record(), rows
        return
    if PARTITION_COLUMN not in rows.column_names:
        yield Record(None), rows
        return
    days = pc.cast(pc.floor_temporal(rows.column(PARTITION_COLUMN), unit="day"), pa.timestamp("us"))
    values = pc.unique(days)
    for value in values.to_pylist():
        day = Record(None if value is None else (value.date() - _EPOCH).days)
        if len(values) == 1:
            yield day, rows
        else:
            yield day, rows.filter(pc.is_null(days) if value is None else pc.equal(days, pa.scalar(value, days.type)))


def _write_day(table: Table, day: Record, rows: pa.Table) -> DataFile:
    split = (rows.schema.metadata or {}).get(SPLIT.encode(), b"").decode()
    with ParquetFile(table, new_location(table, day, rows.schema, split), day, rows.schema) as file:
        file.write(rows)
    return file.result()


def in_order(rows: pa.Table) -> pa.Table:
    """The rows by sample id, those without one last; rows of one sample keep their order."""
    if SORT_COLUMN not in rows.column_names:
        return rows
    order = pc.sort_indices(rows.column(SORT_COLUMN))
    return rows.take(order)


def new_location(table: Table, day: Record, schema: pa.Schema, split: str = "") -> str:
    """A fresh name for a file of that day.

    It ends in a digest of the schema: engines read files of one shape together without opening each
    (`plan.shape_of`). Before that stands the signature of the shape that took its documents apart, if there is one:
    so promotion knows a file that it has nothing to do with (`split_of`).
    """
    digest = hashlib.sha256(schema.to_string(show_field_metadata=False, show_schema_metadata=False).encode())
    name = "-".join(filter(None, (str(uuid.uuid4()), split, f"{digest.hexdigest()[:_SHAPE_DIGITS]}.parquet")))
    if len(day) == 0:
        return f"{table.location()}/data/{name}"
    text = "null" if day[0] is None else (_EPOCH + timedelta(days=day[0])).isoformat()
    return f"{table.location()}/data/{PARTITION_COLUMN}_day={text}/{name}"


def split_of(location: str) -> str:
    """The signature in a file's name; empty when it has none."""
    found = _SPLIT.search(location)
    return found.group(1) if found else ""


class ParquetFile:
    """One file being written, in any number of pieces of one schema; `result` describes it after the block."""

    def __init__(self, table: Table, location: str, day: Record, schema: pa.Schema) -> None:
        self._table = table
        self._location = location
        self._day = day
        self._schema = marked(schema, table.schema().as_struct())
        self._bounds = Bounds(table.schema(), schema.names)
        self._rows = 0

    def __enter__(self) -> ParquetFile:
        self._stream: Any = self._table.io.new_output(self._location).create()
        self._writer = pq.ParquetWriter(
            self._stream,
            self._schema,
            compression=_COMPRESSION,
            use_dictionary=list(_texts(self._schema)),
            write_statistics=_statistics(self._schema),
        )
        return self

    def write(self, rows: pa.Table) -> None:
        plain = pa.Table.from_arrays(rows.columns, schema=self._schema)
        self._writer.write_table(plain, row_group_size=ROW_GROUP_ROWS)
        self._bounds.add(rows)
        self._rows += rows.num_rows

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is not None:
            with suppress(OSError):  # it is thrown away; open, the writer would write on when it is collected
                self._writer.close()
            self._stream.close()
            delete_files(self._table.io, [self._location])
            return
        self._writer.close()
        self._size = self._stream.tell()
        self._stream.close()

    def result(self) -> DataFile:
        return DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=self._location,
            file_format=FileFormat.PARQUET,
            partition=self._day,
            record_count=self._rows,
            file_size_in_bytes=self._size,
            column_sizes=None,
            value_counts=self._bounds.values,
            null_value_counts=self._bounds.nulls,
            nan_value_counts=None,
            lower_bounds=self._bounds.lower(),
            upper_bounds=self._bounds.upper(),
            key_metadata=None,
            split_offsets=None,
            equality_ids=None,
            sort_order_id=None,
            spec_id=self._table.spec().spec_id,
        )


def _statistics(schema: pa.Schema) -> list[str]:
    """Columns whose row groups keep bounds in the file: those by which queries skip."""
    return [field.name for field in schema if is_measured(field.name)]


def _texts(fields: Iterable[pa.Field], path: str = "") -> Iterator[str]:
    """Columns that a dictionary is made for: texts that stand at most once in a row. For numbers, and in lists and
    maps, it takes a tenth of the time of writing and makes the file larger."""
    for field in fields:
        if pa.types.is_struct(field.type):
            yield from _texts(field.type, f"{path}{field.name}.")
        elif pa.types.is_string(field.type):
            yield f"{path}{field.name}"


class Bounds:
    """Least and greatest values of the measured columns of one file."""

    def __init__(self, schema: Schema, names: Iterable[str]) -> None:
        fields = [field for field in schema.fields if is_measured(field.name) and field.name in set(names)]
        self._fields = [field for field in fields if isinstance(field.field_type, PrimitiveType)]
        self.values: dict[int, int] = {}
        self.nulls: dict[int, int] = {}
        self._least: dict[int, Any] = {}
        self._greatest: dict[int, Any] = {}

    def add(self, rows: pa.Table) -> None:
        for field in self._fields:
            column = rows.column(field.name)
            number = field.field_id
            self.values[number] = self.values.get(number, 0) + len(column)
            self.nulls[number] = self.nulls.get(number, 0) + column.null_count
            if isinstance(field.field_type, (TimestampType, TimestamptzType)):
                column = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
            found = pc.min_max(column)
            least, greatest = found["min"].as_py(), found["max"].as_py()
            if least is None:
                continue
            self._least[number] = min(least, self._least.get(number, least))
            self._greatest[number] = max(greatest, self._greatest.get(number, greatest))

    def lower(self) -> dict[int, bytes]:
        return {
            field.field_id: _encoded(field.field_type, _start(self._least[field.field_id]))
            for field in self._fields
            if field.field_id in self._least
        }

    def upper(self) -> dict[int, bytes]:
        found = {}
        for field in self._fields:
            if field.field_id in self._greatest:
                bound = self._greatest[field.field_id]
                if isinstance(field.field_type, StringType):
                    bound = truncate_upper_bound_text_string(bound, _BOUND_CHARACTERS)
                if bound is not None:
                    found[field.field_id] = _encoded(field.field_type, bound)
        return found


def _start(value: Any) -> Any:
    return value[:_BOUND_CHARACTERS] if isinstance(value, str) else value


def _encoded(kind: Any, value: Any) -> bytes:
    return to_bytes(kind, value)
