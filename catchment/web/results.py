"""What a query returned, as cells of a page and as lines of a download.

A cell holds at most CELL_CHARS of its value; longer ones, and results beyond PAGE_CHARS, are cut on the page, which
says so, and never in a download. Values keep their meaning in every form: times are UTC, whole numbers of any size stay
exact, bytes are text when they are UTF-8 and hexadecimal otherwise, nested values are JSON.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from catchment.query.port import Column

if TYPE_CHECKING:
    import pyarrow as pa

CELL_CHARS = 20_000
PREVIEW_CHARS = 160
PAGE_CHARS = 3_000_000
_EXACT = 2**53
_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z


@dataclass(frozen=True, slots=True)
class Cell:
    """A value on the page. `kind` is "null", "number" or "text"; `text` may be cut (`is_cut`)."""

    text: str
    kind: str
    is_cut: bool = False

    @property
    def is_long(self) -> bool:
        return len(self.text) > PREVIEW_CHARS or "\n" in self.text


NULL = Cell("null", "null")


def cell(value: object) -> Cell:
    """A value as a cell."""
    if value is None:
        return NULL
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return Cell(number(value), "number")
    text = words(value)
    return Cell(text[:CELL_CHARS], "text", len(text) > CELL_CHARS)


def number(value: int | float | Decimal) -> str:
    """A number for reading: whole ones with separated thousands, others as short as they are exact."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() and abs(value) < _EXACT else repr(value)
    return f"{value:,}"


def words(value: object) -> str:
    """A value as text, the same for page and download."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        text = value.isoformat(sep=" ")
        return text.removesuffix("+00:00") + " UTC" if text.endswith("+00:00") else text
    if isinstance(value, (bytes, bytearray)):
        return _text_of(bytes(value))
    if isinstance(value, (list, dict, tuple)):
        return orjson.dumps(value, default=_json_value, option=_OPTIONS).decode()
    return str(value)


def _text_of(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return f"0x{value.hex()}"
    return text if "\0" not in text else f"0x{value.hex()}"


def _json_value(value: object) -> object:
    """What JSON has no form of. Whole decimals (sums of integers) stay numbers where 64 bits hold them."""
    if isinstance(value, Decimal):
        is_small = value == value.to_integral_value() and abs(value) < 2**63
        return int(value) if is_small else str(value)
    if isinstance(value, int):
        return str(value)
    return words(value)


def read_rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    """The rows of a batch as Python values."""
    columns = [column.to_pylist() for column in batch.columns]
    return zip(*columns, strict=True) if columns else iter(())


def csv_lines(rows: Sequence[Sequence[object]]) -> bytes:
    """Rows as CSV (RFC 4180). An empty text is quoted, null is nothing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    for row in rows:
        writer.writerow([words(value) for value in row])
    return out.getvalue().encode("utf-8", "backslashreplace")


def json_lines(names: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """Rows as JSON objects, one a line, with commas between."""
    return b",\n".join(
        orjson.dumps(dict(zip(names, map(_plain, row), strict=True)), default=_json_value, option=_OPTIONS)
        for row in rows
    )


def _plain(value: object) -> object:
    """Values whose JSON form orjson would choose differently from us."""
    if isinstance(value, (datetime, date, time, timedelta)) or (isinstance(value, int) and abs(value) >= 2**63):
        return words(value)
    return value


def distinct_names(columns: Sequence[Column]) -> list[str]:
    """Column names for JSON, where they must differ: a repeated one gets a number."""
    names: list[str] = []
    for column in columns:
        name, again = column.name, 1
        while name in names:
            again += 1
            name = f"{column.name}_{again}"
        names.append(name)
    return names
