"""Waiting without polling: inotify for what other processes do to files, an eventfd for `wake` from this one.

The order that misses nothing: add the watch, look at the file, wait. What happens in between is in the kernel's queue
and ends the wait at once. Equal events that follow each other are merged by the kernel, so a queue stays short.

Waiting is done by the kernel, so it is measured on the kernel's clock (`now_s`), also where a Clock is turned by hand.
"""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

from inotify_simple import INotify, flags  # type: ignore[import-untyped]

from catchment.errors import Unavailable

WRITTEN = int(flags.MODIFY)
"""A watched file is written to."""
LEFT = int(flags.CLOSE_WRITE | flags.DELETE)
"""In a watched directory: a file open for writing is closed (also by the death of its process), or removed."""
PLACED = int(flags.MOVED_TO)
"""In a watched directory: a file is renamed into place."""
now_s = time.monotonic
_OVERFLOW = int(flags.Q_OVERFLOW)
_IGNORED = int(flags.IGNORED)


class Watch:
    """Watches files and directories; `wait` returns when something happened to one of them."""

    def __init__(self) -> None:
        """Raises Unavailable when the user has too many watches."""
        try:
            self._inotify = INotify()
        except OSError as error:
            raise Unavailable(
                f"starting to watch the log failed: {error.strerror}; raise sysctl fs.inotify.max_user_instances"
            ) from error
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._inotify.fileno(), select.POLLIN)
        self._poll.register(self._bell, select.POLLIN)

    def add(self, path: Path, mask: int) -> int:
        """Watch `path`; return the watch's number. Raises Unavailable."""
        try:
            return int(self._inotify.add_watch(path, mask))
        except OSError as error:
            raise Unavailable(
                f"watching {path} failed: {error.strerror}; see that it exists, or raise sysctl "
                "fs.inotify.max_user_watches"
            ) from error

    def remove(self, number: int) -> None:
        try:
            self._inotify.rm_watch(number)
        except OSError:  # the kernel has removed it already, with its file
            return

    def wait(self, timeout_s: float) -> bool:
        """Wait until something happened, `wake`, or the timeout; return whether something did (it stays pending)."""
        return bool(self._poll.poll(max(timeout_s, 0.0) * 1000))

    def drain(self) -> tuple[set[int], bool]:
        """Take what is pending: the numbers of the watches touched (all of them: -1), and whether `wake` was called."""
        touched = set()
        for event in self._inotify.read(timeout=0):
            if event.mask & _OVERFLOW:
                touched.add(-1)
            elif not event.mask & _IGNORED:
                touched.add(event.wd)
        try:
            was_woken = bool(os.eventfd_read(self._bell))
        except BlockingIOError:
            was_woken = False
        return touched, was_woken

    def wake(self) -> None:
        """End the present or the next `wait`. From any thread, or a signal handler."""
        os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        self._inotify.close()
        os.close(self._bell)
