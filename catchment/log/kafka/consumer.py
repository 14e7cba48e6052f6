"""`Consumer` on Kafka: a member of a consumer group, which shares partitions out cooperatively: what does not move is
kept.

Its client polls in short slices, so that `wake` works from a signal handler. A member that was silent too long, or
whose group went on without it, has lost its partitions to others: `poll` raises Fenced then, and nothing of what it was
doing may be committed. That is not what `on_revoked` is for, which is told in time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from catchment.errors import Closed, Fenced, Unavailable
from catchment.events import Events
from catchment.log.kafka.broker import Broker, of_kafka
from catchment.log.kafka.reader import AT_ONCE, records, taken
from catchment.log.kafka.topics import Topics
from catchment.log.names import checked_name
from catchment.log.port import Assignment, Batch, Lost, Record, TopicPartition
from catchment.log.settings import LogSettings

_SLICE_S = 0.1
_LOOK_AGAIN_S = 1.0
_GONE = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}
_PASSING = {KafkaError._PARTITION_EOF, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}
"""Errors that say no more than that a topic is not there yet."""


class KafkaConsumer:
    """`Consumer` of these topics, which need not exist yet."""

    def __init__(
        self,
        broker: Broker,
        topics: Topics,
        group: str,
        wanted: Sequence[str],
        settings: LogSettings,
        events: Events,
        on_assigned: Assignment | None,
        on_revoked: Assignment | None,
        on_lost: Lost | None,
    ) -> None:
        checked_name("group", group)
        self._broker = broker
        self._topics = topics
        self._group = group
        self._events = events
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._on_lost = on_lost
        self._next: dict[TopicPartition, int] = {}  # of what this member owns: the next to come from the client
        self._waiting: dict[TopicPartition, deque[Record]] = {}  # least recently served first
        self._beyond: set[TopicPartition] = set()
        self._look_at_s = 0.0
        self._failure: BaseException | None = None
        self._is_woken = False
        self.is_closed = False
        self._client: Consumer = broker.consumer(
            {
                "group.id": broker.named(group),
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": round(settings.session_timeout_s * 1000),
                "heartbeat.interval.ms": round(settings.session_timeout_s * 1000 / 5),
                "max.poll.interval.ms": round(max(settings.max_poll_s, settings.session_timeout_s) * 1000),
            }
        )
        self._client.subscribe(
            [broker.named(topic) for topic in wanted],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._fenced,
        )

    def poll(self, max_records: int, max_bytes: int, timeout_s: float) -> Batch | None:
        self._refuse_closed("poll")
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = deadline_s - time.monotonic()
            is_waiting = any(self._waiting.values())
            self._take(0 if is_waiting or self._is_woken else max(min(left_s, _SLICE_S), 0), max_records, max_bytes)
            for source, waiting in self._waiting.items():
                if waiting:
                    self._waiting[source] = self._waiting.pop(source)
                    return Batch(source, taken(waiting, max_records, max_bytes, lambda record: None))
            if self._is_woken:
                self._is_woken = False
                return None
            if left_s <= 0:
                return None

    def wake(self) -> None:
        self._is_woken = True

    def seek(self, source: TopicPartition, offset: int) -> None:
        self._refuse_closed("seek")
        self._require_owned("seek in", source)
        self._next[source] = offset
        self._waiting[source].clear()
        if source not in self._assigning:
            self._place(source, offset)

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._refuse_closed("commit")
        for source in offsets:
            self._require_owned("commit", source)
        places = [self._named(source, offset) for source, offset in offsets.items()]
        ends_at_s = time.monotonic() + self._broker.request_s
        while places:
            try:
                answers: Any = self._client.commit(offsets=places, asynchronous=False)
            except KafkaException as error:
                failed = error.args[0]
            else:
                failed = next((place.error for place in answers if place.error is not None), None)
                if failed is None:
                    return
            if failed.code() != KafkaError.REBALANCE_IN_PROGRESS or time.monotonic() > ends_at_s:
                raise of_kafka(failed, f"group {self._group}: committing {offsets}")
            time.sleep(_SLICE_S)  # the client takes part in the rebalance meanwhile

    def close(self) -> None:
        if self.is_closed:
            return
        try:
            self._client.close()  # calls _revoked
        finally:
            self.is_closed = True
            self._next.clear()
            self._waiting.clear()
        self._raise_failure()

    _assigning: frozenset[TopicPartition] = frozenset()
    """What is just being assigned, and not placed yet."""

    def _take(self, timeout_s: float, max_records: int, max_bytes: int) -> None:
        """Move what the client has to the partitions' queues: enough that each partition gets its turn."""
        room = max(max_records, AT_ONCE) - sum(map(len, self._waiting.values()))
        size_bytes = sum(len(record.payload) for waiting in self._waiting.values() for record in waiting)
        self._look_beyond()
        message = self._client.poll(timeout_s)
        self._raise_failure()
        while message is not None:
            messages = [message, *(self._client.consume(min(AT_ONCE, room), 0) if room > 0 else ())]
            self._raise_failure()
            room -= len(messages)
            size_bytes += self._sort(messages)
            if room <= 0 or size_bytes >= max_bytes or len(messages) < 2:
                return
            message = self._client.poll(0)
            self._raise_failure()

    def _sort(self, messages: Sequence[Message]) -> int:
        size_bytes = 0
        for message in messages:
            if (error := message.error()) is not None:
                self._meet(error, message)
                continue
            source = self._source(message.topic() or "", message.partition() or 0)
            offset = message.offset() or 0
            if source not in self._next or offset < self._next[source]:
                continue  # left over from before a seek, or from an earlier owner
            self._waiting[source] += records([message])
            self._next[source] = offset + 1
            size_bytes += len(message)
        return size_bytes

    def _meet(self, error: KafkaError, message: Message) -> None:
        if error.code() in _PASSING:
            return
        if error.code() in _GONE and message.topic() is not None:
            source = self._source(message.topic() or "", message.partition() or 0)
            if source in self._next:
                self._pass_over(source)
            return
        if error.code() == KafkaError._MAX_POLL_EXCEEDED:
            raise Fenced(
                f"group {self._group}: no poll for longer than [log] max_poll_s, its partitions went to others; start "
                "again from what is committed"
            )
        if error.fatal() or not (error.retriable() or of_kafka(error, "").code == Unavailable.code):
            raise of_kafka(error, f"group {self._group}: polling")

    def _pass_over(self, source: TopicPartition) -> None:
        """The place is not there: go on behind what was removed, or wait for what is not written yet."""
        bounds = self._topics.bounds(source)
        offset = self._next[source]
        if offset > bounds.end:
            if source not in self._beyond:
                self._events.error(
                    "committed_beyond_end", group=self._group, source=source, offset=offset, end=bounds.end
                )
            self._beyond.add(source)
            return
        lost = range(offset, max(bounds.start, offset))
        self._next[source] = lost.stop
        if lost:
            self._events.error("gap", group=self._group, source=source, first=lost.start, next=lost.stop)
            if self._on_lost is not None:
                self._on_lost(source, lost, f"{source}: retention removed it before it was read")
        if self._next.get(source) == lost.stop:
            self._place(source, lost.stop)

    def _look_beyond(self) -> None:
        if not self._beyond or time.monotonic() < self._look_at_s:
            return
        self._look_at_s = time.monotonic() + _LOOK_AGAIN_S
        for source in list(self._beyond):
            if source not in self._next:
                self._beyond.discard(source)
            elif self._topics.bounds(source).end >= self._next[source]:
                self._beyond.discard(source)
                self._place(source, self._next[source])

    def _place(self, source: TopicPartition, offset: int) -> None:
        """Let the client fetch from here on."""
        place = self._named(source, offset)
        try:
            self._client.incremental_unassign([place])
            self._client.incremental_assign([place])
        except KafkaException as error:
            raise of_kafka(error.args[0], f"group {self._group}: reading {source} from {offset}") from error

    def _assigned(self, client: Consumer, places: Sequence[KafkaPartition]) -> None:
        """New partitions, from what the group has committed, else from their start."""
        try:
            sources = sorted(self._source(place.topic, place.partition) for place in places)
            committed = self._topics.committed(self._group, sources) if sources else {}
            for source in sources:
                known = committed.get(source)
                self._next[source] = self._topics.bounds(source).start if known is None else known
                self._waiting[source] = deque()
            self._assigning = frozenset(sources)
            if sources and self._on_assigned is not None:
                self._on_assigned(sources)
            client.incremental_assign([self._named(source, self._next[source]) for source in sources])
        except BaseException as error:  # noqa: BLE001  poll raises it: the client would not
            self._failure = error
        finally:
            self._assigning = frozenset()

    def _revoked(self, client: Consumer, places: Sequence[KafkaPartition]) -> None:
        try:
            sources = sorted(self._source(place.topic, place.partition) for place in places)
            told = [source for source in sources if source in self._next]
            if told and self._on_revoked is not None and self._failure is None:
                self._on_revoked(told)
        except BaseException as error:  # noqa: BLE001  poll raises it: the client would not
            self._failure = error
        finally:
            self._drop(places)

    def _fenced(self, client: Consumer, places: Sequence[KafkaPartition]) -> None:
        self._drop(places)
        names = ", ".join(str(self._source(place.topic, place.partition)) for place in places)
        self._failure = self._failure or Fenced(
            f"group {self._group}: {names} went to other members, since the brokers did not hear from this one for "
            "[log] session_timeout_s, or were away; start again from what is committed"
        )

    def _drop(self, places: Sequence[KafkaPartition]) -> None:
        for place in places:
            source = self._source(place.topic, place.partition)
            self._next.pop(source, None)
            self._waiting.pop(source, None)

    def _raise_failure(self) -> None:
        """What went wrong inside a callback; the client would not tell."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _source(self, topic: str, partition: int) -> TopicPartition:
        return TopicPartition(self._broker.ours(topic) or topic, partition)

    def _named(self, source: TopicPartition, offset: int) -> KafkaPartition:
        return KafkaPartition(self._broker.named(source.topic), source.partition, offset)

    def _require_owned(self, doing: str, source: TopicPartition) -> None:
        if source not in self._next:
            raise Fenced(
                f"group {self._group}: {doing} {source}, which this member does not own; only poll assigns partitions"
            )

    def _refuse_closed(self, doing: str) -> None:
        if self.is_closed:
            raise Closed(f"group {self._group}: {doing} after close; join again")
