"""Opening embedded logs for tests that look behind the port: over a chosen disk, driven by a thread or an event loop,
with their events as text.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from catchment.clock import Clock, SystemClock
from catchment.events import Events
from catchment.log.embedded.disk import Disk
from catchment.log.embedded.log import EmbeddedLog
from catchment.log.embedded.ring import Ring
from catchment.log.embedded.writer import EmbeddedWriter
from catchment.log.port import Loop, TopicPartition
from catchment.log.settings import LogSettings

RAW = TopicPartition("raw", 0)
MANY = 1 << 30


class LoopedLog(EmbeddedLog):
    """An embedded log whose writers are driven by an event loop, on a thread of its own."""

    def __init__(
        self, root: Path, settings: LogSettings, clock: Clock, events: Events, disk: Disk | None = None
    ) -> None:
        super().__init__(root, settings, clock, events, disk)
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def open_writer(self, source: TopicPartition, loop: Loop | None = None) -> EmbeddedWriter:
        return super().open_writer(source, loop or self.loop)

    def stop(self) -> None:
        """End the loop, though its writers may have work left."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def close(self) -> None:
        super().close()
        if not self.loop.is_closed():
            self.stop()
            self.loop.close()


Kind = type[EmbeddedLog]
KINDS: dict[str, Kind] = {"thread": EmbeddedLog, "loop": LoopedLog}
"""By who drives the flushes."""
Opener = Callable[..., EmbeddedLog]


def skip_without_ring() -> None:
    try:
        Ring().close()
    except OSError as error:
        pytest.skip(f"this kernel lets nobody have an io_uring: {error}")


def open_embedded(
    root: Path,
    told: io.StringIO | None = None,
    disk: Disk | None = None,
    clock: Clock | None = None,
    segment_bytes: int = 1000,
    min_free_bytes: int = 0,
    prepare_from_bytes: int = 1 << 30,
    kind: Kind = EmbeddedLog,
    io_uring: bool = True,
) -> EmbeddedLog:
    """A log in `root` with the topic `raw`; `told` gets the lines of its events."""
    root.mkdir(exist_ok=True)
    settings = LogSettings(
        segment_bytes=segment_bytes,
        min_free_bytes=min_free_bytes,
        prepare_from_bytes=prepare_from_bytes,
        io_uring=io_uring,
    )
    log = kind(root, settings, clock or SystemClock(), Events("test", told or io.StringIO()), disk)
    log.create(RAW.topic, 1)
    return log


def payloads_of(log: EmbeddedLog, first: int = 0) -> list[bytes]:
    """Everything in `raw/0` from offset `first` on."""
    reader = log.open_reader(RAW, first)
    found: list[bytes] = []
    while records := reader.read(1000, MANY, 0):
        found += [record.payload for record in records]
    reader.close()
    return found


def segments(root: Path) -> list[Path]:
    return sorted((root / "raw" / "0").glob("*.log"))
