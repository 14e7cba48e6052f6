"""The writer of a partition: it owns the partition's lock, and joins a queue, a tail and whoever drives the flushes.

    submit: frame ─▶ queue ─▶ driver: Flusher.begin ─▶ write to the disk ─▶ Flusher.end: head ─▶ done(offsets)

While a flush is on the disk the next one gathers; it starts as soon as the disk is free. A flush
takes at most 16 MiB of what waits, so that the first of many waits for little more than its own bytes. The driver is a
thread, or the caller's event loop where the kernel has io_uring for it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from catchment import metrics
from catchment.clock import Clock
from catchment.errors import CatchmentError, Fenced
from catchment.events import Events
from catchment.log.embedded.disk import Disk
from catchment.log.embedded.flush import Flusher
from catchment.log.embedded.layout import PartitionFiles
from catchment.log.embedded.queue import Done, Queue
from catchment.log.embedded.space import SpaceGuard
from catchment.log.embedded.tail import TornTail, open_tail
from catchment.log.embedded.threaddriver import ThreadDriver
from catchment.log.port import Loop, TopicPartition
from catchment.log.settings import LogSettings

_LOCK_PAUSES_S = (0.01, 0.03, 0.06)
"""For whoever holds the lock only to mend a damaged head, or is just dying."""

TORN = metrics.counter("log_torn_bytes_total", "Bytes cut off segment ends when opening.", "bytes", ("topic",))


class Driver(Protocol):
    """Carries flushes to the disk, one after the other, as long as the queue holds something."""

    def wake(self) -> None:
        """The queue was idle, and is to be looked at again. From any thread."""
        ...

    def check_wait(self) -> None:
        """Raises RuntimeError on the thread that must not wait for a flush, because it has to do it."""
        ...

    def join(self) -> None:
        """After the queue was closed: return when all of it is flushed and answered, and the tail is closed."""
        ...


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
        loop: Loop | None = None,
    ) -> None:
        """Take the partition over. `on_sealed` is called after a segment was sealed, on a thread that may wait. With
        `loop` the flushes are driven by it, if the settings and the kernel let them.

        Raises Fenced when another writer lives; Full, Unavailable when the disk does not let the partition be opened.
        """
        self.source: TopicPartition = files.source
        self.torn: TornTail | None
        self._ownership = _own(files)
        guard = SpaceGuard(disk, files.directory, settings.min_free_bytes, clock)
        try:
            tail, self.torn = open_tail(files, disk, guard, settings, events)
        except BaseException:
            os.close(self._ownership)
            raise
        if self.torn is not None:
            TORN.labels(self.source.topic).inc(self.torn.lost_bytes)
        self._queue = Queue(self.source, settings.max_queue_bytes)
        self._flusher = Flusher(self.source, tail, self._queue, clock, events, on_sealed, self._ownership)
        driver = _loop_driver(loop, settings, disk, self._queue, self._flusher, events) if loop else None
        self._driver: Driver = driver or ThreadDriver(f"log-{self.source}", disk, self._queue, self._flusher)

    @property
    def end(self) -> int:
        """The offset that the next durable record gets."""
        return self._flusher.next_offset

    @property
    def is_closed(self) -> bool:
        return self._queue.is_closed

    def append(self, payloads: Sequence[bytes]) -> range:
        answers: list[range | CatchmentError] = []
        answered = threading.Lock()
        answered.acquire()

        def done(answer: range | CatchmentError) -> None:
            answers.append(answer)
            answered.release()

        self._driver.check_wait()
        self.submit(payloads, done)
        answered.acquire()
        answer = answers[0]
        if isinstance(answer, CatchmentError):
            raise answer
        return answer

    def submit(self, payloads: Sequence[bytes], done: Done) -> None:
        if self._queue.put(payloads, done):
            self._driver.wake()

    def close(self) -> None:
        if self._queue.close():
            self._driver.wake()
        self._driver.join()


def _loop_driver(
    loop: Loop, settings: LogSettings, disk: Disk, queue: Queue, flusher: Flusher, events: Events
) -> Driver | None:
    """The driver on `loop`, None when there can be none; tells which it is to be."""
    because = "[log] io_uring is false"
    if settings.io_uring:
        try:
            ring = disk.ring()
        except OSError as error:
            because = str(error)
        else:
            from catchment.log.embedded.loopdriver import LoopDriver

            events.info("log_writer_opened", partition=flusher.source, flushed_by="io_uring")
            return LoopDriver(loop, ring, disk, queue, flusher)
    events.info("log_writer_opened", partition=flusher.source, flushed_by="thread", because=because)
    return None


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
