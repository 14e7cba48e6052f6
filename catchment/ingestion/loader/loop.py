"""The loader's loop: take a batch, decode it, hand it out, and commit in the order that the package text gives."""

from __future__ import annotations

import gc
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence

from catchment import metrics
from catchment.clock import Clock
from catchment.errors import Transient
from catchment.events import Events
from catchment.ingestion import streams
from catchment.ingestion.decoder.chain import Decoder
from catchment.ingestion.decoder.failure import ERRORS_TABLE
from catchment.ingestion.deduplication import Deduplicator, Sighting
from catchment.ingestion.limits.limiter import Limiter
from catchment.ingestion.limits.rows import Deferral, encode_deferral
from catchment.ingestion.limits.settings import LimitSettings
from catchment.ingestion.loader.failures import SCHEMA as ERRORS_SCHEMA
from catchment.ingestion.loader.failures import lost_record
from catchment.ingestion.loader.former import recorded_ends
from catchment.ingestion.loader.gathering import Failed, Made, gather
from catchment.ingestion.loader.outputs import OUTPUT_TOPICS, PartitionOutputs, Stamped
from catchment.ingestion.loader.settings import LoaderSettings
from catchment.ingestion.loader.tables import Buffers, Pending, commit
from catchment.ingestion.loader.upkeep import Upkeep
from catchment.lake.tables import Lake
from catchment.log.port import Batch, Consumer, Log, TopicPartition
from catchment.schemas.registry import Registry

GROUP = "loader"
IDLE_POLL_S = 30.0
CHANGE_POLL_S = 0.2
RETRY_S = 1.0
LOST_TOGETHER = 10_000
"""Most lost records named in one commit."""

RECORDS = metrics.counter("loader_records_total", "Raw records decoded, again after a restart included.", "records")
UNREGISTERED = "unregistered"
OUTCOMES = metrics.counter(
    "loader_outcomes_total",
    "What became of records: document, error, duplicate or deferred. Doctypes without a schema are counted together.",
    "records",
    ("namespace", "doctype", "outcome"),
)
FLUSHES = metrics.histogram(
    "loader_flush_seconds",
    "Time from the start of a flush to the group's commit.",
    "seconds",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16),
)
BUFFERED = metrics.gauge("loader_buffered_bytes", "Bytes of documents that wait for their commit.", "bytes")


class _GaveUp(Exception):
    """Asked to stop while a dependency was away: nothing is lost, the next start reads the same records again."""


