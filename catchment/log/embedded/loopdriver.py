"""Flushes on an event loop's own thread, through io_uring: nothing waits for the disk, and no thread is woken.

    queue ─▶ Flusher.begin ─▶ Ring.write … finished ─▶ end ─┬─▶ queue ─▶ begin ─▶ Ring.write …
                                                           └─▶ answer

Unless the disk is slow, the next flush is begun before the last one is answered, so that the disk works while the
answers go out. What is saved is the hand-over between two threads that share one interpreter, there and back for each
flush. In return what is not the write itself runs on the loop: the head; once a segment the beginning of the next one
(0.3 to 5 ms); after a failure the taking back. Retention, which removes files, gets a thread.

A write that the ring does not take, or leaves unfinished, is finished by a blocking call on the loop: that is seldom,
and always comes to an end.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections import deque

from catchment.log.embedded.disk import Disk, write_all_durably
from catchment.log.embedded.flush import Flush, Flusher
from catchment.log.embedded.queue import Queue
from catchment.log.embedded.ring import Ring
from catchment.log.embedded.tail import Write
from catchment.log.port import Loop

_UNFINISHED = frozenset({errno.EAGAIN, errno.EINTR, errno.ECANCELED})
"""The write was not done, for no fault of the disk."""
_SLOW_S, _GATHER_S = 0.002, 0.001
"""After a flush that took so long, the next gathers for a moment: who was answered just now then goes with it, and not
with the one after it, which on a slow disk is half as many records a flush."""


class LoopDriver:
    """`Driver` that is called by an event loop. While the loop does not run, whoever closes takes its place."""

    def __init__(self, loop: Loop, ring: Ring, disk: Disk, queue: Queue, flusher: Flusher) -> None:
        """Take over `ring`."""
        self._loop = loop
        self._ring = ring
        self._disk = disk
        self._queue = queue
        self._flusher = flusher
        self._flush: Flush | None = None  # on its way to the disk
        self._content = b""
        self._ended: deque[Flush] = deque()  # and not answered yet
        self._enforcing: threading.Thread | None = None
        self._closed = threading.Event()
        queue.take()  # idle from now on
        loop.add_reader(ring.descriptor, self._ready)

    def wake(self) -> None:
        if not self._is_on_loop():
            self._loop.call_soon_threadsafe(self._go_on)
            return
        self._begin_next()
        if self._ended:  # failed at once; it is answered when `submit` has returned
            self._loop.call_soon_threadsafe(self._answer)

    def check_wait(self) -> None:
        if self._is_on_loop():
            raise RuntimeError("append would wait for the event loop that it was called on; use submit")

    def join(self) -> None:
        if self._loop.is_running() and not self._is_on_loop():
            self._loop.call_soon_threadsafe(self._close)
            self._closed.wait()
        else:
            self._close()

    def _is_on_loop(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _ready(self) -> None:
        """The loop's poll says that the ring has something to tell."""
        result = self._ring.finished()
        flush = self._flush
        if result is None or flush is None or flush.write is None:
            return
        self._flush = None
        self._end(flush, self._error(flush.write, result))
        if flush.took_s < _SLOW_S or self._queue.is_closed:
            self._go_on()
        else:
            self._answer()
            self._loop.call_later(_GATHER_S, self._go_on)

    def _go_on(self) -> None:
        self._begin_next()
        self._answer()

    def _begin_next(self) -> None:
        """Begin the next flush, unless one is on its way or nothing waits. What fails at once, or has nothing to write,
        has ended."""
        while self._flush is None and (items := self._queue.take()):
            flush = self._flusher.begin(items)
            write = flush.write
            error: Exception | None = None
            if write is not None:
                try:
                    self._content = b"".join(write.pieces)
                    self._ring.write(write.descriptor, self._content, write.position)
                except OSError:
                    error = self._write_rest(write, 0)
                except Exception as failed:  # noqa: BLE001  whoever waits must be answered, whatever broke
                    error = failed
                else:
                    self._flush = flush
                    return
            self._end(flush, error)

    def _error(self, write: Write, result: int) -> OSError | None:
        """What the ring's `result` means, after what it left undone was done."""
        if result == write.size_bytes:
            return None
        if result < 0 and -result not in _UNFINISHED:
            return OSError(-result, os.strerror(-result))
        return self._write_rest(write, max(result, 0))

    def _write_rest(self, write: Write, written: int) -> OSError | None:
        rest = memoryview(self._content)[written:]
        try:
            write_all_durably(self._disk, write.descriptor, [rest], len(rest), write.position + written)
        except OSError as error:
            return error
        return None

    def _end(self, flush: Flush, error: Exception | None) -> None:
        self._content = b""
        self._flusher.end(flush, error)
        self._ended.append(flush)

    def _answer(self) -> None:
        while self._ended:
            flush = self._ended.popleft()
            self._flusher.answer(flush)
            if flush.has_rolled:
                self._enforce()

    def _enforce(self) -> None:
        if self._enforcing is not None and self._enforcing.is_alive():
            return  # the next sealed segment will be looked at with this one
        enforcing = threading.Thread(
            target=self._flusher.enforce, name=f"retention-{self._flusher.source}", daemon=True
        )
        try:
            enforcing.start()
        except RuntimeError:  # no thread to be had
            self._flusher.enforce()
        else:
            self._enforcing = enforcing

    def _close(self) -> None:
        """Flush and answer what is left, blocking, and let everything go."""
        if self._closed.is_set():
            return
        self._go_on()
        while self._flush is not None:
            self._ring.wait()
            self._ready()
        if self._enforcing is not None:
            self._enforcing.join()
        self._loop.remove_reader(self._ring.descriptor)
        self._ring.close()
        self._flusher.close()
        self._closed.set()
