"""A service as a process: its run file, its readiness, its stop signal.

Each running service keeps `<home>/run/<name>.json` (written whole, renamed into place) so that `catchment status` and
the console find its process and its admin port. A service started by the supervisor says "ready" once on a pipe that
it inherited (`CATCHMENT_READY_FD`), and gets SIGTERM from the kernel if the supervisor dies (Linux `PR_SET_PDEATHSIG`),
so that no orphan keeps a port or a partition.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import orjson

from catchment.errors import BadConfig
from catchment.events import Events
from catchment.health import AdminServer, Check

READY_FD = "CATCHMENT_READY_FD"
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class RunFile:
    """Where a service runs. `port` is its public port, 0 when it has none."""

    name: str
    kind: str
    pid: int
    started_ns: int
    host: str
    port: int
    admin_port: int

    @property
    def is_alive(self) -> bool:
        """Whether the process exists. A reused process id is caught by the admin port, which then does not answer."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def run_directory(home: Path) -> Path:
    directory = home / "run"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def read_run_files(home: Path) -> list[RunFile]:
    """The run files of this home, by name; also of services that died without removing theirs."""
    found = []
    for path in sorted(run_directory(home).glob("*.json")):
        try:
            found.append(RunFile(**orjson.loads(path.read_bytes())))
        except FileNotFoundError:
            continue  # the service removed it between the listing and the read
    return found


def write_run_file(home: Path, run: RunFile) -> Path:
    path = run_directory(home) / f"{run.name}.json"
    fresh = path.with_suffix(f".{run.pid}.tmp")
    fresh.write_bytes(orjson.dumps(asdict(run)))
    fresh.replace(path)
    return path


def say_ready() -> None:
    """Tell the supervisor, if there is one, that this service takes work now."""
    text = os.environ.pop(READY_FD, "")
    if text:
        os.write(int(text), b"ready\n")
        os.close(int(text))


def die_with_parent() -> None:
    """Ask the kernel to send SIGTERM to this process when its parent ends. Does nothing when not supervised."""
    if READY_FD in os.environ:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def on_stop_signal(stop: Callable[[], None]) -> None:
    """Call `stop` when SIGTERM or SIGINT comes. Call from the main thread; `stop` must be quick and repeatable."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())


@contextmanager
def admin(host: str, port: int, checks: Mapping[str, Check]) -> Iterator[AdminServer]:
    """Serve the operational paths while the block runs. A taken port is a BadConfig that names it."""
    try:
        server = AdminServer(host, port, checks)
    except OSError as error:
        raise BadConfig(f"admin port {host}:{port} cannot be bound: {error.strerror}; set another port or 0") from error
    server.start()
    try:
        yield server
    finally:
        server.close()


@contextmanager
def announcing(home: Path, run: RunFile, events: Events) -> Iterator[Callable[[int], None]]:
    """Gives a function that the service calls with its public port (0: none) once it takes work: it writes the run
    file and says ready. The file is removed at the end of the block.

    A disk that is too full for the file does not end the service: it works without being seen. An edge on a full disk
    must still answer that it is full."""
    written: list[Path] = []

    def announce(port: int) -> None:
        try:
            written.append(write_run_file(home, replace(run, port=port)))
        except OSError as error:
            events.warning("run_file_not_written", error=error.strerror, advice="free space, then restart the service")
        events.info("service_started", pid=run.pid, port=port, admin_port=run.admin_port)
        say_ready()

    try:
        yield announce
    finally:
        for path in written:
            path.unlink(missing_ok=True)
        events.info("service_stopped", pid=run.pid)
