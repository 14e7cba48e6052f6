"""Dying at a chosen point: the crash points of a service, counted as it passes them, and which of them to try."""

from __future__ import annotations

import os
import signal


class CrashPoints:
    """Counts the points that a service passes, and dies at one of them."""

    def __init__(self, die_at: int | None) -> None:
        self.passed: list[str] = []
        self._die_at = die_at

    def __call__(self, point: str) -> None:
        self.passed.append(point)
        if len(self.passed) == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)


def chosen(points: list[str]) -> list[int]:
    """Of each kind of point the first, one in the middle and the last, counted from 1."""
    places: dict[str, list[int]] = {}
    for number, point in enumerate(points, start=1):
        places.setdefault(point, []).append(number)
    return sorted({number for found in places.values() for number in (found[0], found[len(found) // 2], found[-1])})
