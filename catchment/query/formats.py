"""Results of queries as files: CSV, JSON, NDJSON, Parquet, Arrow, written while the rows arrive.

Times are ISO 8601 with their offset, decimals are texts where JSON would lose digits, bytes are hexadecimal. A nested
value is JSON in CSV; a map is a JSON object.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any, BinaryIO

import orjson
import pyarrow as pa

from catchment.query.port import Result

_LARGEST_EXACT = 2**53


def write(result: Result, kind: str, target: BinaryIO) -> int:
    """Draw the rows of `result` and write them to `target` as `kind` (a key of FORMATS). Returns how many."""
    counted = Counted(result.batches())
    first = next(counted, None)
    FORMATS[kind](result.schema, _chained(first, counted), target)
    return counted.rows


class Counted:
    """Batches as they are, and the number of their rows so far."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self.rows = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self

    def __next__(self) -> pa.RecordBatch:
        batch = next(self._batches)
        self.rows += batch.num_rows
        return batch


def rows_of(schema: pa.Schema, batch: pa.RecordBatch) -> Iterator[list[Any]]:
    """The rows of a batch as values that JSON has."""
    columns = [
        [plain(value, field.type) for value in batch.column(position).to_pylist()]
        for position, field in enumerate(schema)
    ]
    for row in zip(*columns, strict=True):
        yield list(row)


def plain(value: Any, kind: pa.DataType) -> Any:
    """A value as JSON has it."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, Decimal):
        is_exact = value == value.to_integral_value() and abs(value) < _LARGEST_EXACT
        return int(value) if is_exact else str(value)
    if isinstance(value, bytes):
        return value.hex()
    if pa.types.is_map(kind):
        return {_key(key): plain(item, kind.item_type) for key, item in value}
    if pa.types.is_struct(kind):
        return {field.name: plain(value[field.name], field.type) for field in kind}
    if isinstance(value, list):
        return [plain(item, kind.value_type) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(key)


def _chained(first: pa.RecordBatch | None, others: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    if first is not None:
        yield first
    yield from others


def _write_csv(schema: pa.Schema, batches: Iterable[pa.RecordBatch], target: BinaryIO) -> None:
    text = io.TextIOWrapper(target, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(schema.names)
    for batch in batches:
        writer.writerows([_cell(value) for value in row] for row in rows_of(schema, batch))
    text.flush()
    text.detach()


def _cell(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return orjson.dumps(value).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _write_ndjson(schema: pa.Schema, batches: Iterable[pa.RecordBatch], target: BinaryIO) -> None:
    names = schema.names
    for batch in batches:
        for row in rows_of(schema, batch):
            target.write(_dumped(dict(zip(names, row, strict=True))) + b"\n")


def _write_json(schema: pa.Schema, batches: Iterable[pa.RecordBatch], target: BinaryIO) -> None:
    names, before = schema.names, b"[\n"
    for batch in batches:
        for row in rows_of(schema, batch):
            target.write(before + _dumped(dict(zip(names, row, strict=True))))
            before = b",\n"
    target.write(b"[]\n" if before == b"[\n" else b"\n]\n")


def _dumped(row: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(row)
    except TypeError:  # an integer beyond 64 bits
        return orjson.dumps({name: str(value) if isinstance(value, int) else value for name, value in row.items()})


def _write_parquet(schema: pa.Schema, batches: Iterable[pa.RecordBatch], target: BinaryIO) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


def _write_arrow(schema: pa.Schema, batches: Iterable[pa.RecordBatch], target: BinaryIO) -> None:
    with pa.ipc.new_stream(target, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


FORMATS: dict[str, Callable[[pa.Schema, Iterable[pa.RecordBatch], BinaryIO], None]] = {
    "csv": _write_csv,
    "json": _write_json,
    "ndjson": _write_ndjson,
    "parquet": _write_parquet,
    "arrow": _write_arrow,
}
"""Name → writer. `arrow` is the IPC stream format."""
