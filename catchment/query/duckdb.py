"""DuckDB over the lake: one in-memory database a query, closed to everything but the files that the query needs.

    text ─▶ parse (one statement that reads) ─▶ tables ─▶ plan files by the query's conditions ─▶ views ─▶ run

A name is a table, the view over all versions of a doctype, or a section of either. A view's tables are planned by the
conditions on the view; of versions that `document_version` excludes, no file is.

Each query gets a database of its own, so that nothing it does can reach another. Before its text is bound, the database
may open exactly the planned files (`allowed_paths`), nothing else on the machine or the network, and its configuration
is locked. Memory, temporary disk, threads and time are limited. The statement's kind is checked too: DuckDB would let
COPY write to an allowed path.

Limits: the library runs in this process, and a function that makes one huge value may pass the memory limit briefly.
"""

from __future__ import annotations

import difflib
import os
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
from cachetools import LRUCache
from pyiceberg.expressions import AlwaysFalse, BooleanExpression, Or
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from catchment.errors import QueryError
from catchment.lake.datafiles import is_measured
from catchment.lake.files import path_of
from catchment.lake.plan import plan
from catchment.lake.tables import Lake
from catchment.lake.versions import VERSION_COLUMN, Column, Version, has_version_column, schema_of, unite, views_of
from catchment.query.constants import MEASURABLE, Constants
from catchment.query.places import place, refusal
from catchment.query.port import Limits
from catchment.query.prune import Conditions
from catchment.query.result import QUERIES, DuckdbResult, Prepared
from catchment.query.sections import Section, find_section
from catchment.query.settings import SqlSettings
from catchment.query.statement import Reference, Statement, location, parse
from catchment.query.unions import create_union, may_match, same_columns
from catchment.query.views import Columns, Shapes, create_section, create_view

VIEWS_HELD = 200


@dataclass(slots=True)
class _Asked:
    """What a query asks: its tables, the filters for the files of each, the views over versions, and the sections."""

    tables: dict[str, Table] = field(default_factory=dict)
    needs: dict[str, list[BooleanExpression]] = field(default_factory=lambda: defaultdict(list))
    views: dict[str, tuple[tuple[Version, ...], list[Column]]] = field(default_factory=dict)
    sections: dict[Section, Reference] = field(default_factory=dict)


