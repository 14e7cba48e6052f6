"""The edge with durable answers beside nginx that reads and discards the same bodies.

One worker each, wrk with one thread and 64 connections that each wait for their answer. Contestants alternate within a
round, the order turns each round, medians are shown. `cpu` is user and system time of all the server's threads for a
request: it is steadier than the rate on a shared machine.

- `edge`: every 200 after the flush; header blocks repeat, as on a keep-alive connection.
- `edge, new headers`: 4,096 header blocks in turn, so that none is remembered.
- `edge, no flush`: the log's writer answers at once. What is left is HTTP; the distance to `edge` is the disk's.
- `edge, 256 connections`: more clients for each flush.
- `disk alone`: rate of 64 waiting clients when a flush of half of them follows the other without a gap and nothing else
  takes time: bare durable writes of those bytes over zeros, as the log does it, and to a growing file.

p99 at half load: 64 connections that pause between answer and next request for a random time (uniform, so that they do
not march in step), its mean set so that the rate is half of the median reached before; the reached share is shown.

The last line holds the figures. `--folder` names the disk that is measured.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from catchment.clock import SystemClock
from catchment.events import Events
from catchment.ingestion.edge.settings import EdgeSettings
from catchment.ingestion.edge.worker import EdgeWorker, run_worker
from catchment.log.open import open_log
from catchment.log.port import Log, Retention, TopicPartition
from catchment.log.settings import LogSettings

SCRIPT = Path(__file__).with_suffix(".lua")
SIZES = {"1k": 1024, "10k": 10 * 1024}
ECHO_MODULE = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")
FLUSHES = 200
HEAD_BYTES = 400
"""What a message adds to its body here, with the log's framing."""

NGINX = """
load_module {module};
worker_processes 1; daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_buffer_size 64k; client_max_body_size 2m; keepalive_requests 1000000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ echo_read_request_body; echo -n OK; }} }}
}}
"""


@dataclass(frozen=True)
class Run:
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


class AnsweringLog:
    """A log whose writer answers at once and keeps nothing: only for the row that shows the cost of HTTP."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def open_writer(self, source: TopicPartition) -> AnsweringLog:
        return self

    def submit(self, payloads: Sequence[bytes], done: Callable[[range], None]) -> None:
        done(range(len(payloads)))

    def close(self) -> None:
        """Nothing was kept."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def serve(folder: Path, *, flushes: bool) -> None:
    """Be an edge worker until SIGTERM; prints the port."""
    clock, events = SystemClock(), Events("edge", io.StringIO())
    log: Any = open_log(LogSettings(), folder, clock, events)
    worker = EdgeWorker(
        EdgeSettings(port=0), 0, log if flushes else AnsweringLog(log), clock, events, retention=Retention()
    )
    run_worker(worker, lambda port: print(port, flush=True))  # noqa: T201
    log.close()


@contextmanager
def edge(disk: Path, *, flushes: bool = True) -> Iterator[tuple[psutil.Process, int]]:
    with tempfile.TemporaryDirectory(dir=disk) as folder:
        mode = "--serve" if flushes else "--serve-unflushed"
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.edge", mode, folder], stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            yield psutil.Process(process.pid), int(process.stdout.readline())
        finally:
            process.terminate()
            process.communicate()


@contextmanager
def nginx(disk: Path) -> Iterator[tuple[psutil.Process, int]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = free_port()
        conf = folder / "nginx.conf"
        conf.write_text(NGINX.format(module=ECHO_MODULE, folder=folder, port=port))
        process = subprocess.Popen(["nginx", "-c", str(conf)], stderr=subprocess.DEVNULL)
        try:
            wait_for(port)
            yield psutil.Process(process.pid), port
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise SystemExit("nginx did not start")


def load(
    server: tuple[psutil.Process, int],
    size: int,
    seconds: int,
    *,
    connections: int = 64,
    think_ms: float = 0.0,
    distinct: bool = False,
) -> Run:
    """Run wrk against the server. Exits when any request failed."""
    process, port = server
    environment = {
        **os.environ,
        "BODY_BYTES": str(size),
        "REQUESTS": "4096" if distinct else "256",
        "DISTINCT_HEADERS": "1" if distinct else "0",
        "THINK_MS": str(think_ms),
    }
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(SCRIPT), f"http://127.0.0.1:{port}/"]
    before = sum(process.cpu_times()[:2])
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    used_s = sum(process.cpu_times()[:2]) - before
    _, requests, duration_us, p50_us, p99_us, errors = out[out.index("RESULT") :].split()[:6]
    if int(errors):
        raise SystemExit(f"{errors} requests failed:\n{out}")
    count = int(requests)
    return Run(count / int(duration_us) * 1e6, float(p50_us) / 1e3, float(p99_us) / 1e3, used_s / count * 1e6)


