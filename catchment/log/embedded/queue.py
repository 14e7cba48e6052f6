"""What waits for a partition's disk: batches, framed, in order, within a bound of bytes.

Whoever drives the flushes takes from it. It is *idle* after it has found nothing: then the next batch, or the end, is
worth waking it for. That is decided under the queue's lock, so that no waking is lost and none is given twice.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from catchment.errors import Busy, CatchmentError, Closed, TooLarge
from catchment.log.embedded.records import frame
from catchment.log.port import MAX_PAYLOAD_BYTES, TopicPartition

FLUSH_BYTES = 16 * 1024 * 1024

Done = Callable[[range | CatchmentError], None]


class Item(NamedTuple):
    """A batch: its framed pieces, its number of payloads and their bytes, whom to tell."""

    pieces: list[bytes]
    records: int
    size_bytes: int
    done: Done


class Queue:
    """Safe to use from several threads; one of them takes."""

    def __init__(self, source: TopicPartition, limit_bytes: int) -> None:
        self._source = source
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._items: deque[Item] = deque()
        self._size_bytes = 0
        self._is_idle = False
        self.is_closed = False

    def put(self, payloads: Sequence[bytes], done: Done) -> bool:
        """Add a batch; return whether the driver is to be woken. Raises TooLarge, Busy, Closed."""
        size_bytes = sum(map(len, payloads))
        if size_bytes > MAX_PAYLOAD_BYTES and max(map(len, payloads)) > MAX_PAYLOAD_BYTES:
            raise TooLarge(
                f"{self._source}: a record of {max(map(len, payloads))} bytes, at most {MAX_PAYLOAD_BYTES} are taken"
            )
        # Framed here and not by the driver, which would hold up the next flush and compete for the interpreter.
        pieces: list[bytes] = []
        frame(payloads, pieces)
        with self._lock:
            if self.is_closed:
                raise Closed(f"{self._source}: append after close; open a writer again")
            if self._size_bytes and self._size_bytes + size_bytes > self._limit_bytes:
                raise Busy(
                    f"{self._source}: {self._size_bytes} bytes wait for the disk, at most {self._limit_bytes} may; "
                    "try again, or raise [log] max_queue_bytes"
                )
            self._size_bytes += size_bytes
            self._items.append(Item(pieces, len(payloads), size_bytes, done))
            return self._wakes()

    def take(self) -> list[Item] | None:
        """What the next flush takes, of at most FLUSH_BYTES unless one batch is larger. Empty when nothing waits: the
        driver is idle from now on; None when nothing will ever wait again."""
        with self._lock:
            if not self._items:
                self._is_idle = not self.is_closed
                return None if self.is_closed else []
            items = [self._items.popleft()]
            size_bytes = items[0].size_bytes
            while self._items and size_bytes + self._items[0].size_bytes <= FLUSH_BYTES:
                items.append(self._items.popleft())
                size_bytes += items[-1].size_bytes
            return items

    def release(self, size_bytes: int) -> None:
        """What was taken is flushed or refused: its room is free again."""
        with self._lock:
            self._size_bytes -= size_bytes

    def close(self) -> bool:
        """Take no more batches; return whether the driver is to be woken."""
        with self._lock:
            self.is_closed = True
            return self._wakes()

    def _wakes(self) -> bool:
        was_idle, self._is_idle = self._is_idle, False
        return was_idle
