"""The writer of a partition: a bounded queue and the committer, one thread that turns everything waiting into a flush.

    submit: frame ─▶ queue ─▶ committer: write to the disk · head ─▶ done(offsets)

While a flush is on the disk the next one gathers; it starts as soon as the answers are out, without a timer. A flush
takes at most 16 MiB of what waits, so that the first of many waits for little more than its own bytes.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from catchment import metrics
from catchment.clock import Clock
from catchment.errors import Busy, CatchmentError, Closed, Fenced, TooLarge, Unavailable
from catchment.events import Events
from catchment.log.embedded.disk import Disk
from catchment.log.embedded.layout import PartitionFiles
from catchment.log.embedded.records import HEADER_BYTES, frame
from catchment.log.embedded.space import SpaceGuard
from catchment.log.embedded.tail import TornTail, open_tail
from catchment.log.port import MAX_PAYLOAD_BYTES, TopicPartition
from catchment.log.settings import LogSettings

_LOCK_PAUSES_S = (0.01, 0.03, 0.06)
"""For whoever holds the lock only to mend a damaged head, or is just dying."""
FLUSH_BYTES = 16 * 1024 * 1024

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
TORN = metrics.counter("log_torn_bytes_total", "Bytes cut off segment ends when opening.", "bytes", ("topic",))

Done = Callable[[range | CatchmentError], None]
_Item = tuple[list[bytes], int, int, Done]
"""Framed pieces, number of payloads and their bytes, whom to tell."""


class EmbeddedWriter:
    """`Writer` over a Tail. `torn` tells what opening cut off, None when nothing."""

    def __init__(
        self,
        files: PartitionFiles,
        settings: LogSettings,
        disk: Disk,
        clock: Clock,
        events: Events,
        on_sealed: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the partition over. `on_sealed` is called from the committer after a segment was sealed.

        Raises Fenced when another writer lives; Full, Unavailable when the disk does not let the partition be opened.
        """
        self.source: TopicPartition = files.source
        self.torn: TornTail | None
        self._clock = clock
        self._events = events
        self._on_sealed = on_sealed
        self._limit_bytes = settings.max_queue_bytes
        self._ownership = _own(files)
        guard = SpaceGuard(disk, files.directory, settings.min_free_bytes, clock)
        try:
            self._tail, self.torn = open_tail(files, disk, guard, settings, events)
        except BaseException:
            os.close(self._ownership)
            raise
        if self.torn is not None:
            TORN.labels(self.source.topic).inc(self.torn.lost_bytes)
        self._records = RECORDS.labels(self.source.topic)
        self._bytes = BYTES.labels(self.source.topic)
        self._flushes = FLUSHES.labels(self.source.topic)
        self._lock = threading.Lock()
        self._queue: deque[_Item] = deque()
        self._queued_bytes = 0
        self._is_idle = False
        self.is_closed = False
        self._bell = threading.Lock()  # released to wake the idle committer: a quarter of an Event's price
        self._bell.acquire()
        self._thread = threading.Thread(target=self._commit, name=f"log-{self.source}", daemon=True)
        self._thread.start()

    @property
    def end(self) -> int:
        """The offset that the next durable record gets."""
        return self._tail.head.end

    def append(self, payloads: Sequence[bytes]) -> range:
        answers: list[range | CatchmentError] = []
        answered = threading.Lock()
        answered.acquire()

        def done(answer: range | CatchmentError) -> None:
            answers.append(answer)
            answered.release()

        self.submit(payloads, done)
        answered.acquire()
        answer = answers[0]
        if isinstance(answer, CatchmentError):
            raise answer
        return answer

    def submit(self, payloads: Sequence[bytes], done: Done) -> None:
        size_bytes = sum(map(len, payloads))
        if size_bytes > MAX_PAYLOAD_BYTES and max(map(len, payloads)) > MAX_PAYLOAD_BYTES:
            raise TooLarge(
                f"{self.source}: a record of {max(map(len, payloads))} bytes, at most {MAX_PAYLOAD_BYTES} are taken"
            )
        # Framed here and not by the committer, which would hold up the next flush and compete for the interpreter.
        pieces: list[bytes] = []
        frame(payloads, pieces)
        with self._lock:
            if self.is_closed:
                raise Closed(f"{self.source}: append after close; open a writer again")
            if self._queued_bytes and self._queued_bytes + size_bytes > self._limit_bytes:
                raise Busy(
                    f"{self.source}: {self._queued_bytes} bytes wait for the disk, at most {self._limit_bytes} may; "
                    "try again, or raise [log] max_queue_bytes"
                )
            self._queued_bytes += size_bytes
            self._queue.append((pieces, len(payloads), size_bytes, done))
            if self._is_idle:
                self._is_idle = False
                self._bell.release()

    def close(self) -> None:
        with self._lock:
            self.is_closed = True
            if self._is_idle:
                self._is_idle = False
                self._bell.release()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _commit(self) -> None:
        try:
            while batch := self._next():
                self._flush(batch)
        finally:
            try:
                self._tail.close()
            except CatchmentError as error:
                self._events.error("log_closed_unmended", partition=self.source, error=error)
            os.close(self._ownership)

    def _next(self) -> list[_Item]:
        """What the next flush takes; waits for the first. Empty when closed and done."""
        while True:
            with self._lock:
                if self._queue:
                    items = [self._queue.popleft()]
                    size_bytes = items[0][2]
                    while self._queue and size_bytes + self._queue[0][2] <= FLUSH_BYTES:
                        items.append(self._queue.popleft())
                        size_bytes += items[-1][2]
                    return items
                if self.is_closed:
                    return []
                self._is_idle = True
            self._bell.acquire()

    def _flush(self, items: list[_Item]) -> None:
        started_s = self._clock.monotonic_s()
        count = sum(item[1] for item in items)
        size_bytes = sum(item[2] for item in items)
        start = self._tail.head.end
        has_rolled = False
        failure: CatchmentError | None = None
        try:
            if count:
                pieces = items[0][0] if len(items) == 1 else [piece for item in items for piece in item[0]]
                has_rolled = self._tail.append(pieces, size_bytes + HEADER_BYTES * count, count)
        except CatchmentError as error:
            failure = error
        except Exception as error:  # noqa: BLE001  whoever waits must be answered, whatever broke
            failure = Unavailable(f"{self.source}: append failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
        with self._lock:
            self._queued_bytes -= size_bytes
        if failure is None:
            self._records.inc(count)
            self._bytes.inc(size_bytes)
            self._flushes.observe(self._clock.monotonic_s() - started_s)
        else:
            REFUSED.labels(self.source.topic, failure.code).inc(count)
        for _, length, _, done in items:
            answer = failure or range(start, start + length)
            start += length
            self._guarded(partial(done, answer))
        if has_rolled:
            self._guarded(self._on_sealed)

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  one caller's fault must not stop the others' answers
            self._events.error("log_callback_failed", partition=self.source, error=f"{type(error).__name__}: {error}")


def _own(files: PartitionFiles) -> int:
    """Take the partition's lock; the kernel frees it when the process dies. Raises Fenced."""
    descriptor = os.open(files.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    for pause_s in (*_LOCK_PAUSES_S, None):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if pause_s is not None:
                time.sleep(pause_s)
                continue
            os.close(descriptor)
            raise Fenced(
                f"{files.source}: another writer lives (it holds {files.lock}); one partition has one writer: "
                "stop that one, or write to another partition"
            ) from error
        break
    return descriptor
