"""The supervisor with real processes: order, restarts, stop, one per home, and nobody outlives it."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catchment.supervisor import LOG_FILE_BYTES, ServiceLog

SERVICE = """
import os, signal, sys
from catchment.service import die_with_parent, say_ready
die_with_parent()
name = sys.argv[1]
if name == "refuses":
    sys.exit(print("refuses: the port is taken", file=sys.stderr) or 2)
if name == "recovers":
    from pathlib import Path
    starts = Path(__file__).with_name("starts")
    count = int(starts.read_text()) + 1 if starts.exists() else 1
    starts.write_text(str(count))
    if count < 3:
        sys.exit(count)  # first the disk is full, then the store is away, which sounds like a wrong setting
def stop(*_):
    print("stopped", name, file=sys.stderr, flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("started", name, os.getpid(), file=sys.stderr, flush=True)
say_ready()
while True:
    signal.pause()
"""

DRIVER = """
import sys
from pathlib import Path
from catchment.clock import SystemClock
from catchment.events import Events
from catchment.supervisor import ServiceSpec, Supervisor
home, script, *names = sys.argv[1:]
specs = [ServiceSpec(name, (sys.executable, script, name)) for name in names]
Supervisor(Path(home), specs, SystemClock(), Events("supervisor"), on_ready=lambda: print("all ready", file=sys.stderr, flush=True)).run()
"""  # noqa: E501


class Supervised:
    """A supervisor process and the lines that it and its services write."""

    def __init__(self, home: Path, *names: str) -> None:
        home.mkdir(exist_ok=True)
        script = home / "service.py"
        script.write_text(SERVICE)
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(home), str(script), *names], stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []

    def until(self, text: str) -> str:
        """Read lines until one holds `text`; return it. The test's own time limit bounds the wait."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"no line with {text!r} in {self.lines}")

    def rest(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextmanager
def supervised(home: Path, *names: str) -> Iterator[Supervised]:
    running = Supervised(home, *names)
    try:
        yield running
    finally:
        running.process.terminate()
        running.process.wait()
        assert running.process.stderr is not None
        running.process.stderr.close()


def pid_in(line: str) -> int:
    return int(line.split()[-1])


def test_services_start_in_order_each_after_the_one_before_is_ready(tmp_path: Path) -> None:
    with supervised(tmp_path, "a", "b") as running:
        running.until("all ready")
    text = "".join(running.lines)
    places = [text.index(mark) for mark in ("started a", "service_ready service=a", "started b", "all ready")]
    assert places == sorted(places)


def test_a_service_that_is_killed_comes_back_and_the_others_do_not_notice(tmp_path: Path) -> None:
    with supervised(tmp_path, "a", "b") as running:
        first = pid_in(running.until("started a"))
        running.until("all ready")
        os.kill(first, signal.SIGKILL)
        died = running.until("service_died")
        second = pid_in(running.until("started a"))
        assert "exit_code=-9" in died
        assert second != first
        assert "stopped b" not in "".join(running.lines)


def test_services_stop_in_list_order(tmp_path: Path) -> None:
    with supervised(tmp_path, "a", "b", "c") as running:
        running.until("all ready")
        running.process.terminate()
        assert running.rest().split() == ["stopped", "a", "stopped", "b", "stopped", "c"]
        assert running.process.wait() == 0


def test_a_second_supervisor_in_the_same_home_is_refused_with_advice(tmp_path: Path) -> None:
    with supervised(tmp_path, "a") as running:
        running.until("all ready")
        second = Supervised(tmp_path, "a")
        assert "CATCHMENT_HOME__PATH" in second.until("errors.Unavailable")
        second.rest()
        assert second.process.wait() == 1
        assert second.process.stderr is not None
        second.process.stderr.close()


def test_services_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    with supervised(tmp_path, "a") as running:
        running.until("all ready")
        pid = pid_in(next(line for line in running.lines if "started a" in line))
        descriptor = os.pidfd_open(pid)
        running.process.kill()
        running.process.wait()
        readable, _, _ = select.select([descriptor], [], [], 20)
        os.close(descriptor)
        assert readable, "the service still runs 20 s after its supervisor was killed"


def test_a_service_that_refuses_its_configuration_stops_the_start_with_its_words(tmp_path: Path) -> None:
    with supervised(tmp_path, "a", "refuses") as running:
        running.until("refuses: the port is taken")
        assert "refuses refused its configuration" in running.until("errors.BadConfig")
        assert "stopped a" in "".join(running.lines)


def test_a_service_that_died_before_is_not_taken_for_misconfigured(tmp_path: Path) -> None:
    with supervised(tmp_path, "a", "recovers") as running:
        running.until("started recovers")
        codes = re.findall(r"service_died service=recovers exit_code=(\d)", "".join(running.lines))
        assert codes == ["1", "2"]
        assert "stopped a" not in "".join(running.lines)


def test_a_services_lines_are_kept_in_its_log_file(tmp_path: Path) -> None:
    with supervised(tmp_path, "a") as running:
        running.until("all ready")
    assert (tmp_path / "logs" / "a.log").read_text().splitlines()[0].startswith("started a")


def test_a_full_disk_costs_a_services_lines_and_not_the_service(tmp_path: Path) -> None:
    """The supervisor that cannot write what a service says used to forget the service."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").symlink_to("/dev/full")
    with supervised(tmp_path, "a") as running:
        first = pid_in(running.until("started a"))
        running.until("all ready")
        os.kill(first, signal.SIGKILL)
        assert pid_in(running.until("started a")) != first


def test_lines_that_the_disk_did_not_take_are_counted_where_they_are_missing(tmp_path: Path) -> None:
    place = tmp_path / "logs"
    place.touch()
    log = ServiceLog(place / "a.log")
    log.write(b"lost\n")
    log.write(b"lost too\n")
    place.unlink()
    log.write(b"kept\n")
    log.close()
    told, kept = (place / "a.log").read_text().splitlines()
    assert told.startswith("(2 lines are missing here")
    assert kept == "kept"


def test_a_log_file_is_bounded(tmp_path: Path) -> None:
    log = ServiceLog(tmp_path / "a.log")
    line = b"x" * 1_000_000 + b"\n"
    for _ in range(20):
        log.write(line)
    log.close()
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= LOG_FILE_BYTES
