"""The backends that the contract suite runs over, one entry each; it opens a new or an existing log in a folder.

On Kafka a folder is a prefix of the topics' names, on the session's broker.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from catchment.clock import SystemClock
from catchment.events import Events
from catchment.log.open import open_log
from catchment.log.port import Log
from catchment.log.settings import LogSettings

WITHIN_S = 20.0
"""How long a test waits for something that happens at once on an idle machine."""


@dataclass(frozen=True, slots=True)
class Backend:
    """`open(folder)` gives a log with small segments; opened twice on one folder it is the same log."""

    name: str
    open: Callable[[Path], Log]
    fences_writers: bool = True


def _open_embedded(folder: Path) -> Log:
    settings = LogSettings(segment_bytes=4096, min_free_bytes=0)
    return open_log(settings, folder, SystemClock(), Events("test", io.StringIO()))


EMBEDDED = Backend("embedded", _open_embedded)
NAMES = ("embedded", "kafka")


def kafka_settings(server: str, folder: Path) -> LogSettings:
    """A log of its own on the broker."""
    url = f"kafka://{server}/test-{zlib.crc32(bytes(folder)):08x}"
    soon = (("topic.metadata.refresh.interval.ms", "300"),)
    return LogSettings(url, session_timeout_s=6.0, max_queue_bytes=16 * 1024 * 1024, kafka=soon)


def kafka_backend(server: str) -> Backend:
    def open_kafka(folder: Path) -> Log:
        return open_log(kafka_settings(server, folder), folder, SystemClock(), Events("test", io.StringIO()))

    return Backend("kafka", open_kafka, fences_writers=False)
