"""The platform under torture: where it lives, and its processes.

As root the home is an ext4 filesystem of its own in a sparse file (`disk.img`, mounted by a loop device), so that its
disk can really be full while the machine's is not. Elsewhere a full disk is played by the log's own free-space guard:
the platform is started with a limit that no disk has.

The platform runs as `catchment up`, in a session of its own. Two edge workers share the port (a socket of this process
holds it, so that it is the same after each restart), two loaders share their partitions; segments and pauses are small
so that a short run goes through many of them.
"""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from catchment import config as configuration
from catchment.errors import Unavailable
from catchment.platform import SECTIONS, Platform
from catchment.producers.connection import Address
from catchment.service import READY_FD
from catchment.torture.schedule import EVERYTHING, SUPERVISOR

SERVICES = ("edge-0", "edge-1", "loader-0", "loader-1", "archiver-0", "framed-0", "ledger-0", "console-0")
PARTITIONS = 2
READY_WITHIN_S, STOPS_WITHIN_S = 120.0, 120.0
UNMOUNTED_WITHIN_S = 20.0
NO_SPACE_BYTES = 1 << 62
_KEPT_FREE_BYTES = 16 * 1024 * 1024
_FILESYSTEM_BYTES, _FILESYSTEM_BYTES_A_PING = 4 * 1024**3, 64 * 1024
_HOST = "127.0.0.1"
_SETTINGS = {
    "EDGE__HOST": _HOST,
    "EDGE__WORKERS": str(PARTITIONS),
    "EDGE__RETRY_AFTER_S": "1",
    "CONSOLE__PORT": "0",
    "LOADER__PROCESSES": "2",
    "LOADER__FLUSH_S": "1",
    "LOADER__UPKEEP_S": "20",
    "LOG__URL": "file:log",
    "LOG__SEGMENT_BYTES": str(1024 * 1024),
    "LOG__PREPARE_FROM_BYTES": str(256 * 1024),
    "LOG__MIN_FREE_BYTES": str(_KEPT_FREE_BYTES),
    "OBJECTS__URL": "file:objects",
    "CATALOG__URL": "sqlite:catalog.db",
    "SUPERVISOR__LONGEST_BACKOFF_S": "1",
}


