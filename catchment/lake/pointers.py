"""Pointers of the catalog in a relational database: which metadata file is the current version of each table.

They are in the tables of Iceberg's JDBC catalog, so that pyiceberg's SqlCatalog, Spark and Trino can open the same
database. A pointer moves in one statement, and only from the version that was expected. What the database cannot do now
is an OSError; then it is not known whether a change has happened. A change that arrives late changes nothing, because
the pointer has moved on by then or the mover looks again before it goes on.

SQLite: a file, write-ahead log, every change synced. PostgreSQL: plain `psycopg`, one connection, opened anew when it
broke; its session commits synchronously whatever the server's default is.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from catchment.directories import make_directory
from catchment.errors import BadConfig, MissingExtra
from catchment.journal import write_ahead

NAME = "catchment"
_BUSY_MS = 30_000
_CONNECT_S = 5
_TABLES = (
    """CREATE TABLE IF NOT EXISTS iceberg_tables (
    catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL,
    metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5),
    PRIMARY KEY (catalog_name, table_namespace, table_name))""",
    """CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
    catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL, property_key VARCHAR(255) NOT NULL,
    property_value VARCHAR(1000) NOT NULL, PRIMARY KEY (catalog_name, namespace, property_key))""",
)
_WHERE = "catalog_name = ? AND table_namespace = ? AND table_name = ?"

Key = tuple[str, str]
"""Namespace and table."""


class CatalogAway(OSError):
    """The catalog does not answer, or refused; whether it has done what was asked is not known."""


class Statements(Protocol):
    """Runs single statements with `?` for values, each its own transaction."""

    def run(self, statement: str, values: Iterable[Any]) -> tuple[list[tuple[Any, ...]], int]:
        """The rows, and how many were changed. Raises CatalogAway."""
        ...

    def close(self) -> None: ...


class Pointers:
    """The pointers of all tables. Safe to use from threads and processes."""

    def __init__(self, statements: Statements) -> None:
        """Makes the tables where they are absent. Raises CatalogAway."""
        self._statements = statements
        for table in _TABLES:
            statements.run(table, ())

    def close(self) -> None:
        self._statements.close()

    def names(self) -> list[str]:
        """`namespace.table` of all tables, sorted."""
        rows, _ = self._statements.run(
            "SELECT table_namespace, table_name FROM iceberg_tables WHERE catalog_name = ? "
            "AND (iceberg_type IS NULL OR iceberg_type = 'TABLE')",
            (NAME,),
        )
        return sorted(f"{namespace}.{table}" for namespace, table in rows)

    def get(self, key: Key) -> str | None:
        """The location of the table's metadata file; None when there is no such table."""
        rows, _ = self._statements.run(f"SELECT metadata_location FROM iceberg_tables WHERE {_WHERE}", (NAME, *key))
        return str(rows[0][0]) if rows else None

    def add(self, key: Key, location: str) -> bool:
        """Make a table's pointer; False when it is there."""
        self._statements.run(
            "INSERT INTO iceberg_namespace_properties VALUES (?, ?, 'exists', 'true') ON CONFLICT DO NOTHING",
            (NAME, key[0]),
        )
        _, made = self._statements.run(
            "INSERT INTO iceberg_tables VALUES (?, ?, ?, ?, NULL, 'TABLE') ON CONFLICT DO NOTHING",
            (NAME, *key, location),
        )
        return made == 1

    def move(self, key: Key, before: str, after: str) -> bool:
        """Move the pointer from one metadata file to the next; False when it is not at `before`."""
        _, moved = self._statements.run(
            f"UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = ? WHERE {_WHERE} "
            "AND metadata_location = ?",
            (after, before, NAME, *key, before),
        )
        return moved == 1


class SqliteStatements:
    """`Statements` in a SQLite file."""

    def __init__(self, path: Path) -> None:
        make_directory(path.parent)
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(
                path, timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False
            )
            write_ahead(self._database, _BUSY_MS / 1000)
        except sqlite3.Error as error:
            raise CatalogAway(str(error)) from error

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def run(self, statement: str, values: Iterable[Any]) -> tuple[list[tuple[Any, ...]], int]:
        with self._lock:
            try:
                cursor = self._database.execute(statement, tuple(values))
                return cursor.fetchall(), cursor.rowcount
            except sqlite3.Error as error:
                raise CatalogAway(str(error)) from error


class PostgresStatements:
    """`Statements` of a PostgreSQL server. Not across a fork: the process that made it has the connection."""

    def __init__(self, url: str, password: str) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtra("a catalog in PostgreSQL", "postgres") from error
        self._library = psycopg
        self._url = url
        self._password = password
        self._lock = threading.Lock()
        self._connection: Any = None
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.Error as error:
            raise BadConfig(f"[catalog] url is {url!r}, which PostgreSQL refuses: {error}") from error

    def close(self) -> None:
        with self._lock:
            self._let_go()

    def run(self, statement: str, values: Iterable[Any]) -> tuple[list[tuple[Any, ...]], int]:
        with self._lock:
            try:
                cursor = self._open().execute(statement.replace("?", "%s"), tuple(values) or None)
                return (cursor.fetchall() if cursor.description else []), cursor.rowcount
            except self._library.Error as error:
                self._let_go()
                raise CatalogAway(" ".join(str(error).split())) from error

    def _open(self) -> Any:
        if self._connection is None or self._connection.closed:
            self._connection = self._library.connect(
                self._url,
                password=self._password or os.environ.get("PGPASSWORD"),
                autocommit=True,
                connect_timeout=_CONNECT_S,
                options="-c synchronous_commit=on -c statement_timeout=30000",
                application_name="catchment catalog",
            )
        return self._connection

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
