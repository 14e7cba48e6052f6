# ruff: noqa: T201
"""From `200` to seen in `catchment tail`.

Starts `catchment up` in an empty home and `catchment tail --format json` beside it, sends the pings of a simulated
fleet at a steady rate, and takes the time from each ping's `200` to the line that shows it, whatever the decoder made
of it.
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
from typing import IO
from urllib.parse import urlsplit

import orjson

from benchmarks.latency import until_ready
from catchment import services
from catchment.clock import SystemClock
from catchment.platform import Platform
from catchment.producers.fleet import Fleet

WITHIN_S = 15.0


def send(url: str, rate: float, seconds: float, acknowledged: dict[str, float]) -> None:
    """Send at `rate` per second for `seconds`; remember when each document id was first acknowledged."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port)
    deliveries = Fleet(seed=1, salt=str(uuid.uuid4()), clients=200).deliveries(SystemClock(), 0, 0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sent = next(deliveries).submission
        connection.request("POST", sent.target, sent.body, sent.headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 200, response.status
        acknowledged.setdefault(sent.document_id, time.monotonic())
        time.sleep(1 / rate)
    connection.close()


def read(lines: IO[bytes], seen: dict[str, float]) -> None:
    for line in lines:
        seen_s = time.monotonic()
        document_id = orjson.loads(line)["document_id"]
        if document_id is not None:
            seen.setdefault(document_id, seen_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long pings are sent (s)")
    parser.add_argument("--rate", type=float, default=50.0, help="pings per second")
    options = parser.parse_args()
    acknowledged: dict[str, float] = {}
    seen: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        os.environ["CATCHMENT_HOME__PATH"] = str(Path(directory) / "home")
        os.environ["CATCHMENT_EDGE__PORT"] = os.environ["CATCHMENT_CONSOLE__PORT"] = "0"
        command = [sys.executable, "-m", "catchment"]
        up = subprocess.Popen([*command, "up", "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            until_ready(up)
            edge = services.address(Platform.from_file(None), "edge")
            assert edge is not None
            tail = subprocess.Popen([*command, "tail", "--since-start", "--format", "json"], stdout=subprocess.PIPE)
            assert tail.stdout is not None
            reading = threading.Thread(target=read, args=(tail.stdout, seen))
            reading.start()
            try:
                warm: dict[str, float] = {}
                send(edge, options.rate, 2.0, warm)  # until both have imported what they need
                until = time.monotonic() + WITHIN_S
                while not warm.keys() & seen.keys() and time.monotonic() < until:
                    time.sleep(0.05)
                send(edge, options.rate, options.seconds, acknowledged)
                until = time.monotonic() + WITHIN_S
                while acknowledged.keys() - seen.keys() and time.monotonic() < until:
                    time.sleep(0.05)
            finally:
                tail.terminate()
                tail.wait()
                reading.join()
        finally:
            up.terminate()
            up.wait()
    missing = acknowledged.keys() - seen.keys()
    print(f"{len(acknowledged)} pings acknowledged, {len(missing)} of them not seen")
    assert not missing
    latencies_ms = [(seen[name] - at_s) * 1000 for name, at_s in acknowledged.items()]
    cuts = statistics.quantiles(latencies_ms, n=100)
    print(f"{'figure':32}{'value':>10}")
    for name, value in (("median, ms", cuts[49]), ("95th, ms", cuts[94]), ("worst, ms", max(latencies_ms))):
        print(f"{'200 to seen, ' + name:32}{value:10.1f}")
    print(f"tail_p50_ms={cuts[49]:.1f} tail_p95_ms={cuts[94]:.1f}")


if __name__ == "__main__":
    main()
