"""SQLite files begin with a journal written ahead, also when two processes begin one at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catchment.journal import write_ahead


class Contended(sqlite3.Connection):
    """Refuses the journal mode as SQLite does when another process is just setting it."""

    refusals = 3
    code = sqlite3.SQLITE_BUSY

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if "journal_mode=" in sql and self.refusals:
            self.refusals -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = self.code
            raise error
        return super().execute(sql, *arguments)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Contended]:
    opened = sqlite3.connect(tmp_path / "new.db", factory=Contended)
    yield opened
    opened.close()


def test_a_refusal_for_another_process_is_asked_again(connection: Contended) -> None:
    write_ahead(connection, 60.0)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_it_is_not_asked_for_ever_nor_after_another_error(connection: Contended) -> None:
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        write_ahead(connection, -1.0)
    connection.code = sqlite3.SQLITE_CANTOPEN
    with pytest.raises(sqlite3.OperationalError):
        write_ahead(connection, 60.0)
    assert connection.refusals == 1
