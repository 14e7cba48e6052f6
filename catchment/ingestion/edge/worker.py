"""One edge worker as a whole: its partition's writer, its event loop, its checks; and the process around it.

`EdgeWorker` knows nothing of signals, so it also runs on a thread of a test. `run_worker` is what a process calls.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import uvloop

from catchment.clock import Clock
from catchment.events import Events
from catchment.health import Check
from catchment.ingestion.edge.checks import disk_check, flush_check
from catchment.ingestion.edge.commit import Committer
from catchment.ingestion.edge.room import Room
from catchment.ingestion.edge.server import Server
from catchment.ingestion.edge.settings import EdgeSettings
from catchment.log.port import Log, Retention, TopicPartition

TOPIC = "raw"
_FILES_KEPT_FREE = 64


class EdgeWorker:
    """Worker `number` of the edge: takes submissions into partition `number` of topic `raw`.

    `checks` are its health checks, for an admin server too. `directory` is where the log's disk is looked at; without
    it free space is not checked.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        number: int,
        log: Log,
        clock: Clock,
        events: Events,
        *,
        retention: Retention | None = None,
        directory: Path | None = None,
    ) -> None:
        """Make the topic and take the partition. Raises Fenced when another worker `number` lives; Full, Unavailable
        when the disk does not let the partition be opened."""
        log.create(TOPIC, settings.workers, retention)
        self._events = events
        self._loop = uvloop.new_event_loop()
        self._stopping = asyncio.Event()
        self.checks: dict[str, Check] = {}
        self._room = Room(settings, settings.hostname or socket.gethostname(), clock, events, self.checks)
        self._writer = log.open_writer(TopicPartition(TOPIC, number))
        committer = Committer(
            self._loop,
            self._writer,
            clock,
            events,
            self._room.meters,
            on_submit=self._room.after_submit,
            on_answered=self._room.after_answers,
        )
        self._room.committer = committer
        self._room.max_connections = min(settings.max_connections, _most_connections())
        self._server = Server(self._room, committer)
        if directory is not None:
            self.checks["disk"] = disk_check(directory, settings.min_free_bytes)
        self.checks["flush"] = flush_check(committer, clock)

    def run(self, on_ready: Callable[[int], None]) -> None:
        """Serve until `stop`; `on_ready` gets the port. Returns after the drain, with everything accepted flushed and
        the partition released. Raises BadConfig when the address cannot be bound. Runs once."""
        try:
            self._loop.run_until_complete(self._serve(on_ready))
        finally:
            self._writer.close()
            self._loop.close()

    def stop(self) -> None:
        """Begin the drain. Safe from any thread and from a signal handler; may be called again."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def _serve(self, on_ready: Callable[[int], None]) -> None:
        port = await self._server.start()
        on_ready(port)
        self._events.info("edge_listening", port=port, max_connections=self._room.max_connections)
        await self._stopping.wait()
        await self._server.drain()
        # On a thread, because the writer's last answers are given on this loop.
        await self._loop.run_in_executor(None, self._writer.close)
        self._events.info("edge_drained")


def run_worker(worker: EdgeWorker, on_ready: Callable[[int], None]) -> None:
    """Run `worker` as this process's only work, until SIGTERM or SIGINT. Call from the main thread.

    What exists by now lives as long as the process, so the garbage collector no longer looks at it; and it looks
    seldom at the rest, since a submission leaves no cycles behind.
    """
    previous = {number: signal.signal(number, lambda *_: worker.stop()) for number in (signal.SIGTERM, signal.SIGINT)}
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        worker.run(on_ready)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _most_connections() -> int:
    """Connections that the process's limit of open files allows; the soft limit is raised to the hard one first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(hard - _FILES_KEPT_FREE, 1) if hard != resource.RLIM_INFINITY else 1 << 30
