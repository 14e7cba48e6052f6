"""One run of torture: the fleet sends on a thread of its own while this one does the faults; then the oracle judges.

The report is a folder beside the home: `schedule.jsonl` and `events.jsonl` (what each fault met), `acknowledged.jsonl`
(the fleet's record, a line a ping, written when it was answered), `damaged.jsonl` (what stood in spoilt segments),
`ledger.log` (what the ledger told when it counted the rest), `offenders.jsonl` and `verdict.json`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import orjson

from catchment.clock import SystemClock
from catchment.errors import Unavailable
from catchment.log.port import TopicPartition
from catchment.platform import Platform
from catchment.producers.fleet import Fleet
from catchment.producers.run import Limits, Run
from catchment.producers.settings import SimulateSettings
from catchment.producers.tally import Record
from catchment.torture.books import compare, raw_records, read_ledger
from catchment.torture.faults import GROUP, Injector
from catchment.torture.schedule import Fault, lasts_s
from catchment.torture.stage import PARTITIONS, Stage, wait_for
from catchment.torture.verdict import Place, Verdict, judge, read_answers, read_held, write_offenders

STALLED_S = 180.0
"""No ping answered, or no record loaded, for so long: it does not go on."""
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `phase`: sending, draining or judging."""

    phase: str
    sent: int
    acknowledged: int
    faults: int
    waiting: int
    last: str


class Torture:
    """One run over a stage. `go` may be called once."""

    def __init__(
        self,
        stage: Stage,
        report: Path,
        schedule: Sequence[Fault],
        pings: int,
        seed: int,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        report.mkdir(parents=True)
        self._stage = stage
        self._report = report
        self._schedule = schedule
        self._pings = pings
        self._on_progress = on_progress
        self._injector = Injector(stage)
        self._done = 0
        self._last = ""
        self._phase = "sending"
        self._clock = SystemClock()
        settings = SimulateSettings(
            rate=pings / max(lasts_s(schedule), 1.0),
            seed=seed,
            invalid=0.02,
            duplicates=0.05,
            timeout_s=15.0,
            attempts=1_000_000_000,
            first_backoff_s=0.05,
            last_backoff_s=1.0,
            longest_wait_s=1.0,
        )
        self._record = Record(report / "acknowledged.jsonl", self._clock)
        deliveries = Fleet(seed, f"torture {seed}", settings.clients).deliveries(
            self._clock, settings.invalid, settings.duplicates
        )
        self._run = Run(settings, stage.address, deliveries, Limits(pings), self._clock, self._record)
        self._fleet = _Fleet(self._run)

    def go(self) -> Verdict:
        """Send, spoil, drain, judge. Raises Unavailable when the platform does not start, or stalls while healed."""
        _write_lines(self._report / "schedule.jsonl", map(asdict, self._schedule))
        self._stage.start()
        self._stage.wait_ready()
        self._fleet.start()
        try:
            with (self._report / "events.jsonl").open("wb", buffering=0) as events:
                for fault in self._schedule:
                    self._await(fault)
                    self._do(fault, events.write)
            self._injector.heal()
            self._goes_on(lambda: self._run.tally.sent, lambda: not self._fleet.is_alive())
        finally:
            self._fleet.stop()
            self._record.close()
        self._phase = "draining"
        self._goes_on(lambda: self._loaded(), lambda: self._waiting() == 0)
        self._stage.stop()
        self._phase = "judging"
        self._say()
        return self._judge()

    def _await(self, fault: Fault) -> None:
        """Until the fleet is where the fault belongs."""
        while self._run.tally.sent < fault.at and self._fleet.is_alive():
            time.sleep(_LOOK_S)
            self._injector.keep_up()
            self._say()

    def _do(self, fault: Fault, write: Callable[[bytes], object]) -> None:
        began_s = self._clock.monotonic_s()
        sent = self._run.tally.sent
        self._last = fault.description
        self._say()
        met = self._injector.do(fault)
        self._done += 1
        event = {"number": fault.number, "kind": fault.kind, "sent": sent, "met": met}
        write(orjson.dumps({**event, "took_s": round(self._clock.monotonic_s() - began_s, 3)}) + b"\n")

    def _goes_on(self, count: Callable[[], int], is_over: Callable[[], bool]) -> None:
        """Until it is over. Raises Unavailable when the count has not changed for STALLED_S."""
        while not is_over():
            has_moved = partial(self._has_moved, count, count())
            if not wait_for(lambda: is_over() or has_moved(), STALLED_S, _LOOK_S):  # noqa: B023  called before the next
                raise Unavailable(
                    f"{self._phase}: nothing has moved for {STALLED_S:.0f} s, {self._run.tally.sent:,} pings sent, "
                    f"{self._waiting():,} records wait for the loaders; see {self._stage.home}/logs"
                )

    def _has_moved(self, count: Callable[[], int], before: int) -> bool:
        self._injector.keep_up()
        self._say()
        return count() != before

    def _loaded(self) -> int:
        log = self._stage.platform.log()
        return sum(log.committed(GROUP, TopicPartition("raw", number)) or 0 for number in range(PARTITIONS))

    def _waiting(self) -> int:
        log = self._stage.platform.log()
        if "raw" not in log.topics():
            return 0
        return sum(log.bounds(TopicPartition("raw", number)).end for number in range(PARTITIONS)) - self._loaded()

    def _say(self) -> None:
        tally = self._run.tally
        self._on_progress(
            Progress(self._phase, tally.sent, tally.acknowledged, self._done, self._waiting(), self._last)
        )

    def _judge(self) -> Verdict:
        damaged = self._injector.damaged
        _write_lines(
            self._report / "damaged.jsonl",
            ({"source": source, "offset": offset, "uri": uri} for (source, offset), uri in damaged.items()),
        )
        verdict = judge_home(self._stage.platform, self._report, damaged)
        verdict.faults = self._done
        write_offenders(self._report / "offenders.jsonl", verdict.offenders)
        counts = {name: count for name, count in asdict(verdict).items() if name != "offenders"}
        (self._report / "verdict.json").write_bytes(orjson.dumps(counts, option=orjson.OPT_INDENT_2))
        return verdict


def judge_home(platform: Platform, report: Path, damaged: Mapping[Place, str]) -> Verdict:
    """The verdict over a platform that stands still, by the deliveries one by one and by its ledger."""
    answers = read_answers(report / "acknowledged.jsonl")
    with closing(platform.log()) as log, closing(platform.lake()) as lake, closing(platform.database()):
        held = read_held(lake, log, damaged)
        verdict = judge(answers.acknowledged, held)
        found, totals = read_ledger(platform, log, report / "ledger.log")
        compare(verdict, answers, held, raw_records(log), found, totals)
    return verdict


class _Fleet(threading.Thread):
    """Runs the fleet's loop beside the faults."""

    def __init__(self, run: Run) -> None:
        super().__init__(name="fleet", daemon=True)
        self._run = run
        self._loop = asyncio.new_event_loop()

    def run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._run.go())

    def stop(self) -> None:
        """Begin no more pings; return when those under way are answered or given up."""
        if self.is_alive():
            self._loop.call_soon_threadsafe(self._run.stop)
            self.join()


def _write_lines(path: Path, items: Iterable[object]) -> None:
    path.write_bytes(b"".join(orjson.dumps(item) + b"\n" for item in items))
