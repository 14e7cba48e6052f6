"""Opening embedded logs for tests that look behind the port: a log over a chosen disk, and its events as text."""

from __future__ import annotations

import io
from pathlib import Path

from catchment.clock import Clock, SystemClock
from catchment.events import Events
from catchment.log.embedded.disk import Disk
from catchment.log.embedded.log import EmbeddedLog
from catchment.log.port import TopicPartition
from catchment.log.settings import LogSettings

RAW = TopicPartition("raw", 0)
MANY = 1 << 30


def open_embedded(
    root: Path,
    told: io.StringIO | None = None,
    disk: Disk | None = None,
    clock: Clock | None = None,
    segment_bytes: int = 1000,
    min_free_bytes: int = 0,
    prepare_from_bytes: int = 1 << 30,
) -> EmbeddedLog:
    """A log in `root` with the topic `raw`; `told` gets the lines of its events."""
    root.mkdir(exist_ok=True)
    settings = LogSettings(
        segment_bytes=segment_bytes, min_free_bytes=min_free_bytes, prepare_from_bytes=prepare_from_bytes
    )
    log = EmbeddedLog(root, settings, clock or SystemClock(), Events("test", told or io.StringIO()), disk)
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
