"""The view over all versions of a doctype, in SQL: one SELECT a version over its table's view, joined by UNION ALL.

What columns there are is decided in `lake/versions.py`; here each version's values are brought into them: as they are,
by a cast, as JSON text, or a struct field by field where a cast by name would mix up two fields. A column that a
version does not have is NULL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
from pyiceberg.expressions import BooleanExpression
from pyiceberg.expressions.visitors import expression_evaluator
from pyiceberg.schema import Schema
from pyiceberg.typedef import Record
from pyiceberg.types import IntegerType, NestedField, PrimitiveType, StringType

from catchment.lake.versions import VERSION_COLUMN, Column, Version, is_cast_by_name
from catchment.query.views import quoted, sql_type

_VERSION = Schema(NestedField(1, VERSION_COLUMN, IntegerType()))


def create_union(
    connection: duckdb.DuckDBPyConnection, name: str, columns: Sequence[Column], versions: Sequence[Version]
) -> None:
    """Make the view `name` (`namespace.doctype`) over the views of these versions' tables, which are there."""
    parts = []
    for version in versions:
        chosen = ", ".join(f"{_value(column, version.number, '')} AS {quoted(column.name)}" for column in columns)
        parts.append(f"SELECT {chosen} FROM {_qualified(version.table)}")
    connection.execute(f"CREATE VIEW {_qualified(name)} AS {' UNION ALL '.join(parts)}")


def may_match(condition: BooleanExpression, number: int) -> bool:
    """Whether rows of this version may fulfil a condition on `document_version`."""
    return bool(expression_evaluator(_VERSION, condition, case_sensitive=True)(Record(number)))


def same_columns(columns: Sequence[Column], schema: Schema) -> set[str]:
    """Columns whose values are in the view what they are in a version's table, so that conditions mean the same."""
    kinds: Mapping[str, str] = {field.name: sql_type(field.field_type) for field in schema.fields}
    return {column.name for column in columns if kinds.get(column.name) == sql_type(column.kind)}


def _value(column: Column, number: int, struct: str) -> str:
    """The column of one version; `struct` is what it is a field of, with a dot behind it, empty at the top."""
    kind = sql_type(column.kind)
    held = column.held.get(number)
    if not column.held:
        return f"CAST({number} AS {kind})"  # the version itself
    if held is None:
        return f"CAST(NULL AS {kind})"
    source = f"{struct}{quoted(held.name)}"
    if sql_type(held.field_type) == kind:
        return source
    if is_cast_by_name(column, number):
        return f"CAST({source} AS {kind})"
    if isinstance(column.kind, StringType) and not isinstance(held.field_type, PrimitiveType):
        return f"CAST(to_json({source}) AS VARCHAR)"
    parts = ", ".join(f"{quoted(part.name)} := {_value(part, number, f'{source}.')}" for part in column.parts)
    return f"CASE WHEN {source} IS NOT NULL THEN struct_pack({parts}) END"


def _qualified(name: str) -> str:
    namespace, _, table = name.partition(".")
    return f"{quoted(namespace)}.{quoted(table)}"