class DuckdbEngine:
    """The embedded engine. Safe to use from several threads."""

    def __init__(self, lake: Lake, settings: SqlSettings, scratch: Path) -> None:
        """`scratch` is the directory below which queries keep temporary files."""
        self._lake = lake
        self._settings = settings
        self._scratch = scratch
        self._shapes = Shapes()
        self._unions: LRUCache[Hashable, list[Column]] = LRUCache(VIEWS_HELD)
        self._unions_lock = threading.Lock()

    def run(self, sql: str, limits: Limits) -> DuckdbResult:
        started = time.monotonic()
        self._scratch.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="query-", dir=self._scratch))
        connection = self._connect(scratch, limits)
        try:
            statement = parse(connection, sql)
            files = self._make_views(connection, statement, sql)
            relation = self._bind(connection, statement, sql)
            timeout_s = limits.timeout_s or self._settings.timeout_s
            return DuckdbResult(Prepared(connection, relation, sql, files, limits.rows, started, timeout_s, scratch))
        except BaseException as error:
            connection.close()
            shutil.rmtree(scratch, ignore_errors=True)
            if isinstance(error, QueryError):
                QUERIES.labels(error.reason).inc()
            raise

    def _connect(self, scratch: Path, limits: Limits) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(
            ":memory:",
            config={
                "threads": self._settings.threads or os.cpu_count() or 1,
                "memory_limit": f"{limits.memory_bytes or self._settings.memory_bytes}B",
                "temp_directory": str(scratch),
                "max_temp_directory_size": f"{self._settings.temporary_bytes}B",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "allow_community_extensions": "false",
                "python_enable_replacements": "false",
            },
        )
        remote = self._lake.catalog.files.remote
        if remote is not None:  # the limits on paths hold for its files too
            connection.register_filesystem(remote)
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    def _make_views(self, connection: duckdb.DuckDBPyConnection, statement: Statement, sql: str) -> int:
        """Make a view of each table that the statement names and close the database. Returns the number of files."""
        connection.execute("BEGIN TRANSACTION")  # now() is the same while files are chosen and while rows are
        conditions = Conditions(statement.tree)
        constants = Constants(connection)
        asked = _Asked()
        if not statement.is_listing:
            known = self._lake.tables()
            views = views_of(known)
            for reference in statement.references():
                section = _found(reference, [*known, *views], sql)
                if section.path:
                    asked.sections[section] = reference
                over = views.get(section.table)
                if over is None:
                    table = self._table(asked, section.table)
                    columns = self._measured(connection, table)
                    asked.needs[section.table].append(conditions.filter(reference.node, columns, constants.evaluate))
                else:
                    self._ask_view(connection, asked, section, over, reference, conditions, constants)
        planned = [(name, table, _paths(table, asked.needs[name])) for name, table in asked.tables.items()]
        paths = [path for _, _, found in planned for path in found]
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
        connection.execute(f"SET allowed_paths = [{listed}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        schemas: dict[str, Schema] = {}
        for name, table, found in planned:
            namespace, _, short = name.partition(".")
            create_view(connection, self._shapes, (namespace, short), self._columns(connection, table), found)
            schemas[name] = table.schema()
        for name, (versions, united) in asked.views.items():
            create_union(connection, name, united, versions)
            schemas[name] = schema_of(united)
        for section, reference in asked.sections.items():
            if not create_section(connection, section, schemas[section.table]):
                raise QueryError(
                    f"table {section.table} has no column {'.'.join(section.path)}; see `catchment describe "
                    f"{section.table}`",
                    "unknown_table",
                    *place(sql, location(reference.node)),
                )
        return len(paths)

    def _ask_view(
        self,
        connection: duckdb.DuckDBPyConnection,
        asked: _Asked,
        section: Section,
        versions: tuple[Version, ...],
        reference: Reference,
        conditions: Conditions,
        constants: Constants,
    ) -> None:
        """Note what a mention of a view needs of the tables of its versions."""
        tables = [(version.number, self._table(asked, version.table)) for version in versions]
        _, united = asked.views.setdefault(section.table, (versions, self._united(tables)))
        is_numbered = has_version_column(united) and not section.path  # a section may have a field of that name
        numbered = {VERSION_COLUMN: "INTEGER"} if is_numbered else {}
        condition = conditions.filter(reference.node, numbered, constants.evaluate)
        for version, (_, table) in zip(versions, tables, strict=True):
            if may_match(condition, version.number):
                same = same_columns(united, table.schema())
                columns = {name: kind for name, kind in self._measured(connection, table).items() if name in same}
                asked.needs[version.table].append(conditions.filter(reference.node, columns, constants.evaluate))

    def _table(self, asked: _Asked, name: str) -> Table:
        """The table in the version that the query sees."""
        if name not in asked.tables:
            asked.tables[name] = self._lake.load(name)
        return asked.tables[name]

    def _columns(self, connection: duckdb.DuckDBPyConnection, table: Table) -> Columns:
        return self._shapes.of_table(connection, str(table.metadata.table_uuid), table.schema())

    def _measured(self, connection: duckdb.DuckDBPyConnection, table: Table) -> Columns:
        """Columns that conditions are read for."""
        columns = self._columns(connection, table)
        return {column: kind for column, kind in columns.items() if is_measured(column) and kind in MEASURABLE}

    def _united(self, versions: Sequence[tuple[int, Table]]) -> list[Column]:
        """The columns of the view over these; remembered, for it takes a while where there are thousands."""
        key = tuple((number, str(t.metadata.table_uuid), t.schema().schema_id) for number, t in versions)
        with self._unions_lock:
            found = self._unions.get(key)
            if found is None:
                found = self._unions[key] = unite([(number, table.schema()) for number, table in versions])
        return found

    def _bind(self, connection: duckdb.DuckDBPyConnection, statement: Statement, sql: str) -> duckdb.DuckDBPyRelation:
        text = statement.sql
        if statement.is_listing:
            names = ", ".join("('" + name.replace("'", "''") + "')" for name in self._lake.tables())
            text = f"SELECT name FROM (VALUES {names}) t(name)" if names else "SELECT '' AS name WHERE false"
        try:
            return connection.sql(text)
        except duckdb.Error as error:
            raise refusal(error, sql) from error


def _paths(table: Table, needs: Sequence[BooleanExpression]) -> list[str]:
    """The files that hold rows for which one of `needs` may be true."""
    return [path_of(file.file_path) for file in plan(table, Or(AlwaysFalse(), AlwaysFalse(), *needs))]


def _found(reference: Reference, known: Sequence[str], sql: str) -> Section:
    """The table, or the section of one, that is meant; case does not matter. Raises QueryError with what is close."""
    found = find_section(reference.name, known)
    if found is not None:
        return found
    by_case = {name.lower(): name for name in known}
    where = place(sql, location(reference.node))
    close = difflib.get_close_matches(reference.name.lower(), by_case, n=1, cutoff=0.6)
    short = [name for name in known if name.partition(".")[2].lower() == reference.table.lower()]
    advice = "see `catchment tables`"
    if short or close:
        advice = f"did you mean {by_case[close[0]] if close and not short else short[0]}?"
    raise QueryError(f"table {reference.name} is not in the lake; {advice}", "unknown_table", *where)
