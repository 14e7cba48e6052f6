"""What the ledger says: lines of counts, and for each whether it balances.

| state | meaning |
|---|---|
| balanced | everything accepted is accounted for |
| open | not yet, and the grace time after the minute's end, or after its last change, is not over |
| waiting | not yet, but the loader has still to read records of that minute |
| gap | it cannot be judged: records around this minute cannot be read |
| unbalanced | accepted ones are missing (balance above 0), or something is there more often than it came (below 0) |

`waiting` and `unbalanced` are told; a line stays in its state until it balances.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from catchment.database.database import Database
from catchment.database.tables import COUNTS, ledger, ledger_details, ledger_gaps
from catchment.errors import Corrupt, Missing
from catchment.ingestion.ledger.book import Gap
from catchment.ingestion.ledger.headings import name_of, of_raw
from catchment.log.port import Log, TopicPartition

STATES = ("balanced", "open", "gap", "waiting", "unbalanced")
"""From good to bad."""
TOLD = ("waiting", "unbalanced")
LOADER_GROUP = "loader"
_JUDGED = ("raw/", "duplicates/", "lost ")
"""Sources whose gaps make a balance unknowable."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which lines: submission times from `since_s` to before `until_s`; "" is every namespace or doctype."""

    since_s: int
    until_s: int
    namespace: str = ""
    doctype: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """The counts of a span of submission time. A sum over several namespaces or doctypes has "*" there."""

    begins_s: int
    span_s: int
    namespace: str
    doctype: str
    counts: Mapping[str, int]
    balance: int
    changed_s: int
    state: str

    @property
    def ends_s(self) -> int:
        return self.begins_s + self.span_s


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides states as of `now_s`. `loaded_until_s` is the submission time up to which the loader has read."""

    now_s: float
    grace_s: float
    loaded_until_s: float
    gaps: Sequence[Gap]

    @classmethod
    def of(cls, database: Database, log: Log, now_s: float, grace_s: float) -> Judge:
        with database.read() as connection:
            rows = connection.execute(sa.select(ledger_gaps))
            gaps = [
                Gap(row.source, row.first, row.next, row.reason, row.since_s, row.until_s)
                for row in rows
                if row.source.startswith(_JUDGED)
            ]
        return cls(now_s, grace_s, loaded_until_s(log), gaps)

    def state(self, begins_s: int, span_s: int, balance: int, changed_s: int) -> str:
        ends_s = begins_s + span_s
        if balance == 0:
            return "balanced"
        if self.now_s < max(ends_s, changed_s) + self.grace_s:
            return "open"
        if any(_covers(gap, begins_s, ends_s) for gap in self.gaps):
            return "gap"
        is_behind = self.loaded_until_s < (math.inf if begins_s == 0 else ends_s)
        return "waiting" if balance > 0 and is_behind else "unbalanced"


def _covers(gap: Gap, begins_s: int, ends_s: int) -> bool:
    """Whether the gap makes a balance unknowable: that of its minutes, and of time 0, where lost records are."""
    return begins_s == 0 or (gap.since_s < ends_s and gap.until_s >= begins_s)


def loaded_until_s(log: Log) -> float:
    """The earliest minute of a record that the loader reads next, over all partitions; infinity when it has read all.
    0 when such a record cannot be read or tells no time."""
    until_s = math.inf
    for number in range(log.topics().get("raw", 0)):
        source = TopicPartition("raw", number)
        bounds = log.bounds(source)
        taken = max(log.committed(LOADER_GROUP, source) or 0, bounds.start)
        if taken >= bounds.end:
            continue
        reader = log.open_reader(source, taken)
        try:
            found = reader.read(1, 1, 0.0)
        except (Missing, Corrupt):
            return 0
        finally:
            reader.close()
        if found:
            until_s = min(until_s, of_raw(found[0].payload).minute_s)
    return until_s


def lines(database: Database, query: Query, judge: Judge) -> list[Line]:
    """All lines of the query, the newest first, by namespace and doctype within a time."""
    wanted = sa.select(ledger).where(_matches(ledger, query))
    return _read(database, wanted.order_by(ledger.c.begins_s.desc(), ledger.c.namespace, ledger.c.doctype), judge)


def told(database: Database, judge: Judge) -> list[Line]:
    """Every line that waits or does not balance, of all times, the newest first."""
    wanted = sa.select(ledger).where(ledger.c.balance != 0).order_by(ledger.c.begins_s.desc())
    return [line for line in _read(database, wanted, judge) if line.state in TOLD]


def details(database: Database, query: Query) -> list[dict[str, Any]]:
    """Sums over the query by namespace, doctype, kind and detail: rows per table, errors per code, drops per reason."""
    columns = ledger_details.c
    group = (columns.namespace, columns.doctype, columns.kind, columns.detail)
    total = sa.func.sum(columns.records).label("records")
    wanted = sa.select(*group, total).where(_matches(ledger_details, query), columns.detail != "").group_by(*group)
    with database.read() as connection:
        rows = [(*row[:4], int(row[4])) for row in connection.execute(wanted) if row[4]]
    rows.sort(key=lambda row: (*row[:3], -row[4]))
    return [dict(zip(("namespace", "doctype", "kind", "detail", "records"), row, strict=True)) for row in rows]


def summed(found: Iterable[Line], by: str) -> list[Line]:
    """The lines added up: `by` "minute" over namespaces and doctypes, "doctype" over time; in the order of the first.
    A sum is in the worst state of its parts."""
    groups: dict[tuple[object, ...], list[Line]] = {}
    for line in found:
        key = (line.begins_s, line.span_s) if by == "minute" else (line.namespace, line.doctype)
        groups.setdefault(key, []).append(line)
    return [_sum(group, by) for group in groups.values()]


def _sum(group: Sequence[Line], by: str) -> Line:
    first, begins_s = group[0], min(line.begins_s for line in group)
    return Line(
        begins_s,
        max(line.ends_s for line in group) - begins_s,
        "*" if by == "minute" else first.namespace,
        "*" if by == "minute" else first.doctype,
        {name: sum(line.counts[name] for line in group) for name in COUNTS},
        sum(line.balance for line in group),
        max(line.changed_s for line in group),
        max((line.state for line in group), key=STATES.index),
    )


def _matches(table: sa.Table, query: Query) -> sa.ColumnElement[bool]:
    columns = table.c
    is_within = sa.and_(columns.begins_s + columns.span_s > query.since_s, columns.begins_s < query.until_s)
    if query.namespace:
        is_within &= columns.namespace == name_of(query.namespace)
    if query.doctype:
        is_within &= columns.doctype == name_of(query.doctype)
    return is_within


def _read(database: Database, wanted: sa.Select[Any], judge: Judge) -> list[Line]:
    with database.read() as connection:
        return [
            Line(
                row.begins_s,
                row.span_s,
                row.namespace,
                row.doctype,
                {name: getattr(row, name) for name in COUNTS},
                row.balance,
                row.changed_s,
                judge.state(row.begins_s, row.span_s, row.balance, row.changed_s),
            )
            for row in connection.execute(wanted)
        ]
