"""The archiver: a member of the group `archiver` that ships topic raw to the landfill, object by object.

What is packed and not shipped is only in memory: the group's offset is behind the last sealed object, and the next
start, or the next owner of the partition, packs the rest anew. When the store is away the archiver waits; the log holds
what is not shipped, and the lag shows.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from catchment import metrics
from catchment.clock import Clock
from catchment.errors import CatchmentError
from catchment.events import Events
from catchment.ingestion.landfill.packing import Pack, look
from catchment.ingestion.landfill.settings import LandfillSettings
from catchment.ingestion.landfill.shelf import Landfill
from catchment.log.port import Batch, Consumer, Log, TopicPartition

GROUP = "archiver"
POLL_RECORDS, POLL_BYTES = 2000, 1024 * 1024
IDLE_POLL_S = 30.0
RETRY_S = 1.0
_LEAST_WAIT_S = 1.0
"""How long an object of old records is filled, so that a backlog does not become many small objects."""

OBJECTS = metrics.counter("archiver_objects_total", "Objects shipped to the landfill.", "objects")
RECORDS = metrics.counter("archiver_records_total", "Records shipped to the landfill.", "records")
BYTES = metrics.counter("archiver_shipped_bytes_total", "Bytes of objects shipped to the landfill.", "bytes")
LOST = metrics.counter("archiver_lost_records_total", "Records that the disk lost before they were shipped.", "records")
PENDING = metrics.gauge("archiver_pending_bytes", "Bytes of records packed and not shipped.", "bytes")
SECONDS = metrics.histogram(
    "archiver_ship_seconds",
    "Time to put an object, to read it back and to seal it.",
    "seconds",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


class _GaveUp(Exception):
    """Asked to stop while the store was away: the log has what was not shipped."""


class Archiver:
    """One member of the group. `at` is told each point at which a crash would be interesting."""

    def __init__(
        self,
        settings: LandfillSettings,
        name: str,
        log: Log,
        landfill: Landfill,
        clock: Clock,
        events: Events,
        *,
        is_first: bool = True,
        at: Callable[[str], None] = lambda point: None,
    ) -> None:
        """`name` is this log's (`edge_name`, `cluster_name`); the first archiver also deletes old objects."""
        self._settings = settings
        self._name = name
        self._log = log
        self._landfill = landfill
        self._clock = clock
        self._events = events
        self._at = at
        self._stopping = threading.Event()
        self._consumer: Consumer | None = None
        self._packs: dict[TopicPartition, Pack] = {}
        self._due_s: dict[TopicPartition, float] = {}
        self._tidy_at_s: float | None = clock.monotonic_s() if is_first else None
        self.last_error = ""
        """What the archiver waits for, empty when it does not; a health check reads it."""

    def run(self) -> None:
        """Work until `stop`, then leave the group; what is not shipped stays in the log."""
        self._consumer = self._log.open_consumer(GROUP, ["raw"], on_revoked=self._revoked, on_lost=self._pass_over)
        try:
            while not self._stopping.is_set():
                batch = self._consumer.poll(POLL_RECORDS, POLL_BYTES, self._patience_s())
                if batch is not None:
                    self._pack(batch)
                for source in [source for source, due_s in self._due_s.items() if due_s <= self._clock.monotonic_s()]:
                    self._ship(source)
                self._tidy()
            if self._settings.ship_at_stop:
                for source in list(self._packs):
                    self._ship(source)
        except _GaveUp:
            self._events.warning("archiver_gave_up", waiting_for=self.last_error)
        finally:
            self._consumer.close()

    def stop(self) -> None:
        """End `run`. From any thread or a signal handler."""
        self._stopping.set()
        if self._consumer is not None:
            self._consumer.wake()

    def _pass_over(self, source: TopicPartition, offsets: range, why: str) -> None:
        """Go on behind records that the disk has lost: an object ends before them, another begins behind. Their names
        are the loader's to tell."""
        LOST.inc(len(offsets))

    def _pack(self, batch: Batch) -> None:
        source = batch.source
        for record in batch.records:
            seen = look(record.payload)
            pack = self._packs.get(source)
            if pack is not None and not (pack.end == record.offset and pack.takes(seen)):
                if not self._ship(source):
                    return
                pack = None
            if pack is None:
                pack = self._packs[source] = Pack(self._name_of(source), source, record.offset)
                self._due_s[source] = self._clock.monotonic_s() + self._wait_s(seen.received_ns)
            pack.add(record, seen)
            if pack.plain_bytes >= self._settings.object_bytes and not self._ship(source):
                return
        PENDING.set(sum(pack.plain_bytes for pack in self._packs.values()))
        self._at("batch_packed")

    def _ship(self, source: TopicPartition) -> bool:
        """Make the pack an object. False when another one was there already, and reading goes on behind that."""
        assert self._consumer is not None
        pack = self._packs.pop(source)
        del self._due_s[source]
        sealed = pack.seal()
        started = self._clock.monotonic_s()
        while True:
            try:
                end = self._landfill.store(sealed, source, self._at)
                self._consumer.commit({source: end})
                break
            except CatchmentError as error:
                self._wait(error)
        self.last_error = ""
        self._at("committed")
        SECONDS.observe(self._clock.monotonic_s() - started)
        PENDING.set(sum(pack.plain_bytes for pack in self._packs.values()))
        if end == pack.end:
            OBJECTS.inc()
            RECORDS.inc(pack.records)
            BYTES.inc(len(sealed.content))
            self._events.info(
                "object_shipped", key=sealed.index.key, records=pack.records, size_bytes=len(sealed.content)
            )
            return True
        self._events.info("object_taken_over", key=sealed.index.key, first=pack.first, end=end)
        self._consumer.seek(source, end)
        return False

    def _wait_s(self, received_ns: int | None) -> float:
        """How long an object may be filled that begins with a record of this time."""
        waited_s = 0.0 if received_ns is None else (self._clock.time_ns() - received_ns) / 1e9
        age_s = self._settings.object_age_s
        return min(max(age_s - waited_s, _LEAST_WAIT_S), age_s)

    def _name_of(self, source: TopicPartition) -> str:
        return f"{self._name}.{source.partition}"

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        for source in partitions:
            self._packs.pop(source, None)
            self._due_s.pop(source, None)

    def _tidy(self) -> None:
        now_s = self._clock.monotonic_s()
        if self._tidy_at_s is None or now_s < self._tidy_at_s:
            return
        self._tidy_at_s = now_s + self._settings.upkeep_s
        try:
            if self._landfill.is_expired_by_store(self._settings.max_age_s):
                return
            expired = self._landfill.expire(self._clock.time_ns(), self._settings.max_age_s)
        except CatchmentError as error:
            self._events.warning("landfill_upkeep_failed", error=error)
            return
        if expired:
            self._events.info("objects_expired", objects=expired)

    def _patience_s(self) -> float:
        now_s = self._clock.monotonic_s()
        due_s = min([*self._due_s.values(), now_s + IDLE_POLL_S])
        return max(due_s - now_s, 0.0)

    def _wait(self, error: CatchmentError) -> None:
        if not self.last_error:
            self._events.warning("archiver_waits", error=error)
        self.last_error = str(error)
        if self._stopping.wait(RETRY_S):
            raise _GaveUp


def edge_name(home: Path) -> str:
    """The name of this home's log in the landfill: the host's, and some digits that make it unique. It is made at the
    first call and kept in a file, since a new name would ship the same records again under other keys."""
    path = home / "archiver" / "name"
    if not path.exists():
        host = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:40] or "edge"
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{secrets.token_hex(4)}")
        fresh.write_text(f"{host}-{secrets.token_hex(3)}\n")
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            return edge_name(home)
        finally:
            fresh.unlink()
    return path.read_text().strip()


def cluster_name(cluster: str, prefix: str) -> str:
    """The name of a log on Kafka in the landfill: whichever machine ships, the same records get the same keys."""
    return f"kafka-{hashlib.sha256(f'{cluster}/{prefix}'.encode()).hexdigest()[:12]}"
