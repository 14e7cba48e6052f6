# ruff: noqa: T201
"""From `200` to visible in SQL, and what the idle platform costs.

Starts `catchment up` in an empty home, takes the time until every service is ready and the memory of all its processes
after they have settled; then a simulated fleet sends at a steady rate and, in a loop, SQL is asked for the ids of its
main pings. A ping's latency runs from its `200` to the start of the first query that returned it.
"""

from __future__ import annotations

import argparse
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from catchment import services
from catchment.clock import SystemClock
from catchment.platform import Platform
from catchment.producers.fleet import Fleet
from catchment.query.port import Limits

SETTLE_S = 5.0
TABLE = "telemetry.main_v4"


class Pinger:
    """Sends pings at `rate` per second and remembers when each was acknowledged."""

    def __init__(self, url: str, rate: float) -> None:
        self.acknowledged: dict[str, float] = {}
        self._url = urlsplit(url)
        self._rate = rate
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Pinger:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port)
        deliveries = Fleet(seed=1, salt=str(uuid.uuid4()), clients=200).deliveries(SystemClock(), 0, 0)
        while not self._done.wait(1 / self._rate):
            sent = next(deliveries).submission
            connection.request("POST", sent.target, sent.body, sent.headers)
            response = connection.getresponse()
            response.read()
            assert response.status == 200, response.status
            if sent.table == TABLE:
                self.acknowledged[sent.document_id] = time.monotonic()
        connection.close()


def pss_bytes(root: psutil.Process) -> int:
    return sum(int(process.memory_full_info().pss) for process in (root, *root.children(recursive=True)))


def until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("console"):
            return
    raise SystemExit("catchment up ended before it was ready")


def watch(platform: Platform, pinger: Pinger, seconds: float) -> list[float]:
    """Latencies in seconds of the pings seen within `seconds`."""
    latencies: list[float] = []
    waiting: set[str] = set()
    seen: set[str] = set()
    engine = platform.engine()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        asked = time.monotonic()
        if TABLE in platform.lake().tables():
            result = engine.run(f"select document_id from {TABLE}", Limits())
            ids = set(result.read_all().column(0).to_pylist())
            latencies.extend(asked - pinger.acknowledged[document_id] for document_id in ids - seen)
            seen |= ids
        waiting = set(pinger.acknowledged) - seen
        time.sleep(0.1)
    print(f"{len(latencies)} pings seen, {len(waiting)} still on their way at the end")
    return latencies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=40.0, help="how long pings are sent (s)")
    parser.add_argument("--rate", type=float, default=20.0, help="pings per second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "home"
        environment = {
            "CATCHMENT_HOME__PATH": str(home),
            "CATCHMENT_EDGE__PORT": "0",
            "CATCHMENT_CONSOLE__PORT": "0",
        }
        os.environ.update(environment)
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "catchment", "up", "--quiet"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            until_ready(process)
            ready_s = time.monotonic() - started
            time.sleep(SETTLE_S)
            idle_mb = pss_bytes(psutil.Process(process.pid)) / 1e6
            platform = Platform.from_file(None)
            edge = services.address(platform, "edge")
            assert edge is not None
            with Pinger(edge, options.rate) as pinger:
                latencies = watch(platform, pinger, options.seconds)
        finally:
            process.terminate()
            process.wait()
    cuts = statistics.quantiles(latencies, n=100)
    print(f"{'figure':32}{'value':>10}")
    for name, value in (
        ("start to ready, s", ready_s),
        ("idle memory of all processes, MB", idle_mb),
        ("200 to visible, median, s", cuts[49]),
        ("200 to visible, 95th, s", cuts[94]),
        ("200 to visible, worst, s", max(latencies)),
    ):
        print(f"{name:34}{value:8.2f}")
    print(f"visible_p50_s={cuts[49]:.2f} visible_p95_s={cuts[94]:.2f} idle_pss_mb={idle_mb:.0f} ready_s={ready_s:.2f}")


if __name__ == "__main__":
    main()