class Stage:
    """One platform below `folder`. Used by one thread, the one that started this process."""

    def __init__(self, folder: Path, config_file: Path | None, pings: int) -> None:
        """Make the home, on a filesystem of its own where that can be had, sized for so many pings."""
        self.home = folder / "home"
        self._folder = folder
        self.home.mkdir(parents=True)
        self.has_own_disk = self._mount(_FILESYSTEM_BYTES + pings * _FILESYSTEM_BYTES_A_PING)
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._port.bind((_HOST, 0))
        self.address = Address(_HOST, self._port.getsockname()[1])
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != READY_FD},
            **{f"CATCHMENT_{name}": value for name, value in _SETTINGS.items()},
            "CATCHMENT_HOME__PATH": str(self.home),
            "CATCHMENT_EDGE__PORT": str(self.address.port),
        }
        self.platform = Platform(configuration.load(SECTIONS, config_file, self._environment), config_file)
        self._up: subprocess.Popen[bytes] | None = None
        self._ready = -1

    def start(self, clock_offset_s: float = 0.0, no_space: bool = False) -> None:
        """Start `catchment up`, unless it runs. What it says goes to `up.log` beside the home."""
        if self.is_up:
            return
        self._let_go()
        environment = {**self._environment, "CATCHMENT_CLOCK__OFFSET_S": str(clock_offset_s)}
        if no_space:
            environment["CATCHMENT_LOG__MIN_FREE_BYTES"] = str(NO_SPACE_BYTES)
        self._ready, said = os.pipe()
        with (self._folder / "up.log").open("ab") as log:
            self._up = subprocess.Popen(
                [*self.platform.command, "up", "--quiet"],
                env={**environment, READY_FD: str(said)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(said,),
                start_new_session=True,  # Ctrl-C ends the torture, which then stops the platform
            )
        os.close(said)

    def wait_ready(self) -> None:
        """Return when every service was started. Raises Unavailable when it ends before, or takes too long."""
        readable, _, _ = select.select([self._ready], [], [], READY_WITHIN_S)
        if not readable or not os.read(self._ready, 16):
            tail = (self._folder / "up.log").read_text(encoding="utf-8", errors="replace")[-500:]
            raise Unavailable(f"the platform in {self.home} did not start; the end of {self._folder}/up.log: {tail}")

    @property
    def is_up(self) -> bool:
        return self._up is not None and self._up.poll() is None

    def stop(self) -> None:
        """As Ctrl-C does: everything ends in order; killed when it takes too long."""
        if self._up is None:
            return
        self._up.send_signal(signal.SIGINT)
        try:
            self._up.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill(EVERYTHING)

    def kill(self, target: str) -> bool:
        """SIGKILL to a service, the supervisor or everything; False when it does not live just now. A supervisor is
        started again; services it starts itself."""
        services = self.services()
        if target not in (SUPERVISOR, EVERYTHING):
            return target in services and _killed(services[target])
        is_there = self.is_up
        if self._up is not None:
            self._up.kill()
            self._up.wait()
        if target == EVERYTHING:
            for process in services.values():
                _killed(process)
        return is_there

    def freeze(self, name: str) -> None:
        """SIGSTOP to a service, if it lives; `kill` ends it."""
        with suppress(KeyError, psutil.NoSuchProcess):
            self.services()[name].suspend()

    def services(self) -> Mapping[str, psutil.Process]:
        """The supervisor's living children, by name."""
        found: dict[str, psutil.Process] = {}
        if self._up is None:
            return found
        try:
            for process in psutil.Process(self._up.pid).children():
                words = process.cmdline()
                if "run" in words:
                    at = words.index("run")
                    found[f"{words[at + 1]}-{words[at + 3]}"] = process
        except psutil.NoSuchProcess:  # one has ended while it was looked at: the others wait for the next look
            return found
        return found

    def fill_disk(self) -> None:
        """Take all space of the home's own filesystem, down to the last block."""
        descriptor = os.open(self._filler, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size_bytes, end = os.statvfs(self.home).f_bfree * os.statvfs(self.home).f_frsize, 0
            while size_bytes >= 4096:
                try:
                    os.posix_fallocate(descriptor, end, size_bytes)
                    end += size_bytes
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    end = max(end, os.fstat(descriptor).st_size)
                    size_bytes //= 2
        finally:
            os.close(descriptor)

    def free_disk(self) -> None:
        self._filler.unlink(missing_ok=True)

    def take_objects(self) -> None:
        """The object store is away: a file stands where its folder was, which stops even root."""
        self._objects.rename(self._objects_away)
        self._objects.touch()

    def return_objects(self) -> None:
        if self._objects_away.exists():
            self._objects.unlink()
            self._objects_away.rename(self._objects)

    def close(self) -> None:
        """Kill what lives, let the port go."""
        self.kill(EVERYTHING)
        self._let_go()
        self._port.close()

    def remove(self) -> None:
        """Remove everything that was made in the folder. Raises Unavailable when the filesystem is in use."""
        if self.has_own_disk and not wait_for(self._unmount, UNMOUNTED_WITHIN_S, 0.2):
            raise Unavailable(f"unmounting {self.home}: it is in use; end what uses it, unmount and remove it by hand")
        shutil.rmtree(self._folder)

    def _unmount(self) -> bool:
        return subprocess.run(["umount", self.home], capture_output=True, check=False).returncode == 0

    @property
    def _filler(self) -> Path:
        return self.home / "filler"

    @property
    def _objects(self) -> Path:
        return self.home / "objects"

    @property
    def _objects_away(self) -> Path:
        return self.home / "objects.away"

    def _mount(self, size_bytes: int) -> bool:
        """Mount a filesystem of so many bytes on the home; False when this machine does not let us."""
        image = self._folder / "disk.img"
        with image.open("wb") as file:
            file.truncate(size_bytes)
        commands = (
            ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard", str(image)],
            ["mount", "-o", "loop", str(image), str(self.home)],
        )
        try:
            for command in commands:
                subprocess.run(command, check=True, capture_output=True)
        except (FileNotFoundError, subprocess.CalledProcessError):
            image.unlink()
            return False
        return True

    def _let_go(self) -> None:
        if self._ready >= 0:
            os.close(self._ready)
        self._ready = -1


def _killed(process: psutil.Process) -> bool:
    try:
        process.kill()
        process.wait(STOPS_WITHIN_S)
    except psutil.NoSuchProcess:
        return False
    return True


def wait_for(is_so: Callable[[], bool], within_s: float, pause_s: float = 0.02) -> bool:
    """Wait until `is_so` answers True; False when it has not within that time."""
    ends_s = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > ends_s:
            return False
        time.sleep(pause_s)
    return True
