"""What runs, how far behind it is and how fast it goes: one picture for `catchment status`, the demo and the console.

`observe` looks once: run files, each service's admin port (health and metrics), the ends of the log's partitions and
the loader group's place in them, the disk. Rates need two looks: `Rates.between(earlier, later)`. Nothing here needs
the services' cooperation beyond their admin ports, so a picture can be had of a platform that is half dead.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import psutil
from prometheus_client.parser import text_string_to_metric_families

from catchment.clock import Clock
from catchment.log.port import Log, TopicPartition
from catchment.service import RunFile, read_run_files

LOADER_GROUP = "loader"
ARCHIVER_GROUP = "archiver"
TOPICS = ("raw", "decoded", "errors", "duplicates")
ADMIN_TIMEOUT_S = 2.0

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A metric's name and its sorted label pairs."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """One service: `state` is "up", "unhealthy" (a check says so), "silent" (no answer) or "down" (no process)."""

    run: RunFile
    state: str
    findings: tuple[str, ...] = ()
    memory_bytes: int = 0
    metrics: Mapping[Series, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PartitionState:
    """A partition: records from `start` to `end`; `committed` and `archived` are the next to read of the groups of the
    loader and of the archiver (raw only)."""

    source: TopicPartition
    start: int
    end: int
    committed: int | None
    archived: int | None = None

    @property
    def lag(self) -> int:
        """Records that the loader has not finished; 0 for topics that it does not read."""
        return 0 if self.source.topic != "raw" else self.end - max(self.committed or 0, self.start)

    @property
    def unarchived(self) -> int:
        """Records that are not in the landfill yet; 0 for topics that are not archived."""
        return 0 if self.source.topic != "raw" else self.end - max(self.archived or 0, self.start)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at the platform."""

    at_ns: int
    services: tuple[ServiceState, ...]
    partitions: tuple[PartitionState, ...]
    home_bytes: int
    free_bytes: int

    def records(self, topic: str) -> int:
        """Records ever written to a topic."""
        return sum(part.end for part in self.partitions if part.source.topic == topic)

    @property
    def lag(self) -> int:
        return sum(part.lag for part in self.partitions)

    @property
    def unarchived(self) -> int:
        return sum(part.unarchived for part in self.partitions)

    def total(self, metric: str, **labels: str) -> float:
        """Sum of a metric over all services and series that have these labels."""
        wanted = set(labels.items())
        return sum(
            value
            for service in self.services
            for (name, pairs), value in service.metrics.items()
            if name == metric and wanted <= set(pairs)
        )


@dataclass(frozen=True, slots=True)
class Rates:
    """Records per second between two looks; by topic."""

    seconds: float
    per_s: Mapping[str, float]

    @classmethod
    def between(cls, earlier: Snapshot, later: Snapshot) -> Rates:
        seconds = max((later.at_ns - earlier.at_ns) / 1e9, 1e-3)
        moved = {topic: later.records(topic) - earlier.records(topic) for topic in TOPICS}
        moved["loaded"] = moved["raw"] - (later.lag - earlier.lag)
        return cls(seconds, {name: max(count, 0) / seconds for name, count in moved.items()})


def observe(home: Path, log: Log, clock: Clock) -> Snapshot:
    """Look at the platform whose home is `home`. Services that do not answer within 2 s are "silent"."""
    statistics = os.statvfs(home)
    return Snapshot(
        at_ns=clock.time_ns(),
        services=tuple(_service_state(run) for run in read_run_files(home)),
        partitions=tuple(_partitions(log)),
        home_bytes=_size_bytes(home),
        free_bytes=statistics.f_bavail * statistics.f_frsize,
    )


def _partitions(log: Log) -> list[PartitionState]:
    states = []
    for topic, count in sorted(log.topics().items()):
        for number in range(count):
            source = TopicPartition(topic, number)
            bounds = log.bounds(source)
            committed, archived = (
                log.committed(group, source) if topic == "raw" else None for group in (LOADER_GROUP, ARCHIVER_GROUP)
            )
            states.append(PartitionState(source, bounds.start, bounds.end, committed, archived))
    return states


def _service_state(run: RunFile) -> ServiceState:
    if not run.is_alive:
        return ServiceState(run, "down", ("process ended without removing its run file",))
    try:
        status, heartbeat = _get(run, "/__heartbeat__")
        _, exposition = _get(run, "/metrics")
    except (OSError, http.client.HTTPException) as error:
        return ServiceState(run, "silent", (f"admin port {run.admin_port}: {error}",))
    details = orjson.loads(heartbeat)["details"]
    findings = tuple(text for check in details.values() for text in check["messages"].values())
    return ServiceState(
        run, "up" if status == 200 else "unhealthy", findings, _memory_bytes(run.pid), parse_metrics(exposition)
    )


def parse_metrics(exposition: bytes) -> dict[Series, float]:
    """The samples of a Prometheus exposition whose names start with `catchment_`."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition.decode())
        if family.name.startswith("catchment_")
        for sample in family.samples
    }


def _get(run: RunFile, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", run.admin_port, timeout=ADMIN_TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _memory_bytes(pid: int) -> int:
    """Proportional set size of a process; 0 when it ended meanwhile or may not be read."""
    try:
        return int(psutil.Process(pid).memory_full_info().pss)
    except psutil.Error:
        return 0


def _size_bytes(directory: Path) -> int:
    """Bytes allocated below a directory; files that vanish during the walk count nothing."""
    total = 0
    pending = [os.fspath(directory)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except FileNotFoundError:
            continue
    return total
