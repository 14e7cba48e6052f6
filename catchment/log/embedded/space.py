"""The free-space guard: refuses appends before the disk is full, so that the rest of the machine goes on working.

The filesystem is asked at most every 0.1 s or 16 MiB, whichever comes first; in between the guard counts what was let
through. So up to 16 MiB, or what others write in 0.1 s, may go below the limit.
"""

from __future__ import annotations

from pathlib import Path

from catchment.clock import Clock
from catchment.errors import Full
from catchment.log.embedded.disk import Disk

ASK_EVERY_S = 0.1
ASK_EVERY_BYTES = 16 * 1024 * 1024


class SpaceGuard:
    """Watches the filesystem of one directory."""

    def __init__(self, disk: Disk, directory: Path, min_free_bytes: int, clock: Clock) -> None:
        self._disk = disk
        self._directory = directory
        self._min_free_bytes = min_free_bytes
        self._clock = clock
        self._free_bytes = 0
        self._passed_bytes = ASK_EVERY_BYTES
        self._asked_at_s = 0.0

    def admit(self, size_bytes: int) -> None:
        """Let `size_bytes` through. Raises Full when less than the limit would stay free; OSError from the disk."""
        if not self._min_free_bytes:
            return
        now_s = self._clock.monotonic_s()
        if self._passed_bytes + size_bytes > ASK_EVERY_BYTES or now_s - self._asked_at_s >= ASK_EVERY_S:
            self._free_bytes = self._disk.free_bytes(self._directory)
            self._passed_bytes = 0
            self._asked_at_s = now_s
        if self._free_bytes - self._passed_bytes - size_bytes < self._min_free_bytes:
            raise Full(
                f"{self._directory}: {size_bytes} bytes to append, {self._free_bytes} bytes free, "
                f"{self._min_free_bytes} must stay free; free space, or lower [log] min_free_bytes"
            )
        self._passed_bytes += size_bytes
