"""Topics on the brokers: made with partitions, replication and retention; grown, never shrunk; looked at.

One admin client and one consumer without a group answer all questions, one at a time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import (
    OFFSET_INVALID,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
)
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from catchment.errors import BadConfig, Missing, Unavailable
from catchment.log.kafka.broker import MAX_MESSAGE_BYTES, OVERHEAD_BYTES, Broker, of_kafka
from catchment.log.names import checked_name
from catchment.log.port import MAX_PAYLOAD_BYTES, Bounds, Retention, TopicPartition
from catchment.log.settings import LogSettings, retention_of

_LOOK_AGAIN_S = 0.05
_MOVING = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.COORDINATOR_NOT_AVAILABLE}
"""A partition is getting its leader: a moment later the brokers answer."""
T = TypeVar("T")


class Topics:
    """Safe to use from several threads."""

    def __init__(self, broker: Broker, settings: LogSettings) -> None:
        self._broker = broker
        self._settings = settings
        self._lock = threading.RLock()
        self._admin = broker.admin()
        self._asker = broker.consumer({})

    def create(self, topic: str, partitions: int, retention: Retention | None) -> None:
        """Make or grow `topic`; None gives a new one the rule of the settings, and leaves an old one as it is."""
        checked_name("topic", topic)
        if partitions < 1:
            raise BadConfig(f"topic {topic}: {partitions} partitions, must be at least 1")
        with self._lock:
            known = self.partitions(topic)
            if not known:
                self._make(topic, partitions, retention or retention_of(self._settings, topic))
            elif retention is not None:
                self._configure(topic, _limits(retention, max(known, partitions)))
            if 0 < known < partitions:
                self._done(
                    f"growing topic {topic} to {partitions} partitions",
                    self._admin.create_partitions(
                        [NewPartitions(self._broker.named(topic), partitions)], request_timeout=self._broker.request_s
                    ),
                    KafkaError.INVALID_PARTITIONS,  # another has grown it meanwhile
                )
            self._await(topic, max(known, partitions))

    def all(self) -> dict[str, int]:
        found = self._asked("listing topics", lambda: self._asker.list_topics(timeout=self._broker.request_s)).topics
        names = {self._broker.ours(name): len(topic.partitions) for name, topic in found.items()}
        return {name: count for name, count in sorted((n, c) for n, c in names.items() if n is not None) if count}

    def partitions(self, topic: str) -> int:
        """How many partitions `topic` has; 0 when it does not exist."""
        return len(self._described(topic))

    def bounds(self, source: TopicPartition) -> Bounds:
        place = self.place(source)
        low, high = self._asked(
            f"asking for the bounds of {source}",
            lambda: self._asker.get_watermark_offsets(place, timeout=self._broker.request_s, cached=False),
        )
        return Bounds(low, high)

    def place(self, source: TopicPartition) -> KafkaPartition:
        """The partition on the brokers. Raises Missing where there is none."""
        known = self.partitions(source.topic)
        if not 0 <= source.partition < known:
            raise Missing(
                f"{source}: no such partition; topic {source.topic} has {known} of them; create the topic, or grow it"
            )
        return KafkaPartition(self._broker.named(source.topic), source.partition)

    def largest(self, topic: str) -> int:
        """Bytes of the largest record that the topic takes."""
        resource = ConfigResource(ResourceType.TOPIC, self._broker.named(topic))
        with self._lock:
            futures = self._admin.describe_configs([resource], request_timeout=self._broker.request_s)
        found: Any = self._done(f"asking for the options of topic {topic}", futures)[0]
        return min(int(found["max.message.bytes"].value) - OVERHEAD_BYTES, MAX_PAYLOAD_BYTES)

    def committed(self, group: str, sources: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The committed offsets of those that have one."""
        asked = ConsumerGroupTopicPartitions(
            self._broker.named(group), [KafkaPartition(self._broker.named(s.topic), s.partition) for s in sources]
        )
        with self._lock:
            futures = self._admin.list_consumer_group_offsets([asked], request_timeout=self._broker.request_s)
        found = {}
        for answer in self._done(f"asking for the offsets of group {group}", futures):
            for source, part in zip(sources, answer.topic_partitions, strict=True):
                if part.error is not None:
                    raise of_kafka(part.error, f"asking for the offset of group {group} in {source}")
                if part.offset != OFFSET_INVALID:
                    found[source] = int(part.offset)
        return found

    def cluster(self) -> str:
        """The cluster's own name."""
        return str(
            self._asked(
                "asking for the cluster", lambda: self._asker.list_topics(timeout=self._broker.request_s)
            ).cluster_id
        )

    def close(self) -> None:
        with self._lock:
            self._asker.close()

    def _make(self, topic: str, partitions: int, retention: Retention) -> None:
        fresh = NewTopic(
            self._broker.named(topic),
            num_partitions=partitions,
            replication_factor=self._settings.replication or -1,
            config={
                "cleanup.policy": "delete",
                "max.message.bytes": str(MAX_MESSAGE_BYTES),
                **({"min.insync.replicas": str(self._settings.min_insync)} if self._settings.min_insync else {}),
                **_limits(retention, partitions),
            },
        )
        self._done(
            f"creating topic {topic} with {partitions} partitions and {fresh.replication_factor} replicas",
            self._admin.create_topics([fresh], request_timeout=self._broker.request_s),
            KafkaError.TOPIC_ALREADY_EXISTS,
        )

    def _configure(self, topic: str, options: dict[str, str]) -> None:
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in options.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, self._broker.named(topic), incremental_configs=entries)
        self._done(
            f"setting the retention of topic {topic}",
            self._admin.incremental_alter_configs([resource], request_timeout=self._broker.request_s),
        )

    def _await(self, topic: str, partitions: int) -> None:
        """Return when every partition has a leader: the brokers tell each other a moment later."""
        ends_at_s = time.monotonic() + self._broker.request_s
        while True:
            leaders = self._described(topic)
            if len(leaders) >= partitions and all(leader >= 0 for leader in leaders):
                return
            if time.monotonic() > ends_at_s:
                raise Unavailable(
                    f"topic {topic}: {partitions} partitions are not led after {self._broker.request_s:g} s; are "
                    "all brokers up?"
                )
            time.sleep(_LOOK_AGAIN_S)

    def _described(self, topic: str) -> list[int]:
        """The leaders of the topic's partitions, -1 where there is none."""
        name = self._broker.named(topic)
        found = self._asked(
            f"looking at topic {topic}", lambda: self._asker.list_topics(topic=name, timeout=self._broker.request_s)
        ).topics[name]
        return [part.leader for _, part in sorted(found.partitions.items())]

    def _asked(self, doing: str, ask: Callable[[], Any]) -> Any:
        ends_at_s = time.monotonic() + self._broker.request_s
        while True:
            try:
                with self._lock:
                    answer = ask()
            except KafkaException as error:
                if error.args[0].code() not in _MOVING or time.monotonic() > ends_at_s:
                    raise of_kafka(error.args[0], doing) from error
            else:
                self._broker.reached()
                return answer
            time.sleep(_LOOK_AGAIN_S)

    def _done(self, doing: str, futures: dict[Any, Future[T]], but: int | None = None) -> list[T]:
        answers = []
        for future in futures.values():
            try:
                answers.append(future.result())
            except KafkaException as error:
                if error.args[0].code() != but:
                    raise of_kafka(error.args[0], doing) from error
        self._broker.reached()
        return answers


def _limits(retention: Retention, partitions: int) -> dict[str, str]:
    """Kafka's limits are for each partition; it keeps no group in mind."""
    age_ms = -1 if retention.max_age_s is None else round(retention.max_age_s * 1000)
    size_bytes = -1 if retention.max_bytes is None else retention.max_bytes // partitions
    return {"retention.ms": str(age_ms), "retention.bytes": str(size_bytes)}
