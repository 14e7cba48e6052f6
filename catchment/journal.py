"""The journal of a SQLite file that several processes use: written ahead, so that readers and a writer do not wait."""

from __future__ import annotations

import sqlite3
import time

_PAUSE_S = 0.01


def write_ahead(connection: sqlite3.Connection, busy_s: float) -> None:
    """Set the journal mode, every change synced. Of two processes that do it to a new file at once SQLite refuses one
    without waiting, whatever its timeout; so it is asked again for `busy_s`. Raises OperationalError then."""
    deadline_s = time.monotonic() + busy_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                raise
        time.sleep(_PAUSE_S)
    connection.execute("PRAGMA synchronous=FULL")
