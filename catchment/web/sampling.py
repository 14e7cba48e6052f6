"""One look at the platform for all viewers, again and again, on a thread of its own.

The newest `Picture` is replaced whole, so pages read it without a lock. A look that fails keeps the last picture and
says in it why; the pages show that, and go on.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path

from catchment.clock import Clock
from catchment.events import Events
from catchment.log.port import Log
from catchment.observation import Snapshot, observe
from catchment.web.history import History, Sample


@dataclass(frozen=True, slots=True)
class Picture:
    """What the pages show: the newest look, the samples of the last minutes, and what went wrong since, if anything."""

    number: int
    snapshot: Snapshot
    samples: tuple[Sample, ...]
    failure: str = ""


class Sampler:
    """Looks at the platform whose home is `home` every `sample_s` seconds."""

    def __init__(self, home: Path, log: Log, clock: Clock, sample_s: float, events: Events) -> None:
        self._home = home
        self._log = log
        self._clock = clock
        self._sample_s = sample_s
        self._events = events
        self._history = History(sample_s)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._picture = self._nothing()
        self.look()

    @property
    def picture(self) -> Picture:
        return self._picture

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop looking. A look in progress ends first (a silent service costs 2 s)."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Take the next picture. Whatever goes wrong is told on it: a service that answers nonsense must not end the
        looking."""
        last = self._picture
        try:
            snapshot = observe(self._home, self._log, self._clock)
        except Exception as error:  # noqa: BLE001  told on the page and as an event
            if not last.failure:
                self._events.warning("look_failed", error=f"{type(error).__name__}: {error}")
            self._picture = replace(last, number=last.number + 1, failure=str(error) or type(error).__name__)
            return
        samples = self._history.take(snapshot, self._clock.monotonic_s())
        self._picture = Picture(last.number + 1, snapshot, samples)

    def _nothing(self) -> Picture:
        snapshot = Snapshot(self._clock.time_ns(), (), (), 0, 0)
        return Picture(0, snapshot, History(self._sample_s).take(snapshot, self._clock.monotonic_s()))

    def _run(self) -> None:
        next_s = self._clock.monotonic_s()
        while True:
            next_s = max(next_s + self._sample_s, self._clock.monotonic_s())
            if self._stop.wait(next_s - self._clock.monotonic_s()):
                return
            self.look()
