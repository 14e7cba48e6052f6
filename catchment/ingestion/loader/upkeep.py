"""What somebody must do now and then so that the platform stays small and fast: the lake's and the log's upkeep.

The first loader does it, between two flushes, one table at a time: old versions are forgotten, small files become
large ones, old segments of the log go. A failure is an event and is tried again at the next turn. New schemas get
their tables first, empty, so that they can be asked before the first ping; those that come with Catchment, with it.
What remains of the turns goes to the promotion of old rows (`promoting.py`).
"""

from __future__ import annotations

from collections import deque

from catchment.clock import Clock
from catchment.errors import CatchmentError
from catchment.events import Events
from catchment.ingestion.loader.promoting import Promoting
from catchment.lake.columns import row_schema
from catchment.lake.maintenance import maintain
from catchment.lake.settings import LakeSettings
from catchment.lake.tables import Lake
from catchment.log.port import Log
from catchment.schemas.registry import Registry, Schema


class Upkeep:
    """`turn` does one piece of work if one is due."""

    def __init__(
        self, period_s: float, log: Log, lake: Lake, lake_settings: LakeSettings, clock: Clock, events: Events
    ) -> None:
        """Each table, and the log, gets a turn every `period_s`."""
        self._period_s = period_s
        self._log = log
        self._lake = lake
        self._lake_settings = lake_settings
        self._clock = clock
        self._events = events
        self._log_due_s = clock.monotonic_s()
        self._table_due_s: dict[str, float] = {}
        self._to_make: deque[Schema] = deque()
        self._promoting = Promoting(lake_settings.promotion_share, lake, clock, events)

    def wait_s(self) -> float | None:
        """How long the next turn may wait, as far as this knows; None: as long as it likes."""
        return 0.0 if self._to_make else self._promoting.wait_s()

    def close(self) -> None:
        """Drop what is half done."""
        self._promoting.close()

    def adopt(self, registry: Registry) -> None:
        """Make the tables of these schemas in the next turns, as far as they are not there, and promote what has a
        column in them."""
        held = set(self._lake.tables())
        self._to_make = deque(s for s in registry.all() if not s.is_builtin and s.table not in held)
        self._promoting.adopt(registry)

    def turn(self) -> None:
        if self._to_make:
            self._make(self._to_make.popleft())
            return
        now_s = self._clock.monotonic_s()
        if self._log_due_s <= now_s:
            self._log_due_s = now_s + self._period_s
            self._log.enforce()
            for table in self._lake.tables():
                self._table_due_s.setdefault(table, now_s + self._period_s)
            return
        for table, due_s in self._table_due_s.items():
            if due_s <= now_s:
                self._table_due_s[table] = now_s + self._period_s
                self._maintain(table)
                self._promoting.add(table)
                return
        self._promoting.turn()

    def _make(self, schema: Schema) -> None:
        try:
            self._lake.ensure(schema.table, row_schema(schema.shape))
        except CatchmentError as error:
            self._events.warning("table_not_made", table=schema.table, error=error)

    def _maintain(self, table: str) -> None:
        try:
            report = maintain(self._lake, table, self._clock, self._lake_settings)
        except CatchmentError as error:
            self._events.warning("upkeep_failed", table=table, error=error)
            return
        if report.expired or report.compacted or report.orphans:
            self._events.info(
                "table_tidied",
                table=table,
                versions_forgotten=report.expired,
                files_compacted=report.compacted,
                files_made=report.made,
                orphans_deleted=report.orphans,
            )
