"""How each kind of fault is done, and undone before the next one comes. What it met is told in a line."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from catchment.log.embedded.layout import PartitionFiles
from catchment.log.port import TopicPartition
from catchment.torture.damage import Sealed, flip, no_writer, sealed_segments, tear, uris
from catchment.torture.schedule import Fault
from catchment.torture.stage import PARTITIONS, SERVICES, Stage, wait_for

GROUP = "loader"
UNREAD_WITHIN_S = 10.0
_RAW = "raw"


@dataclass(slots=True)
class Injector:
    """Does faults to a stage. `damaged`: what stood at each offset of a segment that was spoilt before it was loaded,
    (partition, offset) → URI."""

    stage: Stage
    damaged: dict[tuple[str, int], str] = field(default_factory=dict)
    _clock_offset_s: float = 0.0

    def do(self, fault: Fault) -> str:
        """Do it, hold it up, undo it. Returns what it met."""
        self.keep_up()
        kinds: Mapping[str, Callable[[Fault], str]] = {
            "kill": self._kill,
            "tear": self._tear,
            "flip_read": self._flip_read,
            "flip_unread": self._flip_unread,
            "full_disk": self._full_disk,
            "objects_away": self._objects_away,
            "clock": self._clock,
        }
        try:
            return kinds[fault.kind](fault)
        finally:
            self.keep_up()

    def heal(self) -> None:
        """Everything as it should be: the clock right, all services up."""
        if self._clock_offset_s:
            self.stage.stop()
            self._clock_offset_s = 0.0
        self.keep_up()

    def keep_up(self) -> None:
        """Start the supervisor when it does not live, as an operator would."""
        self.stage.start(self._clock_offset_s)

    def _kill(self, fault: Fault) -> str:
        return "killed" if self.stage.kill(fault.target) else "was not alive"

    def _tear(self, fault: Fault) -> str:
        killed = self._kill(fault)
        number = int(fault.target.rpartition("-")[2])
        files = PartitionFiles.of(self._root, TopicPartition(_RAW, number))
        if not files.directory.is_dir():
            return f"{killed}; its partition is not there yet"
        with no_writer(files):
            return f"{killed}; {tear(files, random.Random(fault.seed), int(fault.amount))}"

    def _flip_read(self, fault: Fault) -> str:
        rng = random.Random(fault.seed)
        done = [segment for segment in sealed_segments(self._root, PARTITIONS) if segment.end <= self._loaded(segment)]
        return flip(rng.choice(done).path, rng) if done else "no segment is done with"

    def _flip_unread(self, fault: Fault) -> str:
        """The loaders stand still until a whole segment waits for them; killed, they have to read it from the disk."""
        loaders = [name for name in SERVICES if name.startswith("loader")]
        for name in loaders:
            self.stage.freeze(name)
        waiting: list[Sealed] = []

        def waits() -> bool:
            waiting[:] = [
                segment
                for segment in sealed_segments(self._root, PARTITIONS)
                if segment.base >= self._loaded(segment)
                and (str(segment.files.source), segment.base) not in self.damaged
            ]
            return bool(waiting)

        try:
            if not wait_for(waits, UNREAD_WITHIN_S):
                return "no whole segment waits for the loaders"
            rng = random.Random(fault.seed)
            chosen = rng.choice(waiting)
            log = self.stage.platform.log()
            self.damaged |= {(str(chosen.files.source), at): uri for at, uri in uris(log, chosen).items()}
            return flip(chosen.path, rng)
        finally:
            for name in loaders:
                self.stage.kill(name)

    def _full_disk(self, fault: Fault) -> str:
        if not self.stage.has_own_disk:
            self.stage.stop()
            self.stage.start(self._clock_offset_s, no_space=True)
            time.sleep(fault.hold_s)
            self.stage.stop()
            return "played by the free-space guard"
        self.stage.fill_disk()
        try:
            return self._held(fault)
        finally:
            self.stage.free_disk()

    def _objects_away(self, fault: Fault) -> str:
        self.stage.take_objects()
        try:
            return self._held(fault)
        finally:
            self.stage.return_objects()

    def _clock(self, fault: Fault) -> str:
        self.stage.stop()
        self._clock_offset_s = fault.amount
        return "restarted"

    def _held(self, fault: Fault) -> str:
        """Keep a state up, with a kill in its middle."""
        time.sleep(fault.hold_s / 2)
        met = self._kill(fault)
        time.sleep(fault.hold_s / 2)
        return f"{fault.target} {met} meanwhile"

    def _loaded(self, segment: Sealed) -> int:
        return self.stage.platform.log().committed(GROUP, segment.files.source) or 0

    @property
    def _root(self) -> Path:
        return self.stage.home / "log"
