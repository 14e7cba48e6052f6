"""A program for tests: one member of a consumer group, or one reader, that tells on standard output what it sees.

    python -m tests.log.member consume <folder> <group>      until standard input closes, then leaves the group
    python -m tests.log.member read <folder> <count>         waits for `count` records of raw/0, tells how often it woke

Lines: `<monotonic ns> <word> …`. A member tells of each batch before it commits it.
"""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from catchment.clock import SystemClock
from catchment.events import Events
from catchment.log.open import open_log
from catchment.log.port import Log, TopicPartition
from catchment.log.settings import LogSettings

SETTINGS = LogSettings(segment_bytes=65_536, min_free_bytes=0)


def open_shared(folder: Path) -> Log:
    return open_log(SETTINGS, folder, SystemClock(), Events("test", io.StringIO()))


def tell(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, (time.monotonic_ns(), *words))) + "\n")
    sys.stdout.flush()


def consume(log: Log, group: str) -> None:
    def each(word: str, sources: Sequence[TopicPartition]) -> None:
        for source in sources:
            tell(word, source.partition)

    stop = threading.Event()
    consumer = log.open_consumer(
        group, ["raw"], lambda sources: each("assigned", sources), lambda sources: each("revoked", sources)
    )

    def await_end() -> None:
        sys.stdin.read()
        stop.set()
        consumer.wake()

    threading.Thread(target=await_end, daemon=True).start()
    tell("joined")
    while not stop.is_set():
        batch = consumer.poll(50, 1 << 20, 60.0)
        if batch is not None:
            tell("took", batch.source.partition, batch.records[0].offset, batch.records[-1].offset)
            consumer.commit({batch.source: batch.records[-1].offset + 1})
    consumer.close()
    tell("left")


def read(log: Log, count: int) -> None:
    reader = log.open_reader(TopicPartition("raw", 0), 0)
    tell("ready")
    expected = 0
    while expected < count:
        records = reader.read(1000, 1 << 20, 60.0)
        for record in records:
            if (record.offset, record.payload) != (expected, b"%d" % expected):
                tell("wrong", record.offset, expected)
            expected += 1
        tell("read", expected)


if __name__ == "__main__":
    what, folder, argument = sys.argv[1:]
    shared = open_shared(Path(folder))
    if what == "consume":
        consume(shared, argument)
    else:
        read(shared, int(argument))
    shared.close()
