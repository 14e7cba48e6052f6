"""Where the brokers are, clients that keep the log's promises, and their errors as ours.

`[log.kafka]` goes to librdkafka as it stands (TLS, SASL, timeouts: its CONFIGURATION.md), but for what the promises
rest on, which is refused. librdkafka's own log stays silent; that brokers went away or came back is an event.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from catchment.errors import (
    BadConfig,
    CatchmentError,
    Corrupt,
    Fenced,
    Missing,
    MissingExtra,
    TooLarge,
    Unavailable,
    Unknown,
)
from catchment.events import Events
from catchment.log.port import MAX_PAYLOAD_BYTES
from catchment.log.settings import LogSettings

try:
    from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
    from confluent_kafka.admin import AdminClient
except ImportError as error:
    raise MissingExtra("[log] url = kafka://…", "kafka") from error

OVERHEAD_BYTES = 512
"""A record's key and what Kafka puts around it, at most."""
MAX_MESSAGE_BYTES = MAX_PAYLOAD_BYTES + OVERHEAD_BYTES
"""What a topic must take: the largest record."""
_REQUEST_MS = 15_000

_OURS = {
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.protocol",
    "message.max.bytes",
    "message.timeout.ms",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "transactional.id",
}
_METADATA_MS = 5000
T = TypeVar("T")
_KINDS: dict[int, type[CatchmentError]] = {
    KafkaError.MSG_SIZE_TOO_LARGE: TooLarge,
    KafkaError.RECORD_LIST_TOO_LARGE: TooLarge,
    KafkaError.UNKNOWN_TOPIC_OR_PART: Missing,
    KafkaError._UNKNOWN_TOPIC: Missing,
    KafkaError._UNKNOWN_PARTITION: Missing,
    KafkaError._AUTO_OFFSET_RESET: Missing,
    KafkaError.OFFSET_OUT_OF_RANGE: Missing,
    KafkaError._BAD_MSG: Corrupt,
    KafkaError.ILLEGAL_GENERATION: Fenced,
    KafkaError.UNKNOWN_MEMBER_ID: Fenced,
    KafkaError._ASSIGNMENT_LOST: Fenced,
    KafkaError._MSG_TIMED_OUT: Unknown,
    KafkaError._FATAL: Unknown,
    KafkaError._GAPLESS_GUARANTEE: Unknown,
    KafkaError._PURGE_INFLIGHT: Unknown,
    KafkaError._PURGE_QUEUE: Unavailable,
    KafkaError._AUTHENTICATION: BadConfig,
    KafkaError.SASL_AUTHENTICATION_FAILED: BadConfig,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: BadConfig,
    KafkaError.GROUP_AUTHORIZATION_FAILED: BadConfig,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: BadConfig,
    KafkaError._INVALID_ARG: BadConfig,
}
_ADVICE: dict[type[CatchmentError], str] = {
    TooLarge: f"raise max.message.bytes of the topic to {MAX_MESSAGE_BYTES}, then start again",
    BadConfig: "see [log.kafka] and the rights of this user",
    Fenced: "the group gave its partitions away; start again from what is committed",
    Unknown: "read back before repeating",
    Unavailable: "are the brokers of [log] url running and reachable?",
    Missing: "create the topic, or read what is kept",
    Corrupt: "the brokers hold a damaged record; restore it, or move on behind it",
}


def of_kafka(error: KafkaError, doing: str) -> CatchmentError:
    """librdkafka's error in our words; whatever is not known to be wrong may succeed later."""
    kind = _KINDS.get(error.code(), Unavailable)
    return kind(f"{doing}: {error.str()} ({error.name()}); {_ADVICE[kind]}")


def too_large(topic: str, size_bytes: int, largest: int) -> TooLarge:
    """Of a record that is not sent, since its topic would not take it."""
    advice = "" if largest == MAX_PAYLOAD_BYTES else f"; {_ADVICE[TooLarge]}"
    return TooLarge(f"topic {topic}: a record of {size_bytes} bytes, at most {largest} are taken{advice}")


class Broker:
    """The brokers of one URL, and the prefix of our topics and groups there."""

    def __init__(self, servers: str, prefix: str, settings: LogSettings, events: Events) -> None:
        """Raises BadConfig for an option that is ours to set."""
        for name, _ in settings.kafka:
            if name in _OURS:
                raise BadConfig(f"[log.kafka] {name} is set by Catchment, whose promises rest on it; remove it")
        self.servers = servers
        self._prefix = f"{prefix}." if prefix else ""
        self._options = dict(settings.kafka)
        self.request_s = _milliseconds(self._options.get("socket.timeout.ms", str(_REQUEST_MS))) / 1000
        """How long an answer of the brokers is waited for."""
        self._events = events
        self._lock = threading.Lock()
        self._is_away = False

    def named(self, ours: str) -> str:
        """What a topic or group of ours is called on the brokers."""
        return self._prefix + ours

    def ours(self, named: str) -> str | None:
        """Our name of a topic on the brokers; None for one that is not ours."""
        if named.startswith("__") or not named.startswith(self._prefix):
            return None
        return named.removeprefix(self._prefix)

    def producer(self, options: Mapping[str, Any]) -> Producer:
        """An idempotent producer that waits for all in-sync replicas."""
        return self._made(
            Producer,
            {
                "linger.ms": 5,
                "compression.type": "zstd",
                "queue.buffering.max.messages": 0,
                "queue.buffering.max.kbytes": 2_097_151,
                **self._options,
                "enable.idempotence": True,
                "acks": "all",
                "partitioner": "murmur2_random",
                "message.max.bytes": MAX_MESSAGE_BYTES + OVERHEAD_BYTES,
                **options,
            },
        )

    def consumer(self, options: Mapping[str, Any]) -> Consumer:
        """A consumer that commits only when told to, and names an offset that is gone instead of passing over it."""
        return self._made(
            Consumer,
            {
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": 65_536,
                "check.crcs": True,
                **self._options,
                "group.id": self.named("reader"),
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "allow.auto.create.topics": False,
                **options,
            },
        )

    def admin(self) -> AdminClient:
        return self._made(AdminClient, self._options)

    def reached(self) -> None:
        """Note that the brokers answer."""
        if self._is_away:
            with self._lock:
                was_away, self._is_away = self._is_away, False
            if was_away:
                self._events.info("kafka_reached", servers=self.servers)

    def _made(self, kind: Callable[[dict[str, Any]], T], options: Mapping[str, Any]) -> T:
        try:
            return kind(
                {
                    "topic.metadata.refresh.interval.ms": _METADATA_MS,
                    "socket.keepalive.enable": True,
                    "socket.timeout.ms": _REQUEST_MS,
                    "reconnect.backoff.max.ms": 2000,
                    "client.id": "catchment",
                    "log_level": 0,
                    "error_cb": self.told,
                    **options,
                    "bootstrap.servers": self.servers,
                }
            )
        except (KafkaException, TypeError, ValueError) as error:  # all of them mean the options
            text = error.args[0].str() if error.args and isinstance(error.args[0], KafkaError) else str(error)
            raise BadConfig(f"[log.kafka]: {text}; the names are librdkafka's (CONFIGURATION.md)") from error

    def told(self, error: KafkaError) -> None:
        """An error that librdkafka goes on from by itself."""
        if error.code() not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._SSL):
            return
        with self._lock:
            was_away, self._is_away = self._is_away, True
        if not was_away:
            self._events.warning("kafka_away", servers=self.servers, error=error.str())


def _milliseconds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise BadConfig(f"[log.kafka] socket.timeout.ms is {text!r}, must be a whole number of milliseconds")
    return int(text)
