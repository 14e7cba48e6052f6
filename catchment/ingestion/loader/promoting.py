"""Promotion of old rows beside loading: which tables, and how fast.

A table is looked at when its schema is read for the first time or has changed, and after each of its rounds of upkeep,
which finds what a loader with an older schema has added. One table at a time is worked on, in pieces of `PIECE_S`,
between two flushes, and then rests so long that the work takes at most a `share` of the loader's time.
"""

from __future__ import annotations

from collections.abc import Generator

from catchment.clock import Clock
from catchment.errors import CatchmentError
from catchment.events import Events
from catchment.lake.promotion import Progress, progress, promote
from catchment.lake.tables import Lake
from catchment.schemas.registry import Registry
from catchment.schemas.shape import Struct

PIECE_S = 0.25


class Promoting:
    """`turn` does a piece of work if there is one and its time has come."""

    def __init__(self, share: float, lake: Lake, clock: Clock, events: Events) -> None:
        """With a share of 0 nothing is promoted."""
        self._share = share
        self._lake = lake
        self._clock = clock
        self._events = events
        self._registry: Registry | None = None
        self._waiting: dict[str, None] = {}
        self._table = ""
        self._work: Generator[Progress] | None = None
        self._now = Progress(0, 0, 0, 0)
        self._due_s = 0.0

    def adopt(self, registry: Registry) -> None:
        """Go by these schemas from now on, and look at all tables."""
        self.close()
        self._registry = registry
        self._waiting = dict.fromkeys(self._lake.tables())

    def add(self, table: str) -> None:
        """Look at this table when its turn comes."""
        self._waiting.setdefault(table)

    def wait_s(self) -> float | None:
        """How long there is nothing to do; None: until something is added."""
        if not self._share or (self._work is None and not self._waiting):
            return None
        return max(self._due_s - self._clock.monotonic_s(), 0.0)

    def turn(self) -> None:
        if self.wait_s() != 0.0:
            return
        began_s = self._clock.monotonic_s()
        try:
            self._piece(began_s + PIECE_S)
        except CatchmentError as error:
            self.close()
            self._events.warning("promotion_failed", table=self._table, error=error)
        ended_s = self._clock.monotonic_s()
        self._due_s = ended_s + (ended_s - began_s) * (1 / self._share - 1)

    def close(self) -> None:
        """Drop the work in hand; what is not committed is deleted."""
        if self._work is not None:
            self._work.close()
            self._work = None

    def _piece(self, until_s: float) -> None:
        if self._work is None:
            self._table = next(iter(self._waiting))
            del self._waiting[self._table]
            shape = shape_of_table(self._registry, self._table) if self._registry is not None else None
            if shape is None or progress(self._lake, self._table, shape).is_done:
                return
            self._work = promote(self._lake, self._table, shape)
            self._events.info("promotion_started", table=self._table)
        for now in self._work:
            self._now = now
            if self._clock.monotonic_s() >= until_s:
                return
        self._work = None
        self._events.info("table_promoted", table=self._table, rows=self._now.moved, files=self._now.total_files)


def shape_of_table(registry: Registry, table: str) -> Struct | None:
    """The shape of the schema whose documents stand in `table`; None when there is none that can be used."""
    schema = next((schema for schema in registry.all() if schema.table == table), None)
    try:
        return schema.shape if schema is not None else None
    except CatchmentError:
        return None  # the file cannot be read: the registry says so
