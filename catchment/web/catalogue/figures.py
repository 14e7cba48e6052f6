"""Figures of doctypes, from the ledger: how many pings came, how many were refused and why, when the last was stored.

The ledger counts by minute, and writes names as tables are called (`new_profile`), so `main` and `Main` are one here.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from catchment.database.database import Database
from catchment.database.tables import ledger
from catchment.ingestion.inspection.failures import Step
from catchment.ingestion.ledger.balance import Query, details

SPANS = {"1d": (86_400, 900), "7d": (604_800, 10_800), "30d": (2_592_000, 86_400)}
"""Span that a chart shows → its length and that of a column, both in seconds. The ledger keeps minutes for two days and
hours for five weeks, so no column is shorter than what is counted."""
COLOURS = {"stored": "c2", "errors": "c0", "duplicates": "c3", "deferred": "c1", "dropped": "others"}
"""What becomes of pings → the colour of its part of a column."""
_COLUMNS = ledger.c


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one doctype: pings accepted, rows stored, pings refused, and the last minute in which rows were stored (its
    end, s since 1970; 0: never)."""

    accepted: int = 0
    stored: int = 0
    errors: int = 0
    latest_s: int = 0

    @property
    def error_share(self) -> float | None:
        """Refused ones among those that were stored or refused; None when there were none."""
        judged = self.stored + self.errors
        return self.errors / judged if judged else None


def figures(database: Database, since_s: int, now_s: int) -> dict[tuple[str, str], Figures]:
    """Namespace and doctype, as the ledger writes them → figures of the time since `since_s`, and the latest of all
    time."""
    is_since = _COLUMNS.begins_s >= since_s
    counts = [
        sa.func.sum(sa.case((is_since, column), else_=0))
        for column in (_COLUMNS.accepted, _COLUMNS.stored, _COLUMNS.errors)
    ]
    latest = sa.func.max(sa.case((_COLUMNS.stored > 0, _COLUMNS.begins_s + _COLUMNS.span_s), else_=0))
    wanted = sa.select(_COLUMNS.namespace, _COLUMNS.doctype, *counts, latest).group_by(
        _COLUMNS.namespace, _COLUMNS.doctype
    )
    with database.read() as connection:
        return {
            (row[0], row[1]): Figures(int(row[2]), int(row[3]), int(row[4]), min(int(row[5]), now_s))
            for row in connection.execute(wanted)
        }


def steps(database: Database, namespace: str, doctype: str, span: str, now_s: int) -> list[Step]:
    """What became of a doctype's pings over one of `SPANS`, a step a column, the oldest first."""
    length_s, step_s = SPANS[span]
    first = (now_s - length_s) // step_s + 1
    found = {
        number: Step(number * step_s * 10**9, step_s, dict[str, int]()) for number in range(first, now_s // step_s + 1)
    }
    number = _COLUMNS.begins_s // step_s
    wanted = (
        sa.select(number, *(sa.func.sum(_COLUMNS[name]) for name in COLOURS))
        .where(_COLUMNS.begins_s >= first * step_s, _COLUMNS.namespace == namespace, _COLUMNS.doctype == doctype)
        .group_by(number)
    )
    with database.read() as connection:
        for row in connection.execute(wanted):
            if int(row[0]) in found:
                pings = found[int(row[0])].pings
                pings |= {name: int(count) for name, count in zip(COLOURS, row[1:], strict=True) if count}
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Details:
    """Since some time: refused pings by code, the most frequent first, and rows by table."""

    codes: tuple[tuple[str, int], ...]
    stored: dict[str, int]


def detailed(database: Database, namespace: str, doctype: str, since_s: int, now_s: int) -> Details:
    parts = details(database, Query(since_s, now_s + 1, namespace, doctype))
    codes = [(part["detail"], part["records"]) for part in parts if part["kind"] == "errors"]
    stored = {part["detail"]: part["records"] for part in parts if part["kind"] == "stored"}
    return Details(tuple(sorted(codes, key=lambda code: (-code[1], code[0]))), stored)
