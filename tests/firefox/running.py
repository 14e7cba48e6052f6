"""The whole platform as a user starts it: `catchment up` as a process of its own, asked only through its commands."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

READY_WITHIN_S = 60.0
STOPS_WITHIN_S = 60.0
COMMAND = [sys.executable, "-m", "catchment"]


class Running:
    """A platform whose home and working directory are below `folder`; ports are free ones."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.home = folder / "home"
        self.printed = folder / "up.log"
        self._folder = folder
        self.environment = {
            **os.environ,
            "CATCHMENT_HOME__PATH": str(self.home),
            "CATCHMENT_EDGE__PORT": "0",
            "CATCHMENT_CONSOLE__PORT": "0",
            **settings,
        }

    def start(self) -> None:
        """Start every service; return when the platform says where it can be reached."""
        with self.printed.open("wb") as printed:
            self._process = subprocess.Popen(
                [*COMMAND, "up"],
                cwd=self._folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=printed,
            )
        self._awaits("http://")
        self.edge_port = int(json.loads((self.home / "run" / "edge-0.json").read_text(encoding="utf-8"))["port"])

    def _awaits(self, text: str) -> None:
        assert self._process.stdout is not None
        descriptor, said = self._process.stdout.fileno(), b""
        ends_at = time.monotonic() + READY_WITHIN_S
        while text not in said.decode():
            readable, _, _ = select.select([descriptor], [], [], ends_at - time.monotonic())
            assert readable, f"not ready in {READY_WITHIN_S} s; it said {said!r} and {self._tail()}"
            more = os.read(descriptor, 65536)
            assert more, f"catchment up ended; it said {said!r} and {self._tail()}"
            said += more

    def _tail(self) -> str:
        return self.printed.read_text(encoding="utf-8", errors="replace")[-2000:]

    def sql(self, query: str) -> list[dict[str, Any]]:
        """The rows of `catchment sql`. A table that is not there yet has none."""
        ran = subprocess.run(
            [*COMMAND, "sql", "--format", "json", query],
            cwd=self._folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            tables = re.findall(r"from (\S+)", query)
            assert ran.returncode == 1, f"{ran.returncode}: {ran.stderr}"
            assert any(table in ran.stderr for table in tables), ran.stderr
            return []
        rows: list[dict[str, Any]] = json.loads(ran.stdout)
        return rows

    def logs(self) -> Iterator[tuple[Path, str]]:
        """What the services and the supervisor wrote."""
        for path in [self.printed, *sorted((self.home / "logs").iterdir())]:
            yield path, path.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """Ctrl-C; every service has to end in order."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(STOPS_WITHIN_S)
        assert code == 0, f"catchment up ended with {code}: {self._tail()}"

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def running(folder: Path, settings: Mapping[str, str]) -> Iterator[Running]:
    """A started platform; stopped when the block ends well, killed when it does not."""
    platform = Running(folder, settings)
    platform.start()
    try:
        yield platform
        platform.stop()
    finally:
        platform.kill()
