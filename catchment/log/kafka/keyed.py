"""Sends records to a topic by their keys, each to the partition that its key gives, and waits for the brokers for ever.

Unlike the writers' sender it ends only at what will not heal by itself; and what a topic does not take fails alone.
"""

from __future__ import annotations

from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message

from catchment.errors import CatchmentError, TooLarge
from catchment.log.kafka.broker import Broker, of_kafka, too_large
from catchment.log.kafka.keys import key_of

Confirmed = Callable[[CatchmentError | None, bytes], None]
"""None when all in-sync replicas have the record, else why not; and the record."""
_ROOM_S = 0.05


class KeyedSender:
    """One thread uses it; confirmations are told inside `serve`, and inside `send` while there is no room."""

    def __init__(self, broker: Broker, topic: str, largest: int) -> None:
        """`largest` is what the topic takes, in bytes."""
        self._topic = topic
        self._largest = largest
        self._named = broker.named(topic)
        batch_bytes = min(1_000_000, largest)
        self._producer = broker.producer({"message.timeout.ms": 0, "batch.size": batch_bytes})

    def send(self, payload: bytes, confirmed: Confirmed) -> None:
        """Raises TooLarge for a record that the topic does not take."""
        if len(payload) > self._largest:
            raise too_large(self._topic, len(payload), self._largest)

        def report(error: KafkaError | None, message: Message) -> None:
            confirmed(None if error is None else of_kafka(error, f"sending to topic {self._topic}"), payload)

        while True:
            try:
                self._producer.produce(self._named, payload, key_of(payload), on_delivery=report)
                return
            except BufferError:
                self.serve(_ROOM_S)
            except KafkaException as error:
                if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    raise TooLarge(str(of_kafka(error.args[0], f"sending to topic {self._topic}"))) from error
                raise of_kafka(error.args[0], f"sending to topic {self._topic}") from error

    def serve(self, timeout_s: float) -> None:
        """Tell what was confirmed; wait up to `timeout_s` for something. Raises what ends the sender."""
        try:
            self._producer.poll(timeout_s)
        except KafkaException as error:
            raise of_kafka(error.args[0], f"sending to topic {self._topic}") from error

    def close(self) -> None:
        """Let go of what is not confirmed; nothing is told of it."""
        self._producer.purge()
