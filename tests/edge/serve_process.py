"""Runs one edge worker as a process, for tests that kill it: `serve_process.py <log directory> [file size limit]`.

Prints the port when it listens.
"""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

from catchment.clock import SystemClock
from catchment.events import Events
from catchment.ingestion.edge.settings import EdgeSettings
from catchment.ingestion.edge.worker import EdgeWorker, run_worker
from catchment.log.embedded.log import EmbeddedLog
from catchment.log.port import Retention
from catchment.log.settings import LogSettings


def main(root: Path, file_limit: int | None) -> None:
    events = Events("edge")
    if file_limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, resource.RLIM_INFINITY))
    log = EmbeddedLog(root, LogSettings(min_free_bytes=0), SystemClock(), events)
    worker = EdgeWorker(EdgeSettings(port=0, drain_s=5.0), 0, log, SystemClock(), events, retention=Retention())
    run_worker(worker, lambda port: sys.stdout.write(f"{port}\n") and sys.stdout.flush())
    log.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
