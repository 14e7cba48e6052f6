"""DuckDB over the lake: one in-memory database a query, closed to everything but the files that the query needs.

    text ─▶ parse (one statement that reads) ─▶ tables ─▶ plan files by the query's conditions ─▶ views ─▶ run

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
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb
from pyiceberg.expressions import AlwaysFalse, Or
from pyiceberg.schema import Schema

from catchment.errors import QueryError
from catchment.lake.datafiles import is_measured
from catchment.lake.files import path_of
from catchment.lake.plan import plan
from catchment.lake.tables import Lake
from catchment.query.constants import MEASURABLE, Constants
from catchment.query.places import place, refusal
from catchment.query.port import Limits
from catchment.query.prune import Conditions
from catchment.query.result import QUERIES, DuckdbResult, Prepared
from catchment.query.sections import Section, find_section
from catchment.query.settings import SqlSettings
from catchment.query.statement import Reference, Statement, location, parse
from catchment.query.views import Columns, Shapes, create_section, create_view


class DuckdbEngine:
    """The embedded engine. Safe to use from several threads."""

    def __init__(self, lake: Lake, settings: SqlSettings, scratch: Path) -> None:
        """`scratch` is the directory below which queries keep temporary files."""
        self._lake = lake
        self._settings = settings
        self._scratch = scratch
        self._shapes = Shapes()

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
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    def _make_views(self, connection: duckdb.DuckDBPyConnection, statement: Statement, sql: str) -> int:
        """Make a view of each table that the statement names and close the database. Returns the number of files."""
        connection.execute("BEGIN TRANSACTION")  # now() is the same while files are chosen and while rows are
        conditions = Conditions(statement.tree)
        constants = Constants(connection)
        planned: list[tuple[tuple[str, str], Columns, list[str], Schema]] = []
        by_table: dict[str, list[Reference]] = {}
        sections: dict[Section, Reference] = {}
        if not statement.is_listing:
            known = self._lake.tables()
            for reference in statement.references():
                section = _found(reference, known, sql)
                by_table.setdefault(section.table, []).append(reference)
                if section.path:
                    sections[section] = reference
        for name, references in by_table.items():
            planned.append(self._planned(connection, name, references, conditions, constants))
        paths = [path for _, _, found, _ in planned for path in found]
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
        connection.execute(f"SET allowed_paths = [{listed}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        schemas: dict[str, Schema] = {}
        for view, columns, found, schema in planned:
            create_view(connection, self._shapes, view, columns, found)
            schemas[".".join(view)] = schema
        for section, reference in sections.items():
            if not create_section(connection, section, schemas[section.table]):
                raise QueryError(
                    f"table {section.table} has no column {'.'.join(section.path)}; see `catchment describe "
                    f"{section.table}`",
                    "unknown_table",
                    *place(sql, location(reference.node)),
                )
        return len(paths)

    def _planned(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        references: Sequence[Reference],
        conditions: Conditions,
        constants: Constants,
    ) -> tuple[tuple[str, str], Columns, list[str], Schema]:
        table = self._lake.load(name)
        columns = self._shapes.of_table(connection, str(table.metadata.table_uuid), table.schema())
        measured = {column: kind for column, kind in columns.items() if is_measured(column) and kind in MEASURABLE}
        needs = [conditions.filter(reference.node, measured, constants.evaluate) for reference in references]
        paths = [path_of(file.file_path) for file in plan(table, Or(AlwaysFalse(), AlwaysFalse(), *needs))]
        namespace, _, short = name.partition(".")
        return (namespace, short), columns, paths, table.schema()

    def _bind(self, connection: duckdb.DuckDBPyConnection, statement: Statement, sql: str) -> duckdb.DuckDBPyRelation:
        text = statement.sql
        if statement.is_listing:
            names = ", ".join("('" + name.replace("'", "''") + "')" for name in self._lake.tables())
            text = f"SELECT name FROM (VALUES {names}) t(name)" if names else "SELECT '' AS name WHERE false"
        try:
            return connection.sql(text)
        except duckdb.Error as error:
            raise refusal(error, sql) from error


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
