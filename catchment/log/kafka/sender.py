"""The idempotent producer that all writers of a process share, and the thread that serves its delivery reports.

A message that was not delivered in time ends the producer, so that nothing follows a hole (librdkafka's gapless
guarantee); everything on its way is answered with Unknown then, and the next writer that is opened gets a new one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message

from catchment.errors import CatchmentError
from catchment.log.kafka.broker import Broker, of_kafka

Report = Callable[[KafkaError | None, Message], None]
_SERVE_S = 0.1
_ROOM_S = 0.01


class Sender:
    """Safe to use from several threads."""

    def __init__(self, broker: Broker, timeout_s: float) -> None:
        """`timeout_s` is how long a message may wait for its delivery."""
        self.failure: CatchmentError | None = None
        """Why nothing can be sent any more."""
        self._broker = broker
        self._producer = broker.producer(
            {
                "message.timeout.ms": round(timeout_s * 1000),
                "enable.gapless.guarantee": True,
            }
        )
        self._closing = threading.Event()
        self._served = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="kafka-sender", daemon=True)
        self._thread.start()

    def send(self, topic: str, partition: int, key: bytes | None, payload: bytes, report: Report) -> None:
        """Queue a message; `report` is called once from the sender's thread. Raises what ended the producer."""
        while True:
            try:
                self._producer.produce(topic, payload, key, partition, on_delivery=report)
                return
            except BufferError:
                with self._served:
                    self._served.wait(_ROOM_S)
            except KafkaException as error:
                raise self.failure or of_kafka(error.args[0], "sending to Kafka") from error

    def refresh(self, topic: str) -> None:
        """Learn how many partitions the topic has now."""
        try:
            self._producer.list_topics(topic, timeout=self._broker.request_s)
        except KafkaException as error:
            raise of_kafka(error.args[0], f"asking for topic {topic}") from error

    def close(self) -> None:
        """End the thread; what is still on its way is no longer told of."""
        self._closing.set()
        self._thread.join()

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                self._producer.poll(_SERVE_S)
            except KafkaException as error:  # fatal: the client raises it instead of telling error_cb
                self.failure = of_kafka(error.args[0], "sending to Kafka")
                self._producer.purge()  # what waits is answered now, and not after its time
            with self._served:
                self._served.notify_all()
