"""A replay as a whole: its days, one after the other, what it remembers of them, and its lock.

Below `<home>/replays/<key>`, the key being that of the selection:

    state.json   the selection and the reports of the finished days; replaced whole after each
    ids/         the document ids met, so that repeats are found across days
    scratch/     temporary files

A run that is not told to resume forgets these and begins at the first day, which gives the same rows.
"""

from __future__ import annotations

import fcntl
import gc
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path

import orjson

from catchment.clock import Clock
from catchment.directories import replace_file
from catchment.errors import Unavailable
from catchment.events import Events
from catchment.ingestion.decoder.chain import Decoder
from catchment.ingestion.deduplication import DeduplicationSettings, Deduplicator
from catchment.ingestion.replay.comparison import Comparison
from catchment.ingestion.replay.day import Day, DayReport, LakeTarget, TableReport, Target
from catchment.ingestion.replay.live import LiveIds
from catchment.ingestion.replay.records import Records
from catchment.ingestion.replay.selection import Narrowing, Selection
from catchment.lake.tables import Lake
from catchment.log.port import Log
from catchment.schemas.registry import Registry

FLUSH_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Report:
    """Days, by date, and how many were finished before."""

    days: dict[str, DayReport] = field(default_factory=dict)
    skipped: int = 0

    def total(self) -> DayReport:
        """All days together."""
        total = DayReport()
        failures: Counter[str] = Counter()
        for day in self.days.values():
            total.deliveries += day.deliveries
            total.documents += day.documents
            total.repeats += day.repeats
            failures.update(day.failures)
            for name, table in day.tables.items():
                sum_ = total.tables.setdefault(name, TableReport())
                sum_.added += table.added
                sum_.replaced += table.replaced
                sum_.removed += table.removed
                for column, count in table.changed.items():
                    sum_.changed[column] = sum_.changed.get(column, 0) + count
        total.failures = dict(failures.most_common())
        return total


class Replay:
    """One replay. `at` is told each point at which a crash would be interesting."""

    def __init__(
        self,
        selection: Selection,
        home: Path,
        log: Log,
        lake: Lake,
        registry: Registry,
        decoder: Decoder,
        deduplication: DeduplicationSettings,
        clock: Clock,
        events: Events,
        *,
        is_dry: bool = False,
        flush_bytes: int = FLUSH_BYTES,
        at: Callable[[str], None] = lambda point: None,
    ) -> None:
        self._selection = selection
        self._narrowing = Narrowing(selection)
        self._home = home
        self._log = log
        self._replays = home / "replays"
        self._directory = self._replays / (f"dry-{selection.key}" if is_dry else selection.key)
        self._lake = lake
        self._registry = registry
        self._decoder = decoder
        self._deduplication = deduplication
        self._clock = clock
        self._events = events
        self._is_dry = is_dry
        self._flush_bytes = flush_bytes
        self._at = at

    def run(
        self, records: Records, *, resume: bool = False, progress: Callable[[int, int], None] = lambda day, cost: None
    ) -> Report:
        """Replay every day of the selection; with `resume`, but for those that an earlier run has finished. `progress`
        is told the day and what of its size is done. Raises Unavailable when another replay runs in this home."""
        gc.disable()  # as the loader: pings are trees
        try:
            with self._alone():
                report = self._resumed() if resume else self._begun()
                target: Target = (
                    Comparison(self._lake, self._scratch()) if self._is_dry else LakeTarget(self._lake, self._at)
                )
                for day in self._selection.days:
                    name = (date(1970, 1, 1) + timedelta(days=day)).isoformat()
                    if name not in report.days:
                        report.days[name] = self._day(day, records, target, progress)
                        self._remember(report)
                        self._at("day_finished")
                shutil.rmtree(self._directory)
        finally:
            gc.enable()
        return report

    def _day(self, day: int, records: Records, target: Target, progress: Callable[[int, int], None]) -> DayReport:
        window = (self._deduplication, self._clock, self._events)
        deduplicator = Deduplicator(self._directory / "ids", *window)
        live = None if self._is_dry else LiveIds(self._home, self._log, *window)
        work = Day(
            day,
            self._lake,
            self._registry,
            self._decoder,
            deduplicator,
            self._events,
            target,
            window_h=self._deduplication.window_h,
            flush_bytes=self._flush_bytes,
            until_us=self._selection.until_ns // 1000 if self._selection.is_whole else 0,
            live=live,
        )
        try:
            for deliveries, cost in records.day(day):
                work.add(self._narrowing.narrow(deliveries))
                progress(day, cost)
            self._at("day_read")
            return work.commit()
        finally:
            deduplicator.close()
            if live is not None:
                live.close()
            gc.collect()

    def _scratch(self) -> Path:
        scratch = self._directory / "scratch"
        scratch.mkdir(exist_ok=True)
        return scratch

    def _begun(self) -> Report:
        if self._directory.exists():
            shutil.rmtree(self._directory)
        self._directory.mkdir(parents=True)
        return Report()

    def _resumed(self) -> Report:
        state = self._directory / "state.json"
        if not state.exists():
            return self._begun()
        days = {name: _day_report(day) for name, day in orjson.loads(state.read_bytes())["days"].items()}
        return Report(days, skipped=len(days))

    def _remember(self, report: Report) -> None:
        state = {
            "selection": asdict(self._selection),
            "days": {name: asdict(day) for name, day in report.days.items()},
        }
        replace_file(self._directory / "state.json", orjson.dumps(state, option=orjson.OPT_INDENT_2))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._replays.mkdir(parents=True, exist_ok=True)
        with (self._replays / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Unavailable(f"{self._replays}: another replay runs in this home; wait for its end") from error
            yield


def _day_report(document: dict[str, object]) -> DayReport:
    tables = document.pop("tables")
    assert isinstance(tables, dict)
    report = DayReport(**document)  # type: ignore[arg-type]
    report.tables = {name: TableReport(**table) for name, table in tables.items()}
    return report