def disk_rate(disk: Path, size: int, *, over_zeros: bool) -> float:
    """64 clients in two halves whose flushes follow each other, bare."""
    content = os.urandom(32 * (size + HEAD_BYTES))
    took: list[float] = []
    with tempfile.NamedTemporaryFile(dir=disk) as file:
        if over_zeros:
            for _ in range(FLUSHES):
                os.write(file.fileno(), bytes(len(content)))
            os.fsync(file.fileno())
        for number in range(FLUSHES):
            started = time.perf_counter()
            os.pwritev(file.fileno(), [content], number * len(content), os.RWF_DSYNC)
            took.append(time.perf_counter() - started)
    return 32 / statistics.median(took)


def median(runs: Sequence[Run]) -> Run:
    return Run(
        *(statistics.median(getattr(run, name) for run in runs) for name in ("rate", "p50_ms", "p99_ms", "cpu_us"))
    )


def half_load(disk: Path, size: int, full_rate: float, seconds: int) -> Run:
    """A run at about half of `full_rate`; the pause is corrected once by what it reached."""
    wanted = full_rate / 2
    with edge(disk) as server:
        think_ms = 64 / wanted * 1e3
        for _ in range(3):
            trial = load(server, size, 1, think_ms=think_ms)
            think_ms = max(think_ms + (64 / wanted - 64 / trial.rate) * 1e3, 0.3)
        return load(server, size, seconds, think_ms=think_ms)


def compare(disk: Path, size: int, rounds: int, seconds: int) -> dict[str, Run]:
    """All rows for one body size."""
    names = ["nginx", "edge", "edge, no flush", "edge, new headers", "edge, 256 connections"]
    found: dict[str, list[Run]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else names[::-1]:
            opened = nginx(disk) if name == "nginx" else edge(disk, flushes=name != "edge, no flush")
            with opened as server:
                load(server, size, 1)
                run = load(server, size, seconds, distinct="new" in name, connections=256 if "256" in name else 64)
            found[name].append(run)
    return {name: median(runs) for name, runs in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--serve-unflushed", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve or options.serve_unflushed:
        serve(options.serve or options.serve_unflushed, flushes=bool(options.serve))
        return
    if not (shutil.which("wrk") and shutil.which("nginx") and ECHO_MODULE.exists()):
        raise SystemExit("needs wrk, nginx-light and libnginx-mod-http-echo; run: make system")
    figures: dict[str, float] = {}
    p99s = []
    print(f"{'body':5} {'':24} {'req/s':>9} {'of nginx':>9} {'p50 ms':>8} {'p99 ms':>8} {'cpu µs':>7}")  # noqa: T201
    for label, size in SIZES.items():
        rows = compare(options.folder, size, options.rounds, options.seconds)
        base = rows["nginx"].rate
        for name, run in rows.items():
            print(  # noqa: T201
                f"{label:5} {name:24} {run.rate:9,.0f} {run.rate / base:9.0%} {run.p50_ms:8.2f} {run.p99_ms:8.2f}"
                f" {run.cpu_us:7.1f}"
            )
        for name, over_zeros in (("disk alone, over zeros", True), ("disk alone, growing file", False)):
            rate = disk_rate(options.folder, size, over_zeros=over_zeros)
            print(f"{label:5} {name:24} {rate:9,.0f} {rate / base:9.0%}")  # noqa: T201
        half = half_load(options.folder, size, rows["edge"].rate, options.seconds * 2)
        share = half.rate / rows["edge"].rate
        print(  # noqa: T201
            f"{label:5} {f'edge at {share:.0%} load':24} {half.rate:9,.0f} {'':9} {half.p50_ms:8.2f} {half.p99_ms:8.2f}"
            f" {half.cpu_us:7.1f}"
        )
        figures[f"edge_vs_nginx_{label}"] = rows["edge"].rate / base
        figures[f"edge_rps_{label}"] = rows["edge"].rate
        p99s.append(half.p99_ms)
    print(  # noqa: T201
        f"edge_vs_nginx_1k={figures['edge_vs_nginx_1k']:.2f} edge_vs_nginx_10k={figures['edge_vs_nginx_10k']:.2f} "
        f"edge_rps_1k={figures['edge_rps_1k']:.0f} p99_ms_half_load={max(p99s):.2f}"
    )


if __name__ == "__main__":
    main()
