"""Who watches pings as they come: one follower of the log for all viewers, and for each a bounded buffer.

    follower's threads ─▶ Hub: the last ones, debug ids ─▶ Viewer: what its filter takes ─▶ stream to the browser

The log is read while somebody watches, never otherwise. A browser that is slower than the pings loses the oldest of its
buffer and is told how many; nothing else waits for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from catchment import metrics
from catchment.errors import Busy
from catchment.events import Events
from catchment.ingestion.inspection.following import KINDS, Filter, Follower, Sight
from catchment.log.port import Log

MOST_VIEWERS = 32
KEPT_SIGHTS = 200
KEPT_BYTES = 4 * 1024 * 1024
"""What a viewer's buffer, and the memory of the last pings, hold at most (of bodies; one larger ping is held alone)."""
KEPT_DEBUG_IDS = 50

MISSED = metrics.counter("console_missed_total", "Pings that a slow browser's live view left out.", "pings")


class Buffer:
    """The newest sights, within bounds."""

    def __init__(self) -> None:
        self._sights: deque[Sight] = deque()
        self._size_bytes = 0

    def add(self, sights: Iterable[Sight]) -> int:
        """Put them at the end; return how many had to go at the beginning."""
        gone = 0
        for sight in sights:
            self._sights.append(sight)
            self._size_bytes += len(sight.body)
            while len(self._sights) > 1 and (len(self._sights) > KEPT_SIGHTS or self._size_bytes > KEPT_BYTES):
                self._size_bytes -= len(self._sights.popleft().body)
                gone += 1
        return gone

    def all(self) -> list[Sight]:
        return list(self._sights)

    def take(self) -> list[Sight]:
        taken = list(self._sights)
        self._sights.clear()
        self._size_bytes = 0
        return taken


class Viewer:
    """One open live view. `offer` comes from any thread, `take` from the event loop that made it."""

    def __init__(self, wanted: Filter) -> None:
        self._wanted = wanted
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._buffer = Buffer()
        self._missed = 0
        self._is_there = asyncio.Event()

    def offer(self, sights: Sequence[Sight]) -> None:
        found = [sight for sight in sights if self._wanted.takes(sight)]
        if not found:
            return
        with self._lock:
            gone = self._buffer.add(found)
            self._missed += gone
        MISSED.inc(gone)
        self.wake()

    def wake(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._is_there.set)

    async def take(self) -> tuple[list[Sight], int]:
        """Wait for sights; return them, the oldest first, and how many were left out since the last call."""
        await self._is_there.wait()
        self._is_there.clear()
        with self._lock:
            missed, self._missed = self._missed, 0
            return self._buffer.take(), missed


@dataclass(slots=True)
class DebugId:
    """An X-Debug-ID that was seen lately."""

    name: str
    pings: int
    latest_ns: int


class Hub:
    """All live views of this console. Safe to use from several threads."""

    def __init__(self, log: Log, events: Events) -> None:
        self._log = log
        self._events = events
        self._lock = threading.Lock()
        self._viewers: set[Viewer] = set()
        self._follower: Follower | None = None
        self._leaving: list[Follower] = []
        self._recent = Buffer()
        self._debug_ids: OrderedDict[str, DebugId] = OrderedDict()
        self.is_closed = False

    def watch(self, wanted: Filter) -> Viewer:
        """Begin to watch; the viewer gets the last pings first. Raises Busy when too many do."""
        viewer = Viewer(wanted)
        with self._lock:
            if len(self._viewers) >= MOST_VIEWERS:
                raise Busy(f"{MOST_VIEWERS} live views are open; close one, or use `catchment tail`")
            viewer.offer(self._recent.all())
            self._viewers.add(viewer)
            if self._follower is None and not self.is_closed:
                self._follower = Follower(self._log, list(KINDS), self._take, self._events, back=KEPT_SIGHTS)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """End a view. The last one lets go of the log, without waiting for it."""
        with self._lock:
            self._viewers.discard(viewer)
            if not self._viewers and self._follower is not None:
                self._follower.stop()
                self._leaving = [*(other for other in self._leaving if not other.has_left), self._follower]
                self._follower = None
                self._recent.take()
                self._debug_ids.clear()

    def debug_ids(self) -> list[DebugId]:
        """Those seen lately, the newest first, while somebody watched."""
        with self._lock:
            return list(reversed(self._debug_ids.values()))

    def close(self) -> None:
        """End all views; returns when the log is let go of."""
        with self._lock:
            self.is_closed = True
            followers = [*self._leaving, *([self._follower] if self._follower is not None else [])]
            self._follower = None
            viewers = list(self._viewers)
        for viewer in viewers:
            viewer.wake()
        for follower in followers:
            follower.close()

    def _take(self, sights: Sequence[Sight]) -> None:
        with self._lock:
            self._recent.add(sights)
            for sight in sights:
                if sight.debug_id:
                    self._count(sight)
            viewers = list(self._viewers)
        for viewer in viewers:
            viewer.offer(sights)

    def _count(self, sight: Sight) -> None:
        known = self._debug_ids.pop(sight.debug_id, None) or DebugId(sight.debug_id, 0, 0)
        known.pings += 1
        known.latest_ns = max(known.latest_ns, sight.time_ns)
        self._debug_ids[sight.debug_id] = known
        while len(self._debug_ids) > KEPT_DEBUG_IDS:
            self._debug_ids.popitem(last=False)
