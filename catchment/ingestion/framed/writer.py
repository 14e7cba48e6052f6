"""The service: a member of the group `framed` that puts decoded documents into the framed lake, range by range.

What is held and not put is only in memory; the next start reads it again. When the store is away the writer waits, the
log holds what is not put, and the lag shows.
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import zip_longest

from catchment import message, metrics
from catchment.archives import read_file
from catchment.clock import Clock, utc
from catchment.datasets.layout import COHORTS, LAKE, PLANS
from catchment.errors import CatchmentError, Corrupt, Fenced, Malformed, Missing
from catchment.events import Events
from catchment.framing import Framed
from catchment.ingestion.framed.dimensions import Place, Router
from catchment.ingestion.framed.ranges import Plan, Range, plan_key, read_plan
from catchment.ingestion.framed.settings import FramedSettings
from catchment.log.port import Batch, Consumer, Log, TopicPartition
from catchment.objects.port import ObjectStore
from catchment.schemas.registry import Registry

GROUP, TOPIC = "framed", "decoded"
POLL_RECORDS, POLL_BYTES = 2000, 1024 * 1024
IDLE_POLL_S = 30.0
RETRY_S = 1.0

OBJECTS = metrics.counter("framed_objects_total", "Objects put into the framed lake.", "objects")
RECORDS = metrics.counter("framed_records_total", "Documents put into the framed lake, copies included.", "records")
BYTES = metrics.counter("framed_put_bytes_total", "Bytes of objects put into the framed lake.", "bytes")
LOST = metrics.counter("framed_lost_records_total", "Records that the log lost before they were put.", "records")
UNREADABLE = metrics.counter(
    "framed_unreadable_records_total", "Records of topic decoded that are no message.", "records"
)
HELD = metrics.gauge("framed_held_bytes", "Bytes of documents held and not put.", "bytes")
SECONDS = metrics.histogram(
    "framed_ship_seconds",
    "Time to put the objects of a range.",
    "seconds",
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60),
)


class _GaveUp(Exception):
    """Asked to stop while the store was away: the log has what was not put."""


class FramedWriter:
    """One member of the group. `at` is told each point at which a crash would be interesting."""

    def __init__(
        self,
        settings: FramedSettings,
        name: str,
        log: Log,
        objects: ObjectStore,
        schemas: Callable[[], Registry],
        clock: Clock,
        events: Events,
        *,
        is_first: bool = True,
        at: Callable[[str], None] = lambda point: None,
    ) -> None:
        """`name` is the log's; the first writer also deletes old objects."""
        self._settings = settings
        self._name = name
        self._log = log
        self._objects = objects
        self._router = Router(settings, schemas)
        self._clock = clock
        self._events = events
        self._at = at
        self._stopping = threading.Event()
        self._ranges: dict[TopicPartition, Range] = {}
        self._due_s: dict[TopicPartition, float] = {}
        self._tidy_at_s: float | None = clock.monotonic_s() if is_first and settings.keep_days else None
        self._consumer: Consumer | None = None
        self.last_error = ""
        """What the writer waits for, empty when it does not; a health check reads it."""

    def run(self) -> None:
        """Work until `stop`, then leave the group; what is not put stays in the log."""
        self.open()
        try:
            while not self._stopping.is_set():
                self.turn(self._patience_s())
            if self._settings.ship_at_stop:
                for source in list(self._ranges):
                    self._ship(source)
        except _GaveUp:
            self._events.warning("framed_gave_up", waiting_for=self.last_error)
        finally:
            self.close()

    def open(self) -> None:
        """Join the group."""
        self._consumer = self._log.open_consumer(GROUP, [TOPIC], on_revoked=self._revoked, on_lost=self._pass_over)

    def close(self) -> None:
        """Leave the group."""
        assert self._consumer is not None
        self._consumer.close()

    def turn(self, timeout_s: float) -> None:
        """Take what has come, waiting for it at most so long, and put what is due."""
        assert self._consumer is not None
        batch = self._consumer.poll(POLL_RECORDS, POLL_BYTES, timeout_s)
        if batch is not None:
            self._take(batch)
        now_s = self._clock.monotonic_s()
        for source, found in list(self._ranges.items()):
            if found.is_complete or self._due_s[source] <= now_s:
                self._ship(source)
        self._tidy()

    def stop(self) -> None:
        """End `run`. From any thread or a signal handler."""
        self._stopping.set()
        if self._consumer is not None:
            self._consumer.wake()

    def _take(self, batch: Batch) -> None:
        source = batch.source
        for record in batch.records:
            found = self._ranges.get(source)
            if found is not None and found.is_complete:  # the rest of its plan was lost
                if not self._ship(source):
                    return
                found = None
            if found is None:
                found = self._begin(source, record.offset)
            places = self._places(record.payload) if found.planned is None else []
            found.add(record.offset, record.payload, places)
            if found.is_complete or self._is_full():
                fullest = source if found.is_complete else self._fullest()
                if not self._ship(fullest) and fullest == source:
                    return  # reading goes on elsewhere
        HELD.set(self._held_bytes())
        self._at("batch_taken")

    def _begin(self, source: TopicPartition, first: int) -> Range:
        """A range from here on; by its plan, when an earlier life or owner has put one."""
        found = Range(self._label(source), first, self._settings.max_objects, self._plan_of(source, first))
        self._ranges[source] = found
        self._due_s[source] = (
            math.inf if found.planned is not None else self._clock.monotonic_s() + self._settings.object_age_s
        )
        return found

    def _places(self, payload: bytes) -> list[Place]:
        try:
            return self._router.places(message.decode(payload))
        except Malformed as error:
            UNREADABLE.inc()
            self._events.error("framed_record_unreadable", error=error)
            return []

    def _ship(self, source: TopicPartition) -> bool:
        """Put the range's plan and objects, then move the checkpoint. False when the plan that is there is another one,
        or the partition another's; then reading goes on at its beginning, or not at all."""
        assert self._consumer is not None
        found = self._ranges.pop(source)
        del self._due_s[source]
        started = self._clock.monotonic_s()
        plan, is_announced = found.plan(), found.planned is not None or not found.parts
        while True:
            try:
                if not is_announced and not self._announce(source, plan):
                    self._events.info("framed_range_taken_over", source=source, first=found.first)
                    self._consumer.seek(source, found.first)
                    return False
                is_announced = True
                for key in list(found.parts):
                    self._put(key, found)
                self._consumer.commit({source: found.end})
                break
            except Fenced:
                self._events.warning("framed_partition_lost", source=source)
                return False
            except CatchmentError as error:
                self._wait(error)
        self.last_error = ""
        self._at("committed")
        HELD.set(self._held_bytes())
        if plan.objects:
            SECONDS.observe(self._clock.monotonic_s() - started)
            self._events.info("framed_range_put", source=source, first=found.first, end=found.end)
        return True

    def _announce(self, source: TopicPartition, plan: Plan) -> bool:
        """Put the plan; whether it is the one that counts."""
        is_ours = self._objects.put(plan_key(self._label(source), plan.first), plan.encoded())
        if not is_ours and self._plan_of(source, plan.first) != plan:
            return False
        self._at("plan_put")
        return True

    def _put(self, key: str, found: Range) -> None:
        """Put an object and let go of it. One that is there already must hold the same."""
        part = found.parts[key]
        content = part.content()
        if self._objects.put(key, content):
            OBJECTS.inc()
            RECORDS.inc(len(part.offsets))
            BYTES.inc(len(content))
        elif not found.has_lost:
            held = self._objects.get(key)
            if held != content and not _is_same(held, content):
                raise Corrupt(
                    f"{key}: the store holds other documents under this name; move it away, or name another place in "
                    "[objects] url"
                )
        del found.parts[key]
        self._at("object_put")

    def _plan_of(self, source: TopicPartition, first: int) -> Plan | None:
        key = plan_key(self._label(source), first)
        while True:
            try:
                return read_plan(key, self._objects.get(key))
            except Missing:
                return None
            except CatchmentError as error:
                self._wait(error)

    def _is_full(self) -> bool:
        return self._held_bytes() >= self._settings.buffer_bytes and self._ranges[self._fullest()].planned is None

    def _held_bytes(self) -> int:
        return sum(found.held_bytes for found in self._ranges.values())

    def _fullest(self) -> TopicPartition:
        """Of the ranges without a plan, which must be read to its end, the one that holds most."""
        return max(
            self._ranges, key=lambda source: (self._ranges[source].planned is None, self._ranges[source].held_bytes)
        )

    def _label(self, source: TopicPartition) -> str:
        return f"{self._name}.{source.partition}"

    def _pass_over(self, source: TopicPartition, offsets: range, why: str) -> None:
        """Records that the disk has lost; their names are the loader's to tell."""
        LOST.inc(len(offsets))
        found = self._ranges.get(source) or self._begin(source, offsets.start)
        found.pass_over(offsets)

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        for source in partitions:
            self._ranges.pop(source, None)
            self._due_s.pop(source, None)

    def _tidy(self) -> None:
        now_s = self._clock.monotonic_s()
        if self._tidy_at_s is None or now_s < self._tidy_at_s:
            return
        self._tidy_at_s = now_s + self._settings.upkeep_s
        try:
            expired = self._expire()
        except CatchmentError as error:
            self._events.warning("framed_upkeep_failed", error=error)
            return
        if expired:
            self._events.info("framed_objects_expired", objects=expired)

    def _expire(self) -> int:
        """Delete objects of days before those that are kept, when they are as old themselves, and plans that are as old
        and done; how many objects."""
        now_ns = self._clock.time_ns()
        oldest = f"{utc(now_ns) - timedelta(days=self._settings.keep_days):%Y%m%d}"
        before_ns = now_ns - self._settings.keep_days * 86_400_000_000_000
        expired = 0
        for prefix in (LAKE, COHORTS):
            for stored in self._objects.list(prefix):
                if stored.key[len(prefix) :].split("/")[0] >= oldest:
                    break  # ordered by day
                if stored.modified_ns < before_ns:
                    self._objects.delete(stored.key)
                    expired += 1
        for partition in range(self._log.topics().get(TOPIC, 0)):
            source = TopicPartition(TOPIC, partition)
            done = self._log.committed(GROUP, source) or 0
            for stored in self._objects.list(f"{PLANS}{self._label(source)}/"):
                first = int(stored.key.rpartition("/")[2].split(".")[0])
                if first < done and stored.modified_ns < before_ns:
                    self._objects.delete(stored.key)
        return expired

    def _patience_s(self) -> float:
        now_s = self._clock.monotonic_s()
        return max(min([*self._due_s.values(), now_s + IDLE_POLL_S]) - now_s, 0.0)

    def _wait(self, error: CatchmentError) -> None:
        if not self.last_error:
            self._events.warning("framed_waits", error=error)
        self.last_error = str(error)
        if self._stopping.wait(RETRY_S):
            raise _GaveUp


def _is_same(held: bytes, content: bytes) -> bool:
    """Whether two objects hold the same messages, however they were packed."""
    pairs = zip_longest(read_file("held", io.BytesIO(held)), read_file("ours", io.BytesIO(content)))
    return all(isinstance(one, Framed) and isinstance(two, Framed) and one.payload == two.payload for one, two in pairs)
