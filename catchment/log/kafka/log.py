"""The log on Kafka as a whole: opens writers, readers and consumers, and closes them with it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TypeVar

from catchment.errors import Closed
from catchment.events import Events
from catchment.log.kafka.broker import Broker
from catchment.log.kafka.consumer import KafkaConsumer
from catchment.log.kafka.keyed import KeyedSender
from catchment.log.kafka.reader import Clients, KafkaReader
from catchment.log.kafka.sender import Sender
from catchment.log.kafka.topics import Topics
from catchment.log.kafka.writer import KafkaWriter
from catchment.log.port import Assignment, Bounds, Lost, Retention, TopicPartition
from catchment.log.settings import LogSettings

Part = TypeVar("Part", KafkaWriter, KafkaReader, KafkaConsumer)


class KafkaLog:
    """`Log` on the brokers of one URL; safe to use from several threads. Brokers are asked at the first use."""

    def __init__(self, servers: str, prefix: str, settings: LogSettings, events: Events) -> None:
        """`servers` are `host:port`, comma-separated; topics and groups are named `<prefix>.<name>` there."""
        self.broker = Broker(servers, prefix, settings, events)
        self._settings = settings
        self._events = events
        self._topics = Topics(self.broker, settings)
        self._clients = Clients(self.broker)
        self._lock = threading.RLock()
        self._sender: Sender | None = None
        self._opened: list[KafkaWriter | KafkaReader | KafkaConsumer] = []
        self._is_closed = False

    def create(self, topic: str, partitions: int, retention: Retention | None = None) -> None:
        self._topics.create(topic, partitions, retention)

    def topics(self) -> dict[str, int]:
        return self._topics.all()

    def bounds(self, source: TopicPartition) -> Bounds:
        return self._topics.bounds(source)

    def committed(self, group: str, source: TopicPartition) -> int | None:
        return self._topics.committed(group, [source]).get(source)

    def cluster(self) -> str:
        """The name that the cluster has given itself."""
        return self._topics.cluster()

    def open_writer(self, source: TopicPartition) -> KafkaWriter:
        place = self._topics.place(source)
        sender = self._living_sender()
        sender.refresh(place.topic)
        end, largest = self._topics.bounds(source).end, self._topics.largest(source.topic)
        return self._opening(
            KafkaWriter(sender, source, place.topic, end, largest, self._settings.max_queue_bytes, self._events)
        )

    def open_reader(self, source: TopicPartition, offset: int) -> KafkaReader:
        place = self._topics.place(source)
        return self._opening(KafkaReader(self._clients, source, place, lambda: self._topics.bounds(source), offset))

    def open_consumer(
        self,
        group: str,
        topics: Sequence[str],
        on_assigned: Assignment | None = None,
        on_revoked: Assignment | None = None,
        on_lost: Lost | None = None,
    ) -> KafkaConsumer:
        return self._opening(
            KafkaConsumer(
                self.broker,
                self._topics,
                group,
                topics,
                self._settings,
                self._events,
                on_assigned,
                on_revoked,
                on_lost,
            )
        )

    def open_keyed(self, topic: str, partitions: int) -> KeyedSender:
        """What sends to the topic by document id; the topic is made, or grown, first. Raises Unavailable."""
        self.create(topic, partitions)
        return KeyedSender(self.broker, topic, self._topics.largest(topic))

    def enforce(self) -> None:
        """The brokers do."""

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            opened, self._opened = self._opened, []
            sender, self._sender = self._sender, None
        for part in reversed(opened):
            part.close()
        if sender is not None:
            sender.close()
        self._clients.close()
        self._topics.close()

    def _living_sender(self) -> Sender:
        with self._lock:
            if self._sender is None or self._sender.failure is not None:
                if self._sender is not None:
                    self._sender.close()
                self._sender = Sender(self.broker, self._settings.delivery_timeout_s)
            return self._sender

    def _opening(self, part: Part) -> Part:
        with self._lock:
            is_closed = self._is_closed
            if not is_closed:
                self._opened = [*(other for other in self._opened if not other.is_closed), part]
        if is_closed:
            part.close()
            raise Closed("the log: open after close; open the log anew")
        return part
