"""Counts of log partitions: each record once, under its heading.

The ledger is a group of the log, so that of several ledgers one counts a partition; the database says where to go on.
Offsets have no gaps, so a jump from one record to the next tells how many cannot be read any more, and why:

    uncounted   retention removed them before the ledger came; the loader holds topic raw back, so they are loaded
    damaged     their bytes were lost or moved away: of topic raw they are counted as accepted, at no time
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from catchment import metrics
from catchment.errors import CatchmentError, Corrupt, Malformed, Missing
from catchment.events import Events
from catchment.ingestion.ledger.book import Gap, Page
from catchment.ingestion.ledger.headings import Heading, of_raw, of_stream
from catchment.log.port import Consumer, Log, Record, TopicPartition

ARCHIVER_GROUP = "archiver"
TURN_RECORDS = 50_000
"""Most records of a turn, so that a page is written soon."""
_POLL_RECORDS, _POLL_BYTES = 2_000, 8 * 1024 * 1024
_NO_END = 1 << 62

COUNTED = metrics.counter("ledger_counted_total", "Records that the ledger has counted.", "records", ("count",))

_KINDS = {"raw": "accepted", "decoded": "decoded", "duplicates": "duplicates"}
_HEADING_OF: dict[str, Callable[[bytes], Heading]] = {"raw": of_raw, "decoded": of_stream, "duplicates": of_stream}


@dataclass(frozen=True, slots=True)
class Streams:
    """What a group of the ledger counts: topics, and whether only what is archived."""

    group: str
    topics: tuple[str, ...]
    is_archive: bool = False

    def label(self, source: TopicPartition) -> str:
        """The source's name in the database."""
        return f"archived {source}" if self.is_archive else str(source)


ARRIVING = Streams("ledger", ("raw", "decoded", "duplicates"))
ARCHIVED = Streams("ledger-archive", ("raw",), is_archive=True)


class TopicCounter:
    """Counts on, from the positions that the database has. One thread uses it."""

    def __init__(
        self, log: Log, streams: Streams, positions: Mapping[str, int], events: Events, lenient: Collection[str] = ()
    ) -> None:
        """`positions` are those of the database, kept up to date by the caller; `lenient` is as `of_raw` takes it."""
        self._log = log
        self._streams = streams
        self._positions = positions
        self._events = events
        self._next: dict[TopicPartition, int] = {}
        self._minutes: dict[TopicPartition, int] = {}
        self.failure = ""
        """Why a partition cannot be counted now, empty when all can."""
        self._heading_of: dict[str, Callable[[bytes], Heading]] = {
            **_HEADING_OF,
            "raw": partial(of_raw, lenient=lenient),
        }
        self._consumer: Consumer = log.open_consumer(
            streams.group, streams.topics, on_assigned=self._assigned, on_lost=_pass_over
        )

    def count(self, page: Page) -> bool:
        """Add what has come since to the page; returns whether more is there already."""
        failures: list[CatchmentError] = []
        taken = 0
        while taken < TURN_RECORDS and self._is_due():
            try:
                batch = self._consumer.poll(_POLL_RECORDS, _POLL_BYTES, 0.0)
            except (Corrupt, Missing) as error:
                failures.append(error)
                if len(failures) > len(self._next):  # the turn has come to each partition
                    break
                continue
            if batch is None:
                break
            taken += self._add(page, batch.source, batch.records)
        failure = str(failures[-1]) if failures else ""
        if failure and failure != self.failure:
            self._events.error("ledger_cannot_count", error=failure)
        self.failure = failure
        return taken >= TURN_RECORDS

    def close(self) -> None:
        self._consumer.close()

    def _assigned(self, partitions: Sequence[TopicPartition]) -> None:
        for source in partitions:
            known = self._positions.get(self._streams.label(source))
            self._next[source] = known or 0
            self._consumer.seek(source, self._log.bounds(source).start if known is None else known)

    def _is_due(self) -> bool:
        """Whether there may be something to count."""
        if not self._streams.is_archive or not self._next:
            return True
        return any(self._end(source) > offset for source, offset in self._next.items())

    def _end(self, source: TopicPartition) -> int:
        """The offset before which records may be counted."""
        return (self._log.committed(ARCHIVER_GROUP, source) or 0) if self._streams.is_archive else _NO_END

    def _add(self, page: Page, source: TopicPartition, records: Sequence[Record]) -> int:
        """Count the records that may be counted; returns how many."""
        end = self._end(source)
        label, kind = self._streams.label(source), "archived" if self._streams.is_archive else _KINDS[source.topic]
        page.moves.setdefault(label, (self._positions.get(label), self._next[source]))
        counted = 0
        for offset, payload in records:
            if offset >= end:
                self._consumer.seek(source, max(end, self._next[source]))
                break
            heading = self._heading(source, offset, payload)
            if offset > self._next[source]:
                self._skip(page, source, offset, heading)
            page.counts[heading, kind, ""] += 1
            self._next[source] = offset + 1
            self._minutes[source] = heading.minute_s or self._minutes.get(source, 0)
            counted += 1
        page.moves[label] = (page.moves[label][0], self._next[source])
        COUNTED.labels(kind).inc(counted)
        return counted

    def _heading(self, source: TopicPartition, offset: int, payload: bytes) -> Heading:
        try:
            return self._heading_of[source.topic](payload)
        except Malformed as error:
            self._events.warning("record_malformed", source=source, offset=offset, error=error)
            return Heading(0, "", "")

    def _skip(self, page: Page, source: TopicPartition, offset: int, heading: Heading) -> None:
        """Note that the records from the next one to `offset` are gone; `heading` is the one's behind them."""
        first = self._next[source]
        reason = "uncounted" if self._log.bounds(source).start > first else "damaged"
        before_s = self._minutes.get(source) or minute_at(self._log, source, first - 1)
        after_s = heading.minute_s or before_s
        since_s, until_s = min(before_s, after_s), max(before_s, after_s)  # the clock may have been set back
        page.gaps.append(Gap(self._streams.label(source), first, offset, reason, since_s, until_s))
        self._events.error("ledger_gap", source=source, first=first, next=offset, reason=reason)
        if reason == "damaged" and self._streams is ARRIVING and source.topic == "raw":
            page.counts[Heading(0, "", ""), "accepted", ""] += offset - first


def _pass_over(source: TopicPartition, offsets: range, why: str) -> None:
    """Go on behind what is lost: the jump in the offsets tells."""


def minute_at(log: Log, source: TopicPartition, offset: int) -> int:
    """The minute of a record, 0 when it cannot be read or tells none."""
    if offset < 0:
        return 0
    reader = log.open_reader(source, offset)
    try:
        found = reader.read(1, 1, 0.0)
        return _HEADING_OF[source.topic](found[0].payload).minute_s if found else 0
    except (Missing, Corrupt, Malformed):
        return 0
    finally:
        reader.close()
