"""The supervisor: starts the services as processes, restarts what dies, stops them in order.

    start   in list order, each when the one before says it is ready (or after `ready_within_s`)
    refuses at its first start, because of its configuration: everything stops with that error
    dies    restarted after a back-off: 0.5 s, doubled up to `longest_backoff_s`, 0.5 s again after a minute of running
    stop    by `stop_rank`, then in list order (the edge before what drains it); SIGTERM, then SIGKILL after
            `stop_within_s`

One supervisor per home: a lock file holds the place. What services write to standard error goes to
`<home>/logs/<name>.log` (two files of at most 8 MiB each) and, if asked for, to the supervisor's own standard error.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from catchment.clock import Clock
from catchment.config import option
from catchment.errors import BadConfig, Unavailable
from catchment.events import Events
from catchment.service import READY_FD, run_directory

LOG_FILE_BYTES = 8 * 1024 * 1024
NOT_STARTED = 71
REFUSED_EXIT_CODE = 2
"""What a command ends with when its configuration is refused: starting it again would not help."""
FIRST_BACKOFF_S, STEADY_S = 0.5, 60.0


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    longest_backoff_s: float = option(
        30.0, "Longest wait before a service that died again and again is started anew.", unit="s", minimum=0.1
    )


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One process to keep alive: its name and its command line."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    ready_within_s: float = 20.0
    stop_within_s: float = 30.0
    stop_rank: int = 0


class ServiceLog:
    """Appends to `<name>.log`, keeping one older file `<name>.log.1`. What the disk does not take is left out, and
    counted in the log once it does: a full disk costs lines, never the service that writes them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._left_out = 0

    def write(self, line: bytes) -> None:
        try:
            file = self._open(len(line))
            if self._left_out:
                file.write(b"(%d lines are missing here: they could not be written)\n" % self._left_out)
                self._left_out = 0
            file.write(line)
        except OSError:
            self._left_out += 1

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self, size_bytes: int) -> IO[bytes]:
        """The file, with room for so many bytes. Raises OSError."""
        if self._file is not None and self._file.tell() + size_bytes > LOG_FILE_BYTES:
            self._file.close()
            self._file = None
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab", buffering=0)
        return self._file


class Supervisor:
    """Runs `services` until `stop()`; see the module's text for the rules."""

    def __init__(
        self,
        home: Path,
        services: Sequence[ServiceSpec],
        clock: Clock,
        events: Events,
        *,
        settings: SupervisorSettings | None = None,
        echo: bool = True,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._home = home
        self._services = list(services)
        self._clock = clock
        self._events = events
        self._longest_backoff_s = (settings or SupervisorSettings()).longest_backoff_s
        self._echo = echo
        self._on_ready = on_ready
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._were_ready: set[str] = set()
        self._refused = ""

    def run(self) -> None:
        """Supervise until SIGTERM or SIGINT. Raises Unavailable when another supervisor runs in this home."""
        with (run_directory(self._home) / "supervisor.lock").open("wb", buffering=0) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Unavailable(
                    f"{self._home}: another `catchment up` runs here; stop it, or set CATCHMENT_HOME__PATH"
                ) from error
            with suppress(OSError):  # for people only, and the disk may be full
                lock.write(b"%d" % os.getpid())
            asyncio.run(self._run())
        if self._refused:
            raise BadConfig(f"{self._refused} refused its configuration, so nothing was started; what it said is above")

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        keepers = []
        for spec in self._services:
            if self._stopping.is_set():
                break
            started = asyncio.Event()
            keepers.append(asyncio.create_task(self._keep(spec, started), name=spec.name))
            await _first(started.wait(), self._stopping.wait())
        if not self._stopping.is_set():
            self._on_ready()
        await self._stopping.wait()
        for spec in sorted(self._services, key=lambda spec: spec.stop_rank):
            await self._stop(spec)
        await asyncio.gather(*keepers)

    async def _keep(self, spec: ServiceSpec, started: asyncio.Event) -> None:
        backoff_s, is_first = FIRST_BACKOFF_S, True
        log = ServiceLog(self._home / "logs" / f"{spec.name}.log")
        try:
            while not self._stopping.is_set():
                since = self._clock.monotonic_s()
                try:
                    code = await self._run_once(spec, log, started)
                except OSError as error:  # the machine has no process, memory or file for it now
                    code = NOT_STARTED
                    self._events.error("service_not_started", service=spec.name, error=error)
                started.set()
                if self._stopping.is_set():
                    return
                if code == REFUSED_EXIT_CODE and is_first:
                    self._refused = spec.name
                    self._stopping.set()
                    return
                is_first = False
                if self._clock.monotonic_s() - since > STEADY_S:
                    backoff_s = FIRST_BACKOFF_S
                self._events.error("service_died", service=spec.name, exit_code=code, restart_in_s=backoff_s)
                await _first(asyncio.sleep(backoff_s), self._stopping.wait())
                backoff_s = min(backoff_s * 2, self._longest_backoff_s)
        finally:
            log.close()

    async def _run_once(self, spec: ServiceSpec, log: ServiceLog, started: asyncio.Event) -> int:
        ready_read, ready_write = os.pipe()
        process = await asyncio.create_subprocess_exec(
            *spec.command,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(ready_write,),
            env={**os.environ, **spec.environment, READY_FD: str(ready_write)},
            start_new_session=True,  # Ctrl-C reaches the supervisor only; it stops the others in order
        )
        os.close(ready_write)
        self._processes[spec.name] = process
        readiness = asyncio.create_task(self._await_ready(spec, ready_read, started))
        assert process.stderr is not None
        async for line in _lines(process.stderr):
            log.write(line)
            if self._echo or spec.name not in self._were_ready:
                with suppress(OSError):
                    sys.stderr.buffer.write(line)
                    sys.stderr.flush()
        code = await process.wait()
        await readiness
        return code

    async def _await_ready(self, spec: ServiceSpec, descriptor: int, started: asyncio.Event) -> None:
        """Set `started` when the service said ready, ended, or took too long; the pipe tells the first two."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[bytes] = loop.create_future()

        def on_readable() -> None:
            if not answered.done():
                answered.set_result(os.read(descriptor, 16))

        loop.add_reader(descriptor, on_readable)
        try:
            said = await asyncio.wait_for(answered, spec.ready_within_s)
            if said:
                self._were_ready.add(spec.name)
            self._events.info("service_ready" if said else "service_not_ready", service=spec.name)
        except TimeoutError:
            self._events.warning("service_not_ready", service=spec.name, waited_s=spec.ready_within_s)
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            started.set()

    async def _stop(self, spec: ServiceSpec) -> None:
        process = self._processes.get(spec.name)
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), spec.stop_within_s)
        except TimeoutError:
            self._events.error("service_killed", service=spec.name, waited_s=spec.stop_within_s)
            process.kill()
            await process.wait()


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Lines of `stream`; one longer than the buffer comes in pieces instead of ending the stream."""
    while True:
        try:
            line = await stream.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                yield error.partial + b"\n"
            return
        except asyncio.LimitOverrunError as error:
            line = await stream.readexactly(error.consumed)
        yield line


async def _first(*waits: Awaitable[object]) -> None:
    """Wait for the first of the awaitables and cancel the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
