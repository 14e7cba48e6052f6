"""Flushes on a thread of its own, which waits for the disk: for whoever has no event loop, and on every kernel.

    queue ─▶ Flusher.begin ─▶ blocking write ─▶ end ─▶ answer ─▶ queue …

While it waits for the disk, others have the interpreter; it waits for them in turn whenever it comes back.
"""

from __future__ import annotations

import threading

from catchment.log.embedded.disk import Disk, write_all_durably
from catchment.log.embedded.flush import Flusher
from catchment.log.embedded.queue import Item, Queue


class ThreadDriver:
    """`Driver` that is a thread."""

    def __init__(self, name: str, disk: Disk, queue: Queue, flusher: Flusher) -> None:
        self._disk = disk
        self._queue = queue
        self._flusher = flusher
        self._bell = threading.Lock()  # released to wake the idle thread: a quarter of an Event's price
        self._bell.acquire()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._bell.release()

    def check_wait(self) -> None:
        """Every other thread may wait; `done`, on this one, is told not to."""

    def join(self) -> None:
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        try:
            while (items := self._queue.take()) is not None:
                if items:
                    self._flush(items)
                else:
                    self._bell.acquire()
        finally:
            self._flusher.close()

    def _flush(self, items: list[Item]) -> None:
        flush = self._flusher.begin(items)
        write = flush.write
        error: Exception | None = None
        if write is not None:
            try:
                write_all_durably(self._disk, write.descriptor, write.pieces, write.size_bytes, write.position)
            except Exception as failed:  # noqa: BLE001  whoever waits must be answered, whatever broke
                error = failed
        self._flusher.end(flush, error)
        self._flusher.answer(flush)
        if flush.has_rolled:
            self._flusher.enforce()
