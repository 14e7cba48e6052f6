"""Key-value in a SQLite file: WAL, each change synced (fsync) before it is answered. Entries that have ended go a few
at a time with each put, so the file does not grow by them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catchment.clock import Clock
from catchment.directories import make_directory
from catchment.errors import BadConfig, Busy, Closed, Corrupt, Full, Unavailable
from catchment.keyvalue.port import Entry, check, space_of

_PAGE = 500
_SWEPT = 20
_KINDS = {
    sqlite3.SQLITE_BUSY: Busy,
    sqlite3.SQLITE_LOCKED: Busy,
    sqlite3.SQLITE_FULL: Full,
    sqlite3.SQLITE_CORRUPT: Corrupt,
    sqlite3.SQLITE_NOTADB: Corrupt,
}
_TABLE = """
CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB NOT NULL, ends_ns INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ends ON entries (ends_ns) WHERE ends_ns IS NOT NULL;
"""
_LIVES = "(ends_ns IS NULL OR ends_ns > :now)"
_PUT = """
INSERT INTO entries VALUES (:key, :value, :ends)
ON CONFLICT DO UPDATE SET value = excluded.value, ends_ns = excluded.ends_ns
"""


class SqliteKeyValue:
    """`KeyValue` in a file."""

    def __init__(self, path: Path, clock: Clock, timeout_s: float) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        try:
            make_directory(path.parent)
            self._connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise BadConfig(f"[keyvalue] url: {path} cannot be opened: {error}; name a file to write to") from error
        with self._using() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_TABLE)

    def get(self, key: str) -> bytes | None:
        space_of(key)
        with self._using() as connection:
            found = connection.execute(
                f"SELECT value FROM entries WHERE key = :key AND {_LIVES}", {"key": key, "now": self._clock.time_ns()}
            ).fetchone()
        return None if found is None else bytes(found[0])

    def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        check(key, value)
        entry = self._entry(key, value, ttl_s)
        with self._changing() as connection:
            connection.execute(_PUT, entry)
            connection.execute(
                "DELETE FROM entries WHERE key IN (SELECT key FROM entries WHERE ends_ns <= :now LIMIT :swept)",
                {"now": entry["now"], "swept": _SWEPT},
            )

    def put_if(self, key: str, value: bytes, expected: bytes | None, ttl_s: float | None = None) -> bool:
        check(key, value)
        entry = self._entry(key, value, ttl_s)
        with self._changing() as connection:
            found = connection.execute(f"SELECT value FROM entries WHERE key = :key AND {_LIVES}", entry).fetchone()
            if (None if found is None else bytes(found[0])) != expected:
                return False
            connection.execute(_PUT, entry)
        return True

    def delete(self, key: str) -> None:
        space_of(key)
        with self._changing() as connection:
            connection.execute("DELETE FROM entries WHERE key = ?", (key,))

    def scan(self, prefix: str) -> Iterator[Entry]:
        space_of(prefix)
        return self._pages(prefix)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _pages(self, prefix: str) -> Iterator[Entry]:
        comparison, place = ">=", prefix
        while True:
            with self._using() as connection:
                page = connection.execute(
                    f"SELECT key, value FROM entries WHERE key {comparison} :place AND {_LIVES} "
                    "ORDER BY key LIMIT :page",
                    {"place": place, "now": self._clock.time_ns(), "page": _PAGE},
                ).fetchall()
            for key, value in page:
                if not key.startswith(prefix):
                    return
                yield Entry(key, bytes(value))
            if len(page) < _PAGE:
                return
            comparison, place = ">", page[-1][0]

    def _entry(self, key: str, value: bytes, ttl_s: float | None) -> dict[str, object]:
        now = self._clock.time_ns()
        ends = None if ttl_s is None else now + round(ttl_s * 1e9)
        return {"key": key, "value": value, "ends": ends, "now": now}

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection
            except sqlite3.ProgrammingError as error:
                raise Closed(f"key-value store {self._path}: used after close") from error
            except sqlite3.Error as error:
                kind = _KINDS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, Unavailable)
                raise kind(f"key-value store {self._path}: {error}; nothing was changed, try again") from error

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._using() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
