"""A home whose raw topic the loader has loaded, a ledger over it, and what the ledger must say of it.

`run_ledger` is what a child process does: count until all is counted, dying at the n-th crash point if told so.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation

from catchment.clock import Clock, ManualClock
from catchment.database.database import Database, open_database
from catchment.database.settings import DatabaseSettings
from catchment.events import Events
from catchment.ingestion.ledger.balance import Judge, Line, Query, details, lines
from catchment.ingestion.ledger.loop import Ledger
from catchment.ingestion.ledger.settings import LedgerSettings
from catchment.lake import datafiles
from catchment.lake.plan import plan
from catchment.lake.snapshots import Change, offsets_of
from catchment.lake.tables import Lake
from tests.dying import CrashPoints
from tests.loader import scene as loading

EVER = Query(0, 1 << 40)
LATER_S = 600.0


def clock_after(seconds: float = LATER_S) -> ManualClock:
    """A clock that stands after the submissions of the loader's scene."""
    clock = ManualClock(loading.START_NS)
    clock.advance(3600 + seconds)
    return clock


def open_ledger(
    home: Path, database: Database, clock: Clock, settings: LedgerSettings | None = None, at: object = None
) -> Ledger:
    log, lake = loading.open_parts(home)
    extra = {"at": at} if callable(at) else {}
    return Ledger(settings or LedgerSettings(), log, lake, database, clock, Events("ledger", sys.stderr), **extra)


def count_all(home: Path, database: Database, clock: Clock) -> None:
    """Turns of a fresh ledger until nothing is left."""
    ledger = open_ledger(home, database, clock)
    while ledger.turn():
        continue
    ledger.close()


def read(home: Path, database: Database, clock: Clock, query: Query = EVER) -> list[Line]:
    log, _ = loading.open_parts(home)
    judge = Judge.of(database, log, clock.time_ns() / 1e9, LedgerSettings().grace_s)
    found = lines(database, query, judge)
    log.close()
    return found


def totals(found: list[Line]) -> dict[str, int]:
    """Counts over all lines, those that are 0 left out, and the balance."""
    counts: Counter[str] = Counter()
    for line in found:
        counts.update(line.counts)
    held = {name: number for name, number in counts.items() if number}
    return held | {"balance": sum(line.balance for line in found)}


def picture(home: Path, database: Database, clock: Clock) -> object:
    """All that the ledger says, comparable."""
    found = read(home, database, clock)
    shown = [(line.begins_s, line.namespace, line.doctype, dict(line.counts), line.balance) for line in found]
    return shown, details(database, EVER)


def rewrite(lake: Lake, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Replace all files of a table by one with other rows, as somebody does by hand."""

    def prepare(table: Table) -> Change:
        before = plan(table, AlwaysTrue())
        rows = change(table.scan().to_arrow())
        removed = frozenset(file.file_path for file in before)
        return Change(Operation.DELETE, datafiles.write(table, rows), removed, offsets_of(table))

    lake.committer.commit(name, prepare)


def run_ledger(home: Path, url: str, die_at: int | None, journal: Path | None = None, turn_records: int = 6) -> None:
    """Count everything in small turns; what a child process does. Writes the points passed to `journal`."""
    from catchment.ingestion.ledger import topics

    topics.TURN_RECORDS, topics._POLL_RECORDS = turn_records, 3
    points = CrashPoints(die_at)
    database = open_database(DatabaseSettings(url=url), home)
    ledger = open_ledger(home, database, clock_after(), LedgerSettings(minutes_kept_h=1), points)
    while ledger.turn():
        continue
    ledger.close()
    database.close()
    if journal is not None:
        journal.write_text("\n".join(points.passed))
