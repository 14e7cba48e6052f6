"""`Reader` of one partition on Kafka, in no group.

The brokers tell when nothing more is there (the end of a partition is an event of the client), so a read that does not
wait still gives what is durable. Clients that were closed are kept for the next reader: connecting anew takes longer
than most looks into a topic.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, Message
from confluent_kafka import TopicPartition as KafkaPartition

from catchment.errors import Closed, Missing, Unavailable
from catchment.log.kafka.broker import Broker, of_kafka
from catchment.log.port import Bounds, Record, TopicPartition

AT_ONCE = 500
"""Messages taken from the client in one call: as many as its queue may hold in bytes at most."""
_KEPT = 4
_LOOK_AGAIN_S = 0.05


class Clients:
    """Consumers for readers, kept while they are idle."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.request_s = broker.request_s
        self._lock = threading.Lock()
        self._idle: list[Consumer] = []
        self._is_closed = False

    def take(self) -> Consumer:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._broker.consumer({"enable.partition.eof": True})

    def give_back(self, client: Consumer) -> None:
        client.unassign()
        with self._lock:
            if len(self._idle) < _KEPT and not self._is_closed:
                self._idle.append(client)
                return
        client.close()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for client in idle:
            client.close()


class KafkaReader:
    """`Reader` from an offset."""

    def __init__(
        self, clients: Clients, source: TopicPartition, place: KafkaPartition, bounds: Callable[[], Bounds], offset: int
    ) -> None:
        """`place` is the partition on the brokers."""
        self._clients = clients
        self._client: Consumer | None = clients.take()
        self._source = source
        self._place = place
        self._bounds = bounds
        self._waiting: deque[Record] = deque()
        self._position = offset
        self._is_assigned = False

    @property
    def position(self) -> int:
        return self._position

    @property
    def is_closed(self) -> bool:
        return self._client is None

    def read(self, max_records: int, max_bytes: int, timeout_s: float) -> list[Record]:
        deadline_s = time.monotonic() + timeout_s
        while not self._waiting:
            client = self._opened("read")
            bounds = self._bounds()
            if self._position < bounds.start:
                raise Missing(
                    f"{self._source}: offset {self._position} is gone, {bounds.start} is the first one kept; seek there"
                )
            if self._position < bounds.end:
                self._fetch(client, self._clients.request_s)
                continue
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return []
            if self._position > bounds.end:  # a place that is not there cannot be asked for
                time.sleep(min(_LOOK_AGAIN_S, left_s))
            elif not self._fetch(client, left_s):
                return []
        self._opened("read")
        return taken(self._waiting, max_records, max_bytes, self._passed)

    def seek(self, offset: int) -> None:
        if offset != self._position:
            self._waiting.clear()
            self._position = offset
            self._is_assigned = False

    def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            self._clients.give_back(client)

    def _passed(self, record: Record) -> None:
        self._position = record.offset + 1

    def _fetch(self, client: Consumer, within_s: float) -> bool:
        """Wait for records at the position; False when none came. Raises Unavailable if some should have."""
        if not self._is_assigned:
            client.assign([KafkaPartition(self._place.topic, self._place.partition, self._position)])
            self._is_assigned = True
        ends_at_s = time.monotonic() + within_s
        while not self._waiting:
            message = client.poll(max(ends_at_s - time.monotonic(), 0))
            if message is None:
                if within_s >= self._clients.request_s and self._position < self._bounds().end:
                    raise Unavailable(
                        f"reading {self._source} at {self._position}: nothing came within {within_s:g} s; is "
                        "the leader of the partition up?"
                    )
                return False
            if not self._is_ours(message):
                continue
            if (error := message.error()) is None:
                self._waiting += records([message])
                self._waiting += records(
                    [more for more in client.consume(AT_ONCE, 0) if self._is_ours(more) and more.error() is None]
                )
            elif error.code() == KafkaError._PARTITION_EOF:
                if self._position < (message.offset() or 0):  # what stands here is no record
                    self._position = message.offset() or 0
                    return True
            elif not error.retriable():
                self._is_assigned = False
                raise of_kafka(error, f"reading {self._source} at {self._position}")
        return True

    def _is_ours(self, message: Message) -> bool:
        """Whether the message is of this place, and not left over from an earlier one."""
        if message.error() is not None and message.topic() is None:
            return True
        return (message.topic(), message.partition()) == (self._place.topic, self._place.partition) and (
            message.error() is not None or (message.offset() or 0) >= self._position
        )

    def _opened(self, doing: str) -> Consumer:
        if self._client is None:
            raise Closed(f"{self._source}: {doing} after close; open another reader")
        return self._client


def records(messages: list[Message]) -> list[Record]:
    """The messages as records; one without a value is an empty record."""
    return [Record(message.offset() or 0, message.value() or b"") for message in messages]


def taken(waiting: deque[Record], max_records: int, max_bytes: int, passed: Callable[[Record], None]) -> list[Record]:
    """Take the first records within the limits, at least one; `passed` is told of the last."""
    found = [waiting.popleft()]
    size_bytes = len(found[0].payload)
    while waiting and len(found) < max_records:
        size_bytes += len(waiting[0].payload)
        if size_bytes > max_bytes:
            break
        found.append(waiting.popleft())
    passed(found[-1])
    return found
