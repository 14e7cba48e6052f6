"""Files that may be replaced while they are in use, and what was read from them.

A replaced file that cannot be read is reported, and what was read before stays in use.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from catchment import metrics
from catchment.errors import BadConfig
from catchment.events import Events

RELOADS = metrics.counter("geo_reloads_total", "Replaced geographic files taken into use.", "files")

T = TypeVar("T")


class Watched(Generic[T]):
    """`value` is what `read` made of the file; None when there is no file to read. One thread uses it."""

    def __init__(self, path: str, read: Callable[[Path], T], events: Events) -> None:
        """An empty path is no file. `read` raises BadConfig or OSError for one that cannot be read; here BadConfig
        stops the start."""
        self._path = Path(path) if path else None
        self._read = read
        self._events = events
        self._stamp: tuple[int, int, int] | None = None
        self.value: T | None = None
        if self._path is not None:
            self._take(self._path)

    def renew(self) -> bool:
        """Read the file again if it was replaced; whether it was."""
        if self._path is None:
            return False
        try:
            if _stamp(self._path) == self._stamp:
                return False
            self._take(self._path)
        except (OSError, BadConfig) as error:
            self._events.warning("geo_reload_failed", error=error)
            return False
        RELOADS.inc()
        self._events.info("geo_reloaded", file=self._path)
        return True

    def _take(self, path: Path) -> None:
        stamp = _stamp(path) if path.exists() else None  # before reading: what changes meanwhile is read again
        self.value = self._read(path)
        self._stamp = stamp


def _stamp(path: Path) -> tuple[int, int, int]:
    status = os.stat(path)  # noqa: PTH116
    return status.st_ino, status.st_mtime_ns, status.st_size
