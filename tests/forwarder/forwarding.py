"""An edge's log with submissions in it, a forwarder that dies when told to, and what Kafka has of them."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

from catchment import message
from catchment.clock import SystemClock
from catchment.events import Events
from catchment.ingestion.forwarder.loop import GROUP, Forwarder
from catchment.ingestion.forwarder.settings import ForwarderSettings
from catchment.log.kafka.log import KafkaLog
from catchment.log.open import open_edge_log, open_log
from catchment.log.port import Log, TopicPartition
from catchment.log.settings import LogSettings
from tests.dying import CrashPoints
from tests.log.backends import kafka_settings

EDGE_PARTITIONS, PARTITIONS = 2, 3
RECORDS = 2500
"""In each partition of the edge: three batches."""


def submission(partition: int, number: int, body: bytes = b"{}") -> bytes:
    """A record as the edge makes it, small."""
    document_id = uuid.UUID(int=(partition + 1) << 64 | number)
    fields = [
        message.Field("uri", (f"/submit/shop/order/1/{document_id}",)),
        message.Field("content", (body,), message.BYTES),
    ]
    return message.encode(message.Message(document_id.bytes, number, "raw", "moz_ingest", fields=fields))


def edge_log(home: Path, settings: LogSettings) -> Log:
    local = LogSettings(settings.url, min_free_bytes=0, segment_bytes=65_536, raw_max_bytes=0)
    return open_edge_log("file:log", local, home, SystemClock(), Events("edge", sys.stderr))


def kafka_log(home: Path, server: str) -> KafkaLog:
    log = open_log(kafka_settings(server, home), home, SystemClock(), Events("kafka", sys.stderr))
    assert isinstance(log, KafkaLog)
    return log


def fill(home: Path, server: str) -> list[list[bytes]]:
    """What the edge has accepted, by partition."""
    log = edge_log(home, kafka_settings(server, home))
    log.create("raw", EDGE_PARTITIONS)
    accepted = [[submission(part, number) for number in range(RECORDS)] for part in range(EDGE_PARTITIONS)]
    for number, payloads in enumerate(accepted):
        writer = log.open_writer(TopicPartition("raw", number))
        for first in range(0, RECORDS, 500):  # several segments
            writer.append(payloads[first : first + 500])
    log.close()
    return accepted


class Points(CrashPoints):
    """Stops the forwarder when the checkpoint is at the end."""

    def __init__(self, local: Log, die_at: int | None) -> None:
        super().__init__(die_at)
        self.forwarder: Forwarder | None = None
        self._local = local

    def __call__(self, point: str) -> None:
        super().__call__(point)
        if point == "checkpointed" and is_forwarded(self._local):
            assert self.forwarder is not None
            self.forwarder.stop()


def is_forwarded(local: Log) -> bool:
    sources = [TopicPartition("raw", number) for number in range(EDGE_PARTITIONS)]
    return all(local.committed(GROUP, source) == local.bounds(source).end for source in sources)


def forward(home: Path, server: str, die_at: int | None = None, journal: Path | None = None) -> None:
    """Forward everything; what a child process does. Writes the points passed to `journal`."""
    local, log = edge_log(home, kafka_settings(server, home)), kafka_log(home, server)
    points = Points(local, die_at)
    points.forwarder = Forwarder(
        ForwarderSettings(checkpoint_s=0.01),
        local,
        lambda: log.open_keyed("raw", PARTITIONS),
        SystemClock(),
        Events("forwarder", sys.stderr),
        at=points,
    )
    points.forwarder.run()
    local.close()
    log.close()
    if journal is not None:
        journal.write_text("\n".join(points.passed))


def arrived(home: Path, server: str) -> list[list[bytes]]:
    """What topic raw on Kafka has, by partition."""
    log = kafka_log(home, server)
    found = []
    for number in range(PARTITIONS):
        reader = log.open_reader(TopicPartition("raw", number), 0)
        payloads: list[bytes] = []
        while records := reader.read(10_000, 1 << 30, 0):
            payloads += [record.payload for record in records]
        found.append(payloads)
    log.close()
    return found
