"""The counts in the database: pages of counts go in, each with the positions that it moves, in one transaction.

A page says from where to where each source was counted; when the database has another position for one of them,
another ledger was here, and the page is refused whole (`Fenced`). Counts of a whole table (its history was gone)
replace what is known of it. Old minutes are rolled up to hours and hours to days; what arrives later for such a time is
added to the hour or day that has it, so totals stay exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from catchment.database.database import Database
from catchment.database.tables import COUNTS, ledger, ledger_details, ledger_gaps, ledger_positions
from catchment.errors import Fenced
from catchment.ingestion.ledger.headings import MINUTE_S, Heading

HOUR_S, DAY_S = 3_600, 86_400
SUBTRACTED = ("stored", "errors", "duplicates", "deferred", "dropped")
"""What accepted submissions become; the rest of them is the balance."""
DETAILED = ("stored", "errors", "deferred", "dropped")
"""Counts that are also kept by detail: table, code, nothing, reason."""
ROLLED = {HOUR_S: "rolled/hours", DAY_S: "rolled/days"}
"""Span → the position that says before which time all is of this span or a longer one."""

_SLOT = ("begins_s", "span_s", "namespace", "doctype")
_DETAIL = (*_SLOT, "kind", "detail")
_GAP = ("source", "first", "next", "reason", "since_s", "until_s")

Entry = tuple[Heading, str, str]
"""Under what, the kind of count (one of `COUNTS`), and its detail."""
_Slot = tuple[int, int, str, str]
_Changes = Counter[tuple[_Slot, str, str]]


@dataclass(frozen=True, slots=True)
class Gap:
    """Records `first` to `next` - 1 of a source that cannot be read any more; they are of minutes `since_s` to
    `until_s`."""

    source: str
    first: int
    next: int
    reason: str
    since_s: int
    until_s: int


@dataclass(slots=True)
class Page:
    """What one turn has counted. `moves`: source → the position that it was counted from (None: never) and to."""

    counts: Counter[Entry] = field(default_factory=Counter)
    moves: dict[str, tuple[int | None, int]] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    whole: set[tuple[str, str]] = field(default_factory=set)
    """(kind, detail) that `counts` has all of; detail "" means every detail."""


class Book:
    """The ledger's tables, for their one writer."""

    def __init__(self, database: Database, at: Callable[[str], None] = lambda point: None) -> None:
        """`at` is told where a crash would be interesting."""
        self._database = database
        self._at = at

    def positions(self) -> dict[str, int]:
        """How far each source is counted."""
        with self._database.read() as connection:
            return _positions(connection)

    def add(self, page: Page, now_s: int) -> None:
        """Make the page's counts and positions durable, all or none. Raises Fenced, and what `Database.write` does."""
        with self._database.write() as connection:
            known = _positions(connection)
            for source, (before, after) in page.moves.items():
                if known.get(source) != before:
                    raise Fenced(
                        f"counting {source} from {before}: the database has it counted up to {known.get(source)}; "
                        "another ledger runs: stop one of them"
                    )
                self._set(connection, source, after)
            self._at("positions_moved")
            changes: _Changes = Counter()
            for (heading, kind, detail), records in page.counts.items():
                changes[_slot(heading, known), kind, detail] += records
            for kind, detail in page.whole:
                changes.subtract(_held(connection, kind, detail))
            self._apply(connection, changes, now_s)
            if page.gaps:
                gaps = [{name: getattr(gap, name) for name in _GAP} | {"found_s": now_s} for gap in page.gaps]
                connection.execute(self._database.insert(ledger_gaps).on_conflict_do_nothing(), gaps)
            self._at("counts_written")
        self._at("page_added")

    def roll_up(self, minutes_before_s: int, hours_before_s: int) -> None:
        """Make hours of the minutes before a time, and days of the hours before another."""
        for span_s, finer_s, before_s in ((HOUR_S, MINUTE_S, minutes_before_s), (DAY_S, HOUR_S, hours_before_s)):
            before_s -= before_s % span_s
            with self._database.write() as connection:
                if before_s > _positions(connection).get(ROLLED[span_s], 0):
                    self._roll(connection, ledger, _SLOT, (*COUNTS, "balance"), span_s, finer_s, before_s)
                    self._roll(connection, ledger_details, _DETAIL, ("records",), span_s, finer_s, before_s)
                    self._set(connection, ROLLED[span_s], before_s)
                    self._at("rolled_up")

    def _set(self, connection: sa.Connection, source: str, position: int) -> None:
        fresh = self._database.insert(ledger_positions).values(source=source, position=position)
        connection.execute(fresh.on_conflict_do_update(index_elements=["source"], set_={"position": position}))

    def _apply(self, connection: sa.Connection, changes: _Changes, now_s: int) -> None:
        slots: dict[_Slot, Counter[str]] = {}
        details: list[dict[str, Any]] = []
        for (slot, kind, detail), by in sorted(changes.items()):
            if not by:
                continue
            slots.setdefault(slot, Counter())[kind] += by
            if kind in DETAILED:
                details.append(dict(zip(_DETAIL, (*slot, kind, detail), strict=True)) | {"records": by})
        rows = [
            dict(zip(_SLOT, slot, strict=True))
            | {name: by[name] for name in COUNTS}
            | {"balance": by["accepted"] - sum(by[name] for name in SUBTRACTED), "changed_s": now_s}
            for slot, by in slots.items()
        ]
        if rows:
            connection.execute(self._adding(ledger, _SLOT, (*COUNTS, "balance")), rows)
        if details:
            connection.execute(self._adding(ledger_details, _DETAIL, ("records",)), details)

    def _roll(
        self,
        connection: sa.Connection,
        table: sa.Table,
        key: Sequence[str],
        sums: Sequence[str],
        span_s: int,
        finer_s: int,
        before_s: int,
    ) -> None:
        begins = (table.c.begins_s - table.c.begins_s % span_s).label("begins_s")
        span = sa.literal(span_s, sa.Integer).label("span_s")
        same = [table.c[name] for name in key[2:]]
        totals = [sa.cast(sa.func.sum(table.c[name]), sa.BigInteger).label(name) for name in sums]
        latest = [sa.func.max(table.c.changed_s).label("changed_s")] if "changed_s" in table.c else []
        old = sa.and_(table.c.span_s == finer_s, table.c.begins_s < before_s)
        grouped = sa.select(begins, span, *same, *totals, *latest).where(old).group_by(begins, *same)
        names = [*key, *sums, *(column.name for column in latest)]
        connection.execute(self._adding(table, key, sums, names, grouped))
        connection.execute(sa.delete(table).where(old))

    def _adding(
        self,
        table: sa.Table,
        key: Sequence[str],
        sums: Sequence[str],
        names: Sequence[str] = (),
        rows: sa.Select[Any] | None = None,
    ) -> sa.Insert:
        """An INSERT that adds `sums` to what stands under the same key already."""
        fresh = self._database.insert(table)
        if rows is not None:
            fresh = fresh.from_select(list(names), rows)
        changed = {name: table.c[name] + fresh.excluded[name] for name in sums}
        if "changed_s" in table.c:
            changed["changed_s"] = fresh.excluded.changed_s
        return fresh.on_conflict_do_update(index_elements=list(key), set_=changed)


def _positions(connection: sa.Connection) -> dict[str, int]:
    return {row.source: row.position for row in connection.execute(sa.select(ledger_positions))}


def _slot(heading: Heading, positions: Mapping[str, int]) -> _Slot:
    """The minute, or the hour or day that it was rolled up to."""
    for span_s in (DAY_S, HOUR_S):
        if heading.minute_s < positions.get(ROLLED[span_s], 0):
            return heading.minute_s - heading.minute_s % span_s, span_s, heading.namespace, heading.doctype
    return heading.minute_s, MINUTE_S, heading.namespace, heading.doctype


def _held(connection: sa.Connection, kind: str, detail: str) -> _Changes:
    """What is known of a kind of count, of one detail or of all."""
    held = sa.select(ledger_details).where(ledger_details.c.kind == kind)
    if detail:
        held = held.where(ledger_details.c.detail == detail)
    rows = connection.execute(held)
    return Counter({((row[0], row[1], row[2], row[3]), kind, row[5]): row[6] for row in rows})
