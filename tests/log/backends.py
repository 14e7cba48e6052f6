"""The backends that the contract suite runs over, one entry each; it opens a new or an existing log in a folder."""

from __future__ import annotations

import io
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


def _open_embedded(folder: Path) -> Log:
    settings = LogSettings(segment_bytes=4096, min_free_bytes=0)
    return open_log(settings, folder, SystemClock(), Events("test", io.StringIO()))


BACKENDS = [Backend("embedded", _open_embedded)]
