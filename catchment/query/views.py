"""Tables of the lake as views of one DuckDB connection.

A view reads the planned files of the table's current version. Files that were written before the table grew lack
columns, or fields inside structs, lists and maps; those read as NULL. DuckDB 2.0 fails with an internal error when one
`read_parquet` spans files whose structs differ and a query takes a nested field (with `union_by_name` and with
`schema` alike), so files are grouped by shape (equal schemas, known from their names), each group is cast to the
table's types where it differs, and the groups are joined by UNION ALL. Fields are matched by name: tables never rename.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence

import duckdb
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from catchment.errors import Incompatible
from catchment.lake.plan import shape_of
from catchment.query.sections import SEPARATOR, Section, columns_of

Columns = dict[str, str]
"""Name → DuckDB type, as DuckDB prints it."""

_TYPES: dict[type[IcebergType], str] = {
    BooleanType: "BOOLEAN",
    IntegerType: "INTEGER",
    LongType: "BIGINT",
    FloatType: "FLOAT",
    DoubleType: "DOUBLE",
    DateType: "DATE",
    TimeType: "TIME",
    TimestampType: "TIMESTAMP",
    TimestamptzType: "TIMESTAMP WITH TIME ZONE",
    StringType: "VARCHAR",
    UUIDType: "UUID",
    BinaryType: "BLOB",
    FixedType: "BLOB",
}


class Shapes:
    """Columns of files by shape, and of table schemas; remembered across queries, since neither ever changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[str, Columns] = {}
        self._schemas: dict[tuple[str, int], Columns] = {}

    def of_table(self, connection: duckdb.DuckDBPyConnection, uuid: str, schema: Schema) -> Columns:
        """The columns of a schema of the table `uuid`."""
        with self._lock:
            held = self._schemas.get((uuid, schema.schema_id))
        if held is None:
            wanted = ", ".join(
                f"CAST(NULL AS {sql_type(field.field_type)}) AS {quoted(field.name)}" for field in schema.fields
            )
            held = _described(connection, f"SELECT {wanted}")
            with self._lock:
                self._schemas[uuid, schema.schema_id] = held
        return held

    def of_files(self, connection: duckdb.DuckDBPyConnection, shape: str, path: str) -> Columns:
        """The columns of the files of a shape, one of which is at `path`."""
        with self._lock:
            held = self._files.get(shape)
        if held is None:
            held = _described(connection, f"SELECT * FROM {_files([path])}")
            with self._lock:
                self._files[shape] = held
        return held


def create_view(
    connection: duckdb.DuckDBPyConnection, shapes: Shapes, name: tuple[str, str], columns: Columns, paths: Sequence[str]
) -> None:
    """Make the view `name` (namespace, table) of the files at `paths`, with exactly these columns."""
    groups: dict[str, list[str]] = defaultdict(list)
    selections: dict[str, str] = {}
    for path in paths:
        shape = shape_of(path)
        if shape not in selections:
            selections[shape] = _selected(columns, shapes.of_files(connection, shape, path))
        groups[selections[shape]].append(path)
    parts = [f"SELECT {selected} FROM {_files(group)}" for selected, group in groups.items()]
    if not parts:
        parts = [f"SELECT {_selected(columns, {})} WHERE false"]
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(name[0])}")
    connection.execute(f"CREATE VIEW {quoted(name[0])}.{quoted(name[1])} AS {' UNION ALL '.join(parts)}")


def create_section(connection: duckdb.DuckDBPyConnection, section: Section, schema: Schema) -> bool:
    """Make the view of a section of a table whose view is there; False when the table has no such column."""
    columns = columns_of(schema, section.path)
    if columns is None:
        return False
    namespace, _, table = section.table.partition(".")
    wanted = ", ".join(f"{'.'.join(map(quoted, place))} AS {quoted(name)}" for place, name in columns)
    view = quoted(SEPARATOR.join((table, *section.path)))
    connection.execute(
        f"CREATE VIEW {quoted(namespace)}.{view} AS SELECT {wanted} FROM {quoted(namespace)}.{quoted(table)}"
    )
    return True


def _selected(columns: Columns, held: Columns) -> str:
    """The columns in the table's order: as they are, cast, or NULL."""
    return ", ".join(
        quoted(name)
        if held.get(name) == kind
        else f"CAST({quoted(name) if name in held else 'NULL'} AS {kind}) AS {quoted(name)}"
        for name, kind in columns.items()
    )


def _files(paths: Sequence[str]) -> str:
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    return f"read_parquet([{listed}], hive_partitioning = false)"


def _described(connection: duckdb.DuckDBPyConnection, query: str) -> Columns:
    return {str(row[0]): str(row[1]) for row in connection.execute(f"DESCRIBE {query}").fetchall()}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def sql_type(kind: IcebergType) -> str:
    """The DuckDB type of an Iceberg type."""
    if isinstance(kind, StructType):
        fields = ", ".join(f"{quoted(field.name)} {sql_type(field.field_type)}" for field in kind.fields)
        return f"STRUCT({fields})"
    if isinstance(kind, ListType):
        return f"{sql_type(kind.element_type)}[]"
    if isinstance(kind, MapType):
        return f"MAP({sql_type(kind.key_type)}, {sql_type(kind.value_type)})"
    if isinstance(kind, DecimalType):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    found = _TYPES.get(type(kind))
    if found is None:
        raise Incompatible(f"a column of type {kind} cannot be queried; its type is unknown to the SQL engine")
    return found
