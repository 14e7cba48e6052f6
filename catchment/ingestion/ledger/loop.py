"""The ledger's service: count, write the page, judge; every few seconds, at once while much is waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

from catchment import metrics
from catchment.clock import Clock
from catchment.database.database import Database
from catchment.errors import Full, Transient
from catchment.events import Events
from catchment.health import ERROR, WARNING, Finding
from catchment.ingestion.ledger.balance import Judge, Line, told
from catchment.ingestion.ledger.book import DAY_S, HOUR_S, Book, Page
from catchment.ingestion.ledger.settings import LedgerSettings
from catchment.ingestion.ledger.tables import TableCounter
from catchment.ingestion.ledger.topics import ARCHIVED, ARRIVING, TopicCounter
from catchment.lake.tables import Lake
from catchment.log.port import Log

ROLL_UP_S = 600.0

UNBALANCED = metrics.gauge(
    "ledger_unbalanced_records",
    "Records that are missing, or there twice, after the grace time; those that wait for the loader apart.",
    "records",
    ("state",),
)
LINES = metrics.gauge(
    "ledger_unbalanced_lines", "Minutes of a doctype that do not balance after the grace time.", "lines", ("state",)
)
TURNS = metrics.histogram("ledger_turn_seconds", "Time of one turn: counting, writing, judging.", "seconds")


class Ledger:
    """The service. One thread runs it; `stop` and `check` may be called from any."""

    def __init__(
        self,
        settings: LedgerSettings,
        log: Log,
        lake: Lake,
        database: Database,
        clock: Clock,
        events: Events,
        *,
        lenient: Collection[str] = (),
        at: Callable[[str], None] = lambda point: None,
    ) -> None:
        """`lenient` are the namespaces whose paths the decoder reads by the rules of 2018."""
        self._settings = settings
        self._log = log
        self._database = database
        self._clock = clock
        self._events = events
        self._at = at
        self._stopping = threading.Event()
        self._book = Book(database, at)
        self._positions = self._book.positions()
        self._topics = [
            TopicCounter(log, streams, self._positions, events, lenient) for streams in (ARRIVING, ARCHIVED)
        ]
        self._tables = TableCounter(log, lake, self._positions, events)
        self._page: Page | None = None
        self._roll_up_at_s = clock.monotonic_s()
        self._told: dict[tuple[int, int, str, str], str] = {}
        self._findings: tuple[Finding, ...] = ()

    def run(self) -> None:
        """Work until `stop`; a last turn counts what came until then."""
        try:
            while not self._stopping.is_set():
                if not self.turn():
                    self._stopping.wait(self._settings.period_s)
            self.turn()
        finally:
            self.close()

    def stop(self) -> None:
        """End `run`. From any thread or a signal handler."""
        self._stopping.set()

    def close(self) -> None:
        for counter in self._topics:
            counter.close()

    def check(self) -> Sequence[Finding]:
        """The findings of the last turn."""
        return self._findings

    def turn(self) -> bool:
        """Count on, once; returns whether more is waiting. A database that does not answer, or is full, keeps the page
        for the next turn. Raises Fenced when another ledger counts too."""
        started_s = self._clock.monotonic_s()
        is_more = False
        if self._page is None:
            self._page = Page()
            for counter in self._topics:
                is_more |= counter.count(self._page)
            self._tables.count(self._page)
        try:
            self._add(self._page)
            self._page = None
            self._roll_up()
            self._judge()
        except (Transient, Full) as error:
            if not any(finding.code == "ledger_waits" for finding in self._findings):
                self._events.warning("ledger_waits", error=error)
            self._findings = (Finding("ledger_waits", WARNING, str(error)),)
            return False
        TURNS.observe(self._clock.monotonic_s() - started_s)
        return is_more

    def _add(self, page: Page) -> None:
        self._at("page_made")
        if page.moves:
            self._book.add(page, self._now_s())
            self._positions.update({source: after for source, (_, after) in page.moves.items()})

    def _roll_up(self) -> None:
        if self._clock.monotonic_s() < self._roll_up_at_s:
            return
        self._roll_up_at_s = self._clock.monotonic_s() + ROLL_UP_S
        minutes_s, hours_s = self._settings.minutes_kept_h * HOUR_S, self._settings.hours_kept_d * DAY_S
        self._book.roll_up(self._now_s() - round(minutes_s), self._now_s() - round(hours_s))

    def _judge(self) -> None:
        judge = Judge.of(self._database, self._log, self._now_s(), self._settings.grace_s)
        found = told(self._database, judge)
        states = {(line.begins_s, line.span_s, line.namespace, line.doctype): line.state for line in found}
        fresh = [line for line, key in zip(found, states, strict=True) if self._told.get(key) != line.state]
        self._announce("waiting", fresh)
        self._announce("unbalanced", fresh)
        if self._told and not states:
            self._events.info("ledger_balanced")
        self._told = states
        for state in ("waiting", "unbalanced"):
            members = [line for line in found if line.state == state]
            LINES.labels(state).set(len(members))
            UNBALANCED.labels(state).set(sum(abs(line.balance) for line in members))
        self._findings = (*self._failures(), *_findings(found))

    def _announce(self, state: str, fresh: Sequence[Line]) -> None:
        """One event for all lines that are new in a state; the newest is named."""
        members = [line for line in fresh if line.state == state]
        if not members:
            return
        line = members[0]
        tell = self._events.error if state == "unbalanced" else self._events.warning
        tell(
            "ledger_unbalanced",
            state=state,
            lines=len(members),
            records=sum(line.balance for line in members),
            minute_s=line.begins_s,
            namespace=line.namespace,
            doctype=line.doctype,
            balance=line.balance,
        )

    def _failures(self) -> list[Finding]:
        failures = [*(counter.failure for counter in self._topics), self._tables.failure]
        return [Finding("ledger_cannot_count", ERROR, failure) for failure in failures if failure]

    def _now_s(self) -> int:
        return self._clock.time_ns() // 1_000_000_000


def _findings(found: Sequence[Line]) -> list[Finding]:
    """What the operator reads: how much waits for the loader (a warning), how much does not balance (an error)."""
    findings = []
    for state, level, words in (
        ("waiting", WARNING, "wait for the loader longer than the grace time"),
        ("unbalanced", ERROR, "do not balance"),
    ):
        members = [line for line in found if line.state == state]
        if members:
            records = sum(abs(line.balance) for line in members)
            findings.append(
                Finding(f"ledger_{state}", level, f"{records:,} records {words}; see `catchment ledger --by both`")
            )
    return findings