class Loader:
    """One member of the group `loader`. `at` is told each point at which a crash would be interesting."""

    def __init__(
        self,
        settings: LoaderSettings,
        log: Log,
        lake: Lake,
        registry: Registry,
        decoder: Decoder,
        deduplicator: Deduplicator,
        clock: Clock,
        events: Events,
        *,
        latest: Callable[[], Registry] | None = None,
        keep: Callable[[Registry], None] = lambda registry: None,
        upkeep: Upkeep | None = None,
        limiter: Limiter | None = None,
        at: Callable[[str], None] = lambda point: None,
    ) -> None:
        """`latest` gives the schemas as they are now, asked before each batch; without it `registry` stays. `keep` is
        called with those that it takes, before it uses them."""
        self._settings = settings
        self._log = log
        self._lake = lake
        self._registry = registry
        self._latest = latest or (lambda: registry)
        self._keep = keep
        self._recorded: dict[str, int] | None = None
        self._decoder = decoder
        self._deduplicator = deduplicator
        self._limiter = limiter or Limiter(LimitSettings(), None, clock, events)
        self._clock = clock
        self._events = events
        self._upkeep = upkeep
        self._at = at
        self._stopping = threading.Event()
        self._consumer: Consumer | None = None
        self._buffers = Buffers(lake, registry, events)
        self._registered = _doctypes(registry)
        self._outputs: dict[TopicPartition, PartitionOutputs] = {}
        self._next: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._flush_at_s: float | None = None
        self._pending: deque[Pending] = deque()
        self._ends: dict[TopicPartition, int] = {}
        self._flush_began_s = 0.0
        self.last_error = ""
        """What the loader waits for, empty when it does not; a health check reads it."""

    def run(self) -> None:
        """Work until `stop`; then commit what is buffered and leave the group. An error leaves without a commit: the
        next start reads the same records again.

        The cyclic collector rests between commits: pings are trees, which reference counts free, and walking those in
        flight again and again costs a tenth of the loader's time.
        """
        gc.disable()
        if self._upkeep is not None:
            self._upkeep.adopt(self._latest())
        self._consumer = self._log.open_consumer(
            GROUP, ["raw"], on_assigned=self._assigned, on_revoked=self._revoked, on_lost=self._name_lost
        )
        try:
            while not self._stopping.is_set():
                batch = self._consumer.poll(
                    self._settings.batch_records, self._settings.batch_bytes, self._patience_s()
                )
                self._adopt(self._latest())
                if batch is not None:
                    self._handle(batch)
                if self._pending:
                    self._go_on()
                elif self._is_due():
                    self._begin()
                if self._buffers.size_bytes >= self._settings.flush_bytes:
                    self._finish()
                if not self._pending and self._flush_at_s is None and self._upkeep is not None:
                    self._upkeep.turn()
        except _GaveUp:
            self._abandon()
            self._events.warning("loader_gave_up", waiting_for=self.last_error)
        except BaseException:
            self._abandon()
            raise
        finally:
            if self._upkeep is not None:
                self._upkeep.close()
            self._consumer.close()
            gc.enable()

    def stop(self) -> None:
        """End `run`. From any thread or a signal handler."""
        self._stopping.set()
        self.wake()

    def wake(self) -> None:
        """End a wait for records: there is something else to see. From any thread or a signal handler."""
        if self._consumer is not None:
            self._consumer.wake()

    def has_read_all(self) -> bool:
        """Whether this group has taken every record of topic raw that is durable now, by itself or another member."""
        for number in range(self._log.topics()["raw"]):
            source = TopicPartition("raw", number)
            taken = self._next.get(source, self._log.committed(GROUP, source) or 0)
            if taken < self._log.bounds(source).end:
                return False
        return True

    def flush(self) -> None:
        """Make everything taken so far durable."""
        self._finish()
        self._begin()
        self._finish()

    def _begin(self) -> None:
        """Begin a flush, in the order that makes a crash harmless: outputs and ids first, then table after table, then
        the group's offsets.

        Between two tables the loop takes what came meanwhile, so that nobody who follows the output topics waits for a
        whole flush: with 20 tables that is 30 ms and not 900. What it takes belongs to the next flush.
        """
        self._flush_began_s = self._clock.monotonic_s()
        self._at("flush_started")
        self._keep_decisions()
        self._at("decisions_durable")
        for outputs in self._outputs.values():
            outputs.wait()
        self._at("outputs_durable")
        self._deduplicator.sync()
        self._at("ids_durable")
        self._ends = dict(self._next)
        self._pending.extend(self._buffers.take(self._ends))
        self._flush_at_s = None
        self._conclude()

    def _go_on(self) -> None:
        """Commit the next table of the flush; after the last one it is done."""
        commit(self._lake, self._pending[0], self._at, self._wait)
        self._at(f"table_committed {self._pending.popleft().buffer.name}")
        self._conclude()

    def _finish(self) -> None:
        """Commit all that the flush still has to."""
        while self._pending:
            self._go_on()

    def _conclude(self) -> None:
        """The end of a flush: nothing of it waits any more."""
        if self._pending:
            return
        moved = {source: end for source, end in self._ends.items() if self._committed.get(source) != end}
        if moved:
            assert self._consumer is not None
            self._consumer.commit(moved)
            self._committed.update(moved)
            self._limiter.committed(moved)
        gc.collect()
        BUFFERED.set(self._buffers.size_bytes)
        FLUSHES.observe(self._clock.monotonic_s() - self._flush_began_s)
        self._at("group_committed")

    def _adopt(self, registry: Registry) -> None:
        """Go on with these schemas. What was judged by the former ones is committed first, into the columns of its
        time; so is what a flush that was broken off has put into some tables."""
        if registry is self._registry or self._is_in_doubt():
            return
        if self._next:
            self.flush()
        self._keep(registry)
        self._registry = registry
        self._registered = _doctypes(registry)
        self._decoder.adopt(registry)
        self._buffers.adopt(registry)
        if self._upkeep is not None:
            self._upkeep.adopt(registry)
        gc.freeze()
        self._at("schemas_adopted")

    def _is_in_doubt(self) -> bool:
        """Whether a table has records that are still to be read again, or nobody knows yet."""
        if self._recorded is None:
            self._recorded = recorded_ends(self._lake)
        return not self._outputs or any(
            self._next.get(source, self._log.committed(GROUP, source) or 0) < self._recorded.get(str(source), 0)
            for source in self._outputs
        )

    def _handle(self, batch: Batch) -> None:
        source, records = batch
        admitted, deferred = self._limiter.part(source, records)
        self._hand_out(source, *gather(self._decoder, self._buffers, source, admitted))
        self._defer(source, deferred)
        self._next[source] = records[-1].offset + 1
        RECORDS.inc(len(records))
        BUFFERED.set(self._buffers.size_bytes)
        if self._flush_at_s is None:
            self._flush_at_s = self._clock.monotonic_s() + self._settings.flush_s
        self._at("batch_handled")

    def _name_lost(self, source: TopicPartition, offsets: range, why: str) -> None:
        """A failure for each record that the log has lost: a drop that is named, and counted like any other error."""
        for first in range(offsets.start, offsets.stop, LOST_TOGETHER):
            some = range(first, min(first + LOST_TOGETHER, offsets.stop))
            self._hand_out(source, [], [(offset, lost_record(offset, why, self._clock.time_ns())) for offset in some])
            self._next[source] = some.stop
            self.flush()

    def _hand_out(self, source: TopicPartition, made: Sequence[Made], failed: Sequence[Failed]) -> None:
        """Take the repeats among the documents out of the buffers again, and write everything to the output topics."""
        repeats = self._deduplicator.mark([Sighting.of(document, source, offset) for offset, document, _, _ in made])
        decoded: list[Stamped] = []
        duplicates: list[Stamped] = []
        counts: Counter[tuple[str, str, str]] = Counter()
        for (offset, document, encoded, row), repeat in zip(made, repeats, strict=True):
            place = self._labelled(document.namespace, document.doctype)
            if repeat is None:
                decoded.append((offset, encoded))
                counts[*place, "document"] += 1
                continue
            duplicates.append((offset, streams.encode_duplicate(document, repeat, source, offset)))
            counts[*place, "duplicate"] += 1
            if row is not None:
                row.withdraw()
        errors: list[Stamped] = []
        for offset, failure in failed:
            errors.append((offset, streams.encode_failure(failure, source, offset)))
            self._buffers.add_failure(failure, source, offset)
            counts[*self._labelled(failure.namespace, failure.doctype), "error"] += 1
        outputs = self._outputs[source]
        for topic, items in (("decoded", decoded), ("errors", errors), ("duplicates", duplicates)):
            outputs.put(topic, items)
        for labels, count in counts.items():
            OUTCOMES.labels(*labels).inc(count)

    def _labelled(self, namespace: str | None, doctype: str | None) -> tuple[str, str]:
        """The labels of a doctype. Those without a schema share theirs: a stranger may invent any number of them, and
        a metric never forgets a label."""
        place = (namespace or "", doctype or "")
        return place if place in self._registered else (UNREGISTERED, UNREGISTERED)

    def _defer(self, source: TopicPartition, deferred: Sequence[Deferral]) -> None:
        for deferral in deferred:
            self._buffers.add_deferral(deferral, source)
            OUTCOMES.labels(*self._labelled(deferral.namespace, deferral.doctype), "deferred").inc()
        encoded = [(deferral.offset, encode_deferral(deferral, source)) for deferral in deferred]
        self._outputs[source].put("deferred", encoded)

    def _keep_decisions(self) -> None:
        """Make what was deferred, and what was not, durable: a table may hold one or the other after this."""
        while True:
            try:
                return self._limiter.keep()
            except Transient as error:
                self._wait(error)

    def _assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self._lake.ensure(ERRORS_TABLE, ERRORS_SCHEMA)  # so that it can be asked before the first error
        count = self._log.topics()["raw"]
        for topic in OUTPUT_TOPICS:
            self._log.create(topic, count)
        self._recorded = None
        self._buffers.learn(partitions)
        for source in partitions:
            self._outputs[source] = PartitionOutputs(self._log, source.partition)
            self._limiter.assigned(source, self._log.committed(GROUP, source) or 0)
            self._events.info("partition_assigned", source=source)
        self._at("partitions_assigned")

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Finish what was taken, then let the partitions go; the tables' offsets are read anew afterwards."""
        if self._next:
            self.flush()
        for source in partitions:
            self._outputs.pop(source).close()
            self._limiter.revoked(source)
            self._next.pop(source, None)
            self._committed.pop(source, None)
            self._events.info("partition_revoked", source=source)
        self._buffers.forget()

    def _abandon(self) -> None:
        """Forget what is not committed, so that giving the partitions back does not commit it."""
        self._buffers.forget()
        self._pending.clear()
        self._next.clear()

    def _is_due(self) -> bool:
        if self._flush_at_s is None:
            return False
        return self._clock.monotonic_s() >= self._flush_at_s or self._buffers.size_bytes >= self._settings.flush_bytes

    def _patience_s(self) -> float:
        if self._pending:
            return 0.0
        if self._flush_at_s is None:
            if self._latest() is not self._registry:
                return CHANGE_POLL_S
            wait_s = self._upkeep.wait_s() if self._upkeep is not None else None
            return min(wait_s, IDLE_POLL_S) if wait_s is not None else IDLE_POLL_S
        return max(self._flush_at_s - self._clock.monotonic_s(), 0.0)

    def _wait(self, error: Transient) -> None:
        if not self.last_error:
            self._events.warning("loader_waits", error=error)
        self.last_error = str(error)
        if self._stopping.wait(RETRY_S):
            raise _GaveUp
        self.last_error = ""


def _doctypes(registry: Registry) -> set[tuple[str, str]]:
    return {(schema.namespace, schema.doctype) for schema in registry.all()}
