"""Sections: parts of a table's struct columns as views of their own.

    telemetry.main_v4__environment__system    the columns by which rows are found, then the fields of environment.system

The original pipeline cut large pings into sections before it stored them, and a reader of one section saw no other.
Here a ping stays whole in its table and a section is a way to look at it: the table's name and the path to a column,
joined by two underscores. A struct gives a column for each of its fields, anything else is one column. Each view begins
with the columns that files have bounds of, and `metadata`; a field of such a name gets `_2`. So a condition on these
leaves out files as it does for the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyiceberg.schema import Schema
from pyiceberg.types import IcebergType, StructType

from catchment.lake.datafiles import is_measured

SEPARATOR = "__"
METADATA = "metadata"


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a table, as the query names it; an empty path is the table itself."""

    table: str
    path: tuple[str, ...] = ()


def find_section(name: str, known: Sequence[str]) -> Section | None:
    """What `namespace.table__path` means among the known tables; case does not matter. The longest table counts."""
    lower = name.lower()
    tables = [table for table in known if f"{lower}{SEPARATOR}".startswith(f"{table.lower()}{SEPARATOR}")]
    if not tables:
        return None
    table = max(tables, key=len)
    rest = lower[len(table) + len(SEPARATOR) :]
    return Section(table, tuple(rest.split(SEPARATOR)) if rest else ())


def columns_of(schema: Schema, path: Sequence[str]) -> list[tuple[tuple[str, ...], str]] | None:
    """The columns of a section: where each stands in the table, and its name. None when there is no such section."""
    kind: IcebergType = schema.as_struct()
    names: tuple[str, ...] = ()
    for part in path:
        fields = kind.fields if isinstance(kind, StructType) else ()
        field = next((field for field in fields if field.name.lower() == part), None)
        if field is None:
            return None
        names, kind = (*names, field.name), field.field_type
    held = [field.name for field in schema.fields if is_measured(field.name) or field.name == METADATA]
    taken = {name.lower() for name in held}
    inner = [(*names, field.name) for field in kind.fields] if isinstance(kind, StructType) else [names]
    return [((name,), name) for name in held] + [
        (place, f"{place[-1]}_2" if place[-1].lower() in taken else place[-1]) for place in inner
    ]
