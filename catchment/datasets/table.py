"""Records as columns: an Arrow stream, which DuckDB, pandas, Polars and others read without a copy.

A column is what is selected; without a selection there is one, `document`, the whole record. Its type is text (JSON for
what is no text) unless one is named. The stream is read anew whenever somebody asks for it, a batch at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import duckdb
import orjson
import pyarrow as pa

from catchment.errors import QueryError

BATCH_RECORDS = 1000
WHOLE = "document"


class Table:
    """`records` gives the records, each time from the first; `columns` are what each has, none for whole ones."""

    def __init__(
        self,
        records: Callable[[], Iterator[dict[str, Any]]],
        columns: tuple[str, ...],
        types: Mapping[str, pa.DataType],
    ) -> None:
        self._records = records
        self._is_whole = not columns
        names = columns or (WHOLE,)
        unknown = [name for name in types if name not in names]
        if unknown:
            raise QueryError(f"types name {', '.join(unknown)}, which is not selected; selected: {', '.join(names)}")
        self.schema = pa.schema([(name, types.get(name, pa.string())) for name in names])

    def reader(self) -> pa.RecordBatchReader:
        """One reading of the records. It raises QueryError for a value that does not fit its column's type."""
        return pa.RecordBatchReader.from_batches(self.schema, self._batches())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.reader().__arrow_c_stream__(requested_schema)

    def duckdb(self, connection: duckdb.DuckDBPyConnection | None = None) -> duckdb.DuckDBPyRelation:
        """A relation in a connection, or in a new one."""
        return (connection or duckdb.connect()).from_arrow(self)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        records = self._records()
        while some := list(islice(records, BATCH_RECORDS)):
            if self._is_whole:
                some = [{WHOLE: record} for record in some]
            yield pa.record_batch([_column(field, some) for field in self.schema], schema=self.schema)


def _column(field: pa.Field, records: list[dict[str, Any]]) -> pa.Array:
    values = [record[field.name] for record in records]
    if pa.types.is_string(field.type):
        values = [
            value if value is None or isinstance(value, str) else orjson.dumps(value).decode() for value in values
        ]
    try:
        return pa.array(values, field.type)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise QueryError(f"column {field.name}: a value is no {field.type}: {error}; name another type") from error
