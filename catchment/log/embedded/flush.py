"""A flush, from the batches that it takes to their answers; the write in its middle is the driver's.

    begin: join batches · Tail.begin ─▶ driver: to the disk ─▶ end: Tail.end · metrics ─▶ answer: done(offsets)

Whatever breaks on the way becomes the answer of those who wait.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from catchment import metrics
from catchment.clock import Clock
from catchment.errors import CatchmentError, Unavailable
from catchment.events import Events
from catchment.log.embedded.queue import Item, Queue
from catchment.log.embedded.records import HEADER_BYTES
from catchment.log.embedded.tail import Tail, Write
from catchment.log.port import TopicPartition

RECORDS = metrics.counter("log_appended_records_total", "Records made durable.", "records", ("topic",))
BYTES = metrics.counter("log_appended_bytes_total", "Payload bytes made durable.", "bytes", ("topic",))
REFUSED = metrics.counter("log_refused_records_total", "Records answered with an error.", "records", ("topic", "code"))
FLUSHES = metrics.histogram(
    "log_flush_seconds",
    "Time of one flush: write to the disk and head.",
    "seconds",
    ("topic",),
    buckets=(0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 4),
)


@dataclass(slots=True)
class Flush:
    """Batches that go to the disk together. Without a `write` there is nothing to carry out: they are empty, or
    `failure` says why they cannot."""

    items: list[Item]
    records: int
    size_bytes: int
    start: int
    started_s: float
    took_s: float = 0.0
    write: Write | None = None
    failure: CatchmentError | None = None

    @property
    def has_rolled(self) -> bool:
        """Whether a segment was sealed for it."""
        return self.write is not None and self.write.has_rolled


class Flusher:
    """Makes flushes of what `queue` holds, one after the other, on a Tail. One thread at a time uses it."""

    def __init__(
        self,
        source: TopicPartition,
        tail: Tail,
        queue: Queue,
        clock: Clock,
        events: Events,
        on_sealed: Callable[[], None],
        ownership: int,
    ) -> None:
        """`ownership` is the descriptor of the partition's lock, which goes with the tail."""
        self.source = source
        self._tail = tail
        self._queue = queue
        self._clock = clock
        self._events = events
        self._on_sealed = on_sealed
        self._ownership = ownership
        self._records = RECORDS.labels(source.topic)
        self._bytes = BYTES.labels(source.topic)
        self._flushes = FLUSHES.labels(source.topic)

    @property
    def next_offset(self) -> int:
        """The offset that the next durable record gets."""
        return self._tail.head.end

    def begin(self, items: list[Item]) -> Flush:
        """A flush of `items`, ready to be written."""
        records = sum(item.records for item in items)
        size_bytes = sum(item.size_bytes for item in items)
        flush = Flush(items, records, size_bytes, self._tail.head.end, self._clock.monotonic_s())
        if records:
            pieces = items[0].pieces if len(items) == 1 else [piece for item in items for piece in item.pieces]
            try:
                flush.write = self._tail.begin(pieces, size_bytes + HEADER_BYTES * records, records)
            except Exception as error:  # noqa: BLE001  whoever waits must be answered, whatever broke
                flush.failure = self._failure(error)
        return flush

    def end(self, flush: Flush, error: Exception | None) -> None:
        """Its write is on the disk, or met `error`, or there was none: settle the outcome."""
        if flush.write is not None:
            if error is not None and not isinstance(error, OSError):
                error = OSError(errno.EIO, f"{type(error).__name__}: {error}")
            try:
                self._tail.end(flush.write, error)
            except Exception as failed:  # noqa: BLE001  as above
                flush.failure = self._failure(failed)
        self._queue.release(flush.size_bytes)
        flush.took_s = self._clock.monotonic_s() - flush.started_s
        if flush.failure is not None:
            REFUSED.labels(self.source.topic, flush.failure.code).inc(flush.records)
            return
        self._records.inc(flush.records)
        self._bytes.inc(flush.size_bytes)
        self._flushes.observe(flush.took_s)

    def answer(self, flush: Flush) -> None:
        """Tell everyone who waits for it, in order."""
        start = flush.start
        for item in flush.items:
            answer = flush.failure or range(start, start + item.records)
            start += item.records
            self._guarded(partial(item.done, answer))

    def enforce(self) -> None:
        """What is due when a segment was sealed."""
        self._guarded(self._on_sealed)

    def close(self) -> None:
        """Let go of the segment, and of the partition."""
        try:
            self._tail.close()
        except CatchmentError as error:
            self._events.error("log_closed_unmended", partition=self.source, error=error)
        finally:
            os.close(self._ownership)

    def _failure(self, error: Exception) -> CatchmentError:
        if isinstance(error, CatchmentError):
            return error
        failure = Unavailable(f"{self.source}: append failed: {type(error).__name__}: {error}")
        failure.__cause__ = error
        return failure

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  one caller's fault must not stop the others' answers
            self._events.error("log_callback_failed", partition=self.source, error=f"{type(error).__name__}: {error}")
