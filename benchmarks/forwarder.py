"""How fast a forwarder sends an edge's log to Kafka: messages and bytes a second, and its processor time.

    python -m benchmarks.forwarder [--records 200000] [--size 1024] [--compression zstd]

A broker of `make engines` runs beside it on this machine; figures go to docs/performance.md.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import tempfile
import time
import uuid
from pathlib import Path

from catchment import message
from catchment.clock import SystemClock
from catchment.events import Events
from catchment.ingestion.forwarder.loop import GROUP, Forwarder
from catchment.ingestion.forwarder.settings import ForwarderSettings
from catchment.log.kafka.log import KafkaLog
from catchment.log.open import open_edge_log, open_log
from catchment.log.port import TopicPartition
from catchment.log.settings import LogSettings
from tests.engines import engine_home, new_kafka

RAW = TopicPartition("raw", 0)


def submission(body: bytes) -> bytes:
    document_id = uuid.uuid4()
    fields = [
        message.Field("uri", (f"/submit/shop/order/1/{document_id}",)),
        message.Field("content", (body,), message.BYTES),
    ]
    return message.encode(message.Message(document_id.bytes, 1, "raw", "moz_ingest", fields=fields))


def measure(home: Path, address: str, records: int, size: int, compression: str) -> None:
    clock, events = SystemClock(), Events("benchmark", io.StringIO())
    settings = LogSettings(f"kafka://{address}", min_free_bytes=0, kafka=(("compression.type", compression),))
    local = open_edge_log("file:log", settings, home, clock, events)
    local.create("raw", 1)
    writer = local.open_writer(RAW)
    for first in range(0, records, 1000):
        body = os.urandom(size)  # as hard to compress as what producers have gzipped
        writer.append([submission(body) for _ in range(min(1000, records - first))])
    writer.close()
    log = open_log(settings, home, clock, events)
    assert isinstance(log, KafkaLog)
    done: list[float] = []

    def at(point: str) -> None:
        if point == "checkpointed" and local.committed(GROUP, RAW) == records:
            done.append(time.monotonic())
            forwarder.stop()

    forwarder = Forwarder(ForwarderSettings(), local, lambda: log.open_keyed("raw", 4), clock, events, at=at)
    began_s, used = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    forwarder.run()
    now = resource.getrusage(resource.RUSAGE_SELF)
    wall_s = done[0] - began_s
    cpu_s = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    print(  # noqa: T201
        f"{records:,} × {size:,} bytes: {records / wall_s:,.0f} messages/s, {records * size / wall_s / 1e6:,.0f} MB/s; "
        f"per core {records / cpu_s:,.0f} messages/s, {records * size / cpu_s / 1e6:,.0f} MB/s "
        f"({cpu_s / records * 1e6:.1f} µs each)"
    )
    local.close()
    log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--compression", default="zstd")
    arguments = parser.parse_args()
    with engine_home() as folder, tempfile.TemporaryDirectory() as home:
        kafka = new_kafka(folder)
        with kafka.running():
            measure(Path(home), kafka.address, arguments.records, arguments.size, arguments.compression)


if __name__ == "__main__":
    main()
