"""A process that checks drafts, and may be ended: whatever a schema or its patterns do, the console goes on.

    Checker ──▶ length (4 bytes) + JSON of a Draft ──▶ stdin │ worker: check │ stdout ──▶ length + JSON of the answer

One worker does one draft at a time, within `MEMORY_BYTES` and a time after which its own alarm ends it, whatever it is
at; the next draft gets a new one. It is made with the first draft, and ends by itself after `IDLE_S` without one and
when the console has ended.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import orjson

from catchment.errors import Busy, TooLarge, Unavailable
from catchment.web.catalogue.check import Draft, check

MEMORY_BYTES = 1024 * 1024 * 1024
IDLE_S = 300.0
GRACE_S = 20.0
"""For a worker to start, and to end by its own alarm; then it is killed."""
WAITING = 8
"""Drafts that wait for the worker; more are refused as busy."""
_HEAD = struct.Struct(">I")
_PIECE = 1 << 16


class Checker:
    """Checks drafts in a process of its own. Safe to call from several threads; `check` blocks."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._waiting = threading.Semaphore(WAITING)
        self._worker: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    def check(self, draft: Draft) -> dict[str, Any]:
        """What `check.check` says. Raises TooLarge when it took too long, or ended its process; Busy when too
        many wait; Unavailable when the console is stopping."""
        if not self._waiting.acquire(blocking=False):
            raise Busy(f"{WAITING} schemas wait to be checked; try again in a moment")
        try:
            with self._lock:
                answer = self._ask(draft) or self._ask(draft)
        finally:
            self._waiting.release()
        if answer is None:
            raise TooLarge("checking the schema ended its process: it needs too much memory, or is nested too deeply")
        found: dict[str, Any] = orjson.loads(answer)
        if "error" in found:
            raise TooLarge(found["error"])
        return found

    def close(self) -> None:
        """End the worker, also one at work."""
        self._is_closed = True
        worker = self._worker
        if worker is not None:
            worker.kill()
        with self._lock:
            self._end()

    def _ask(self, draft: Draft) -> bytes | None:
        """The worker's answer; None when it ended without one, of old age or of this draft."""
        if self._is_closed:
            raise Unavailable("the console is stopping; ask again in a moment")
        worker = self._worker
        if worker is None or worker.poll() is not None:
            self._end()
            worker = self._worker = self._start()
        assert worker.stdin is not None
        assert worker.stdout is not None
        job = orjson.dumps({"limit_s": self._limit_s, **asdict(draft)})
        try:
            worker.stdin.write(_HEAD.pack(len(job)) + job)
            worker.stdin.flush()
            answer = _read(worker.stdout.fileno(), time.monotonic() + self._limit_s + GRACE_S)
        except (BrokenPipeError, TimeoutError):
            worker.kill()
            answer = None
        if answer is None and self._end() == -signal.SIGALRM:
            raise TooLarge(
                f"checking the schema took longer than {self._limit_s:g} s and was ended; "
                "simplify its patterns and references, or write a shorter ping"
            )
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "catchment.web.catalogue.worker"]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def _end(self) -> int:
        """Wait for the end of a worker that is ending; what it ended with."""
        worker, self._worker = self._worker, None
        if worker is None:
            return 0
        code = worker.wait()
        for pipe in (worker.stdin, worker.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what it has not read, nobody will
                    pipe.close()
        return code


def _read(source: int, ends_s: float) -> bytes | None:
    """One answer; None when the other end closes before. Raises TimeoutError."""
    held = b""
    while len(held) < _HEAD.size or len(held) < _HEAD.size + _HEAD.unpack_from(held)[0]:
        readable, _, _ = select.select([source], [], [], max(ends_s - time.monotonic(), 0))
        if not readable:
            raise TimeoutError
        piece = os.read(source, _PIECE)
        if not piece:
            return None
        held += piece
    return held[_HEAD.size :]


def work() -> None:
    """Be the worker, until stdin ends or nothing has come for IDLE_S."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            job = _read(0, time.monotonic() + IDLE_S)
        except TimeoutError:
            return
        if job is None:
            return
        values = orjson.loads(job)
        signal.setitimer(signal.ITIMER_REAL, values.pop("limit_s"))
        try:
            answer = check(Draft(**values))
        except RecursionError:
            answer = {"error": "the schema is nested too deeply to be checked; flatten it"}
        except MemoryError:
            answer = {"error": "checking the schema needs too much memory; make it smaller"}
        signal.setitimer(signal.ITIMER_REAL, 0)
        told = orjson.dumps(answer)
        os.write(1, _HEAD.pack(len(told)))
        with os.fdopen(os.dup(1), "wb") as out:
            out.write(told)


if __name__ == "__main__":
    work()
