"""A handle on the database: transactions that read, transactions that write, and errors in our words.

SQLite. One file, write-ahead log, every commit synced. A write takes the write lock at its begin (`BEGIN IMMEDIATE`),
waiting up to `busy_s`, so that what it reads first cannot have changed when it writes; readers are never blocked.
PostgreSQL. The same transactions at isolation level REPEATABLE READ.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError

from catchment.database.migrate import migrate
from catchment.database.settings import DatabaseSettings
from catchment.errors import BadConfig, CatchmentError, Conflict, Full, MissingExtra, Unavailable
from catchment.journal import write_ahead

_WRITES = "catchment_writes"
_FASTER = ("40001", "40P01")
"""PostgreSQL: serialization_failure, deadlock_detected."""


class Database:
    """`open_database` makes one. Safe to use from several threads; each transaction belongs to one."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the database. Raises Unavailable."""
        with _in_our_words(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that commits at the end of the block, or not at all when it raises.

        Raises Unavailable (also after waiting `busy_s` for another writer), Conflict when another writer was faster
        (PostgreSQL), Full.
        """
        writing = self._engine.execution_options(**{_WRITES: True})
        with _in_our_words(), writing.begin() as connection:
            yield connection

    def insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that can tell what to do with rows that are there (`on_conflict_do_update`)."""
        return sqlite.insert(table) if self._engine.dialect.name == "sqlite" else postgresql.insert(table)

    def close(self) -> None:
        """Let all connections go. May be called again."""
        self._engine.dispose()


def open_database(settings: DatabaseSettings, data_dir: Path) -> Database:
    """The database at `settings.url` with today's tables; a relative SQLite file is below `data_dir`, made when absent.

    Raises BadConfig for an unknown scheme or an unusable place, MissingExtra without PostgreSQL's library, Incompatible
    when a newer program has changed the tables, Unavailable when the server does not answer.
    """
    scheme, colon, rest = settings.url.partition(":")
    if scheme == "sqlite" and colon and rest.removeprefix("//"):
        engine = _sqlite((data_dir / rest.removeprefix("//")).absolute(), settings.busy_s)
        options: dict[str, Any] = {_WRITES: True}
    elif scheme == "postgresql" and rest.startswith("//"):
        engine = _postgresql(settings)
        options = {"isolation_level": "READ COMMITTED"}  # what the holder of the lock has committed must be seen
    else:
        raise BadConfig(
            f"[database] url is {settings.url!r}, must be `sqlite:` and a path or `postgresql://user@host/name`; for "
            "example `sqlite:catchment.db`"
        )
    try:
        with _in_our_words(), engine.execution_options(**options).begin() as connection:
            migrate(connection)
    except CatchmentError:
        engine.dispose()
        raise
    return Database(engine)


def _sqlite(path: Path, busy_s: float) -> sa.Engine:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadConfig(f"[database] url: {path.parent} cannot be made: {error.strerror}; name another file") from error
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), connect_args={"timeout": busy_s})

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        write_ahead(connection, busy_s)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql(settings: DatabaseSettings) -> sa.Engine:
    url = sa.make_url(settings.url).set(drivername="postgresql+psycopg")
    if settings.password:
        url = url.set(password=settings.password)
    try:
        return sa.create_engine(
            url,
            isolation_level="REPEATABLE READ",
            pool_pre_ping=True,
            connect_args={"connect_timeout": max(round(settings.busy_s), 2)},
        )
    except ModuleNotFoundError as error:
        raise MissingExtra("[database] url `postgresql:`", "postgres") from error


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        text = (str(error.orig).strip() or type(error.orig).__name__).splitlines()[0]
        if getattr(error.orig, "sqlstate", None) in _FASTER:
            raise Conflict(f"the database: another writer was faster ({text}); nothing was changed") from error
        if "is full" in text or "No space" in text:
            raise Full(f"the database cannot be written: {text}; free space on its disk") from error
        if isinstance(error, OperationalError):
            raise Unavailable(f"the database does not answer: {text}; see [database] url") from error
        if "not a database" in text:
            raise BadConfig(f"[database] url: {text}; name another file") from error
        raise
