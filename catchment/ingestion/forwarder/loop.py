"""The forwarder's loop: read the edge's log, send, move the checkpoint behind what is confirmed.

While the brokers are away nothing is confirmed, so after `max_in_flight_bytes` nothing more is read, and the disk keeps
what comes. What the topic does not take is put aside into the topic `oversized` of the edge's log, and tried again at
the next start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from catchment import metrics
from catchment.clock import Clock
from catchment.errors import CatchmentError, TooLarge, Transient
from catchment.events import Events
from catchment.health import WARNING, Finding
from catchment.ingestion.forwarder.progress import Progress
from catchment.ingestion.forwarder.settings import ForwarderSettings
from catchment.log.port import Batch, Consumer, Log, Retention, TopicPartition, Writer

GROUP = "forwarder"
TOPIC = "raw"
ASIDE = TopicPartition("oversized", 0)
RETRY_S = 1.0
_POLL_RECORDS, _POLL_BYTES = 1000, 1024 * 1024
_IDLE_POLL_S = 30.0
_SERVE_S = 0.01
_ENFORCE_S = 60.0

RECORDS = metrics.counter("forwarder_records_total", "Submissions that Kafka has confirmed.", "records")
BYTES = metrics.counter("forwarder_sent_bytes_total", "Bytes of submissions that Kafka has confirmed.", "bytes")
IN_FLIGHT = metrics.gauge("forwarder_in_flight_bytes", "Bytes sent to Kafka and not confirmed.", "bytes")
LAG = metrics.gauge("forwarder_lag_records", "Submissions on the edge's disk that Kafka has not confirmed.", "records")
ASIDE_RECORDS = metrics.counter("forwarder_set_aside_total", "Submissions that the topic does not take.", "records")
LOST = metrics.counter(
    "forwarder_lost_records_total", "Records that the disk lost before they were forwarded.", "records"
)


class Sender(Protocol):
    """Where records go: `catchment/log/kafka/keyed.py`."""

    def send(self, payload: bytes, confirmed: Callable[[CatchmentError | None, bytes], None]) -> None: ...

    def serve(self, timeout_s: float) -> None: ...

    def close(self) -> None: ...


class Forwarder:
    """The member of the group `forwarder` of one edge's log. `at` is told each point at which a crash would be
    interesting."""

    def __init__(
        self,
        settings: ForwarderSettings,
        local: Log,
        open_sender: Callable[[], Sender],
        clock: Clock,
        events: Events,
        *,
        at: Callable[[str], None] = lambda point: None,
    ) -> None:
        """`open_sender` makes topic raw where it is not there; it is called again while the brokers are away."""
        self._settings = settings
        self._local = local
        self._open_sender = open_sender
        self._clock = clock
        self._events = events
        self._at = at
        self._stopping = threading.Event()
        self._consumer: Consumer | None = None
        self._sender: Sender
        self._progress: dict[TopicPartition, Progress] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._in_flight_bytes = 0
        self._confirmed_at_s = clock.monotonic_s()
        self._checkpoint_at_s = 0.0
        self._enforce_at_s = clock.monotonic_s() + _ENFORCE_S
        self._failure: CatchmentError | None = None
        self._aside: Writer | None = None
        self.last_error = ""

    def run(self) -> None:
        """Work until `stop`. An error leaves what is not confirmed to the next start."""
        sender = self._connected()
        if sender is None:
            return
        self._sender = sender
        self._local.create(ASIDE.topic, 1, Retention(max_bytes=0, held_by=(GROUP,)))
        try:
            self._forward(ASIDE.topic, self._local.bounds(ASIDE).end)
            self._forward(TOPIC, None)
        finally:
            if self._aside is not None:
                self._aside.close()
            self._sender.close()

    def stop(self) -> None:
        """End `run`. From any thread or a signal handler."""
        self._stopping.set()
        if self._consumer is not None:
            self._consumer.wake()

    def check(self) -> list[Finding]:
        """Whether the brokers confirm what is sent."""
        waited_s = self._clock.monotonic_s() - self._confirmed_at_s if self._in_flight_bytes else 0.0
        text = self.last_error
        if waited_s > self._settings.late_s:
            text = (
                f"Kafka has confirmed nothing for {waited_s:.0f} s; submissions stay on this disk. Are the brokers of "
                "[log] url running and reachable?"
            )
        return [Finding("forwarder_waits", WARNING, text)] if text else []

    def _connected(self) -> Sender | None:
        """The sender, as soon as the brokers answer; None when asked to stop before."""
        while True:
            try:
                sender = self._open_sender()
            except Transient as error:
                if not self.last_error:
                    self._events.warning("forwarder_waits", error=error)
                self.last_error = str(error)
                if self._stopping.wait(RETRY_S):
                    return None
            else:
                self.last_error = ""
                return sender

    def _forward(self, topic: str, end: int | None) -> None:
        """Forward a topic of the edge's log, up to `end` or until asked to stop."""
        self._progress.clear()
        self._committed.clear()
        self._consumer = self._local.open_consumer(GROUP, [topic], on_revoked=self._revoked, on_lost=self._pass_over)
        try:
            while not self._stopping.is_set() and not self._has_reached(end):
                if self._in_flight_bytes < self._settings.max_in_flight_bytes:
                    batch = self._consumer.poll(_POLL_RECORDS, _POLL_BYTES, self._patience_s(end))
                    if batch is not None:
                        self._send(batch)
                    self._serve(0.0)
                else:
                    self._serve(_SERVE_S)
                if self._clock.monotonic_s() >= self._checkpoint_at_s:
                    self._checkpoint()
                if self._clock.monotonic_s() >= self._enforce_at_s:
                    self._enforce_at_s = self._clock.monotonic_s() + _ENFORCE_S
                    self._local.enforce()
        finally:
            self._consumer.close()

    def _has_reached(self, end: int | None) -> bool:
        if end is None:
            return False
        progress = self._progress.get(ASIDE)
        reached = self._local.committed(GROUP, ASIDE) or 0 if progress is None else progress.checkpoint or 0
        return reached >= end

    def _patience_s(self, end: int | None) -> float:
        if self._in_flight_bytes or end is not None:
            return _SERVE_S
        return _IDLE_POLL_S if self._is_checkpointed() else self._settings.checkpoint_s

    def _send(self, batch: Batch) -> None:
        progress = self._progress.setdefault(batch.source, Progress())
        if not self._in_flight_bytes:
            self._confirmed_at_s = self._clock.monotonic_s()  # what is sent now has not waited yet
        for offset, payload in batch.records:
            progress.sent(offset)
            self._in_flight_bytes += len(payload)
            confirmed = partial(self._confirmed, progress, offset)
            try:
                self._sender.send(payload, confirmed)
            except TooLarge as error:
                confirmed(error, payload)
        self._at("batch_sent")

    def _confirmed(self, progress: Progress, offset: int, error: CatchmentError | None, payload: bytes) -> None:
        self._in_flight_bytes -= len(payload)
        if isinstance(error, TooLarge):
            self._set_aside(payload, error)
        elif error is not None:
            self._failure = self._failure or error
            return
        else:
            RECORDS.inc()
            BYTES.inc(len(payload))
        progress.confirmed(offset)
        self._confirmed_at_s = self._clock.monotonic_s()

    def _set_aside(self, payload: bytes, why: CatchmentError) -> None:
        if self._aside is None:
            self._aside = self._local.open_writer(ASIDE)
        placed = self._aside.append([payload])
        ASIDE_RECORDS.inc()
        self._events.error("record_set_aside", place=ASIDE, offset=placed.start, size_bytes=len(payload), why=why)
        self._at("set_aside")

    def _serve(self, timeout_s: float) -> None:
        self._sender.serve(timeout_s)
        if self._failure is not None:
            raise self._failure

    def _is_checkpointed(self) -> bool:
        return all(self._committed.get(source) == part.checkpoint for source, part in self._progress.items())

    def _checkpoint(self) -> None:
        """Move the group's offsets over what is confirmed."""
        self._checkpoint_at_s = self._clock.monotonic_s() + self._settings.checkpoint_s
        assert self._consumer is not None
        moved = {
            source: part.checkpoint
            for source, part in self._progress.items()
            if part.checkpoint is not None and part.checkpoint != self._committed.get(source)
        }
        IN_FLIGHT.set(self._in_flight_bytes)
        if moved:
            self._at("confirmed")
            self._consumer.commit(moved)
            self._committed.update(moved)
            self._at("checkpointed")
        LAG.set(sum(self._local.bounds(source).end - (part.checkpoint or 0) for source, part in self._progress.items()))

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Wait a moment for what is on its way, and keep what is confirmed."""
        ends_at_s = self._clock.monotonic_s() + self._settings.drain_s
        while self._failure is None and self._clock.monotonic_s() < ends_at_s:
            if not any(self._progress[source].waiting for source in partitions if source in self._progress):
                break
            self._sender.serve(_SERVE_S)
        self._checkpoint()
        for source in partitions:
            self._progress.pop(source, None)
            self._committed.pop(source, None)

    def _pass_over(self, source: TopicPartition, offsets: range, why: str) -> None:
        """Go on behind records that the disk has lost. Nobody downstream can name them: they were never there."""
        LOST.inc(len(offsets))
        self._events.error("records_not_forwarded", source=source, first=offsets.start, next=offsets.stop, why=why)
