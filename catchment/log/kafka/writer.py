"""`Writer` of one partition on Kafka. Answers come from the sender's thread, in the order of submission.

A batch is not atomic: after a crash a prefix of it may be there. Another writer of the same partition is not kept away,
but is noticed by the offsets, and told of as `partition_shared`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from confluent_kafka import KafkaError, Message

from catchment import metrics
from catchment.errors import Busy, CatchmentError, Closed
from catchment.events import Events
from catchment.log.kafka.broker import of_kafka, too_large
from catchment.log.kafka.keys import key_of
from catchment.log.kafka.sender import Sender
from catchment.log.port import TopicPartition

Done = Callable[[range | CatchmentError], None]

SENT = metrics.counter("kafka_sent_records_total", "Records that Kafka has taken.", "records", ("topic",))
REFUSED = metrics.counter(
    "kafka_refused_records_total", "Records that Kafka has not taken.", "records", ("topic", "code")
)


class _Batch:
    __slots__ = ("count", "done", "error", "first", "last", "size_bytes", "waiting")

    def __init__(self, payloads: Sequence[bytes], done: Done) -> None:
        self.count = self.waiting = len(payloads)
        self.size_bytes = sum(map(len, payloads))
        self.done = done
        self.first = self.last = -1
        self.error: CatchmentError | None = None


class KafkaWriter:
    """`Writer` through the sender that all writers share."""

    def __init__(
        self,
        sender: Sender,
        source: TopicPartition,
        named: str,
        end: int,
        largest: int,
        max_queue_bytes: int,
        events: Events,
    ) -> None:
        """`named` is the topic on the brokers, `end` the partition's, `largest` what the topic takes."""
        self._sender = sender
        self._source = source
        self._named = named
        self._end = end
        self._largest = largest
        self._max_queue_bytes = max_queue_bytes
        self._events = events
        self._sending = threading.Lock()
        self._changed = threading.Condition()
        self._line: deque[_Batch] = deque()
        self._queued_bytes = 0
        self.is_closed = False

    def append(self, payloads: Sequence[bytes]) -> range:
        answered = threading.Event()
        answers: list[range | CatchmentError] = []

        def done(answer: range | CatchmentError) -> None:
            answers.append(answer)
            answered.set()

        self.submit(payloads, done)
        answered.wait()
        if isinstance(answers[0], CatchmentError):
            raise answers[0]
        return answers[0]

    def submit(self, payloads: Sequence[bytes], done: Done) -> None:
        largest = max(map(len, payloads), default=0)
        if largest > self._largest:
            raise too_large(self._source.topic, largest, self._largest)
        batch = _Batch(payloads, done)
        with self._sending:
            with self._changed:
                self._refuse(batch)
                self._line.append(batch)
                self._queued_bytes += batch.size_bytes
            report = partial(self._reported, batch)
            for place, payload in enumerate(payloads):
                try:
                    self._sender.send(self._named, self._source.partition, key_of(payload), payload, report)
                except CatchmentError as error:
                    with self._changed:
                        batch.error = batch.error or error
                        batch.waiting -= len(payloads) - place
                    break
            if not batch.waiting:
                self._answer()

    def close(self) -> None:
        with self._changed:
            self.is_closed = True
            self._changed.wait_for(lambda: not self._line)

    def _refuse(self, batch: _Batch) -> None:
        if self.is_closed:
            raise Closed(f"{self._source}: submit after close; open another writer")
        if self._sender.failure is not None:
            raise self._sender.failure
        if self._queued_bytes and self._queued_bytes + batch.size_bytes > self._max_queue_bytes:
            raise Busy(
                f"{self._source}: {self._queued_bytes} bytes wait for the brokers, {batch.size_bytes} more are over "
                f"[log] max_queue_bytes = {self._max_queue_bytes}; try again"
            )

    def _reported(self, batch: _Batch, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            batch.error = batch.error or of_kafka(error, f"writing to {self._source}")
        else:
            batch.last = message.offset() or 0
            if batch.first < 0:
                batch.first = batch.last
        with self._changed:
            batch.waiting -= 1
        if not batch.waiting:
            self._answer()

    def _answer(self) -> None:
        """Answer what is complete at the head of the line."""
        while True:
            with self._changed:
                if not self._line or self._line[0].waiting:
                    return
                batch = self._line[0]
                batch.waiting = -1  # being answered; nobody else takes it
                answer = self._outcome(batch)
            try:
                batch.done(answer)
            except Exception as error:  # noqa: BLE001  one caller's fault must not stop the others' answers
                self._events.error("callback_failed", source=self._source, error=repr(error))
            with self._changed:
                self._line.popleft()
                self._queued_bytes -= batch.size_bytes
                self._changed.notify_all()

    def _outcome(self, batch: _Batch) -> range | CatchmentError:
        if batch.error is not None:
            REFUSED.labels(self._source.topic, batch.error.code).inc(batch.count)
            return batch.error
        SENT.labels(self._source.topic).inc(batch.count)
        if not batch.count:
            return range(self._end, self._end)
        if (batch.first, batch.last) != (self._end, self._end + batch.count - 1):
            self._events.error("partition_shared", source=self._source, expected=self._end, first=batch.first)
        self._end = batch.last + 1
        return range(batch.first, batch.last + 1)
