"""A small yard for the archiver: a home with two raw partitions over three hours, and what the landfill must hold.

`run_archiver` is what a child process does: ship until all is shipped, dying at the n-th crash point if told so.
"""

from __future__ import annotations

import io
import json
import sys
import uuid
from dataclasses import asdict
from pathlib import Path

from catchment import message
from catchment.clock import Clock, ManualClock, SystemClock
from catchment.events import Events
from catchment.ingestion.landfill.archiver import GROUP, Archiver, edge_name
from catchment.ingestion.landfill.layout import HOUR_NS
from catchment.ingestion.landfill.settings import LandfillSettings
from catchment.ingestion.landfill.shelf import Landfill
from catchment.log.open import open_log
from catchment.log.port import Log, TopicPartition
from catchment.log.settings import LogSettings
from catchment.objects.open import open_objects
from catchment.objects.port import ObjectStore
from catchment.objects.settings import S3Settings
from tests import dying
from tests.buckets import Bucket

PARTITIONS = 2
HOURS = 3
START_NS = 1_790_000_000_000_000_000 // HOUR_NS * HOUR_NS
ADDRESS = "203.0.113.77"


def raw_record(number: int, received_ns: int, doctype: str = "order") -> bytes:
    """A record as the edge makes it; `number` makes it unlike all others."""
    fields = [
        message.Field("remote_addr", (ADDRESS,)),
        message.Field("uri", (f"/submit/shop/{doctype}/1/{uuid.UUID(int=number)}",)),
        message.Field("content", (b'{"item": "thing"}' + b" " * (number % 50),), message.BYTES),
    ]
    return message.encode(
        message.Message(uuid.UUID(int=number).bytes, received_ns, "raw", "moz_ingest", hostname="edge", fields=fields)
    )


def records_of(partition: int, count: int) -> list[bytes]:
    """`count` records over HOURS hours; some late ones, some that are no message, one empty."""
    found = []
    for number in range(count):
        received_ns = START_NS + number * HOURS * HOUR_NS // count
        if number % 9 == 5:
            received_ns -= HOUR_NS // 3
        payload = raw_record(partition * 1_000_000 + number, received_ns, "refund" if number % 4 == 0 else "order")
        if number % 13 == 7:
            payload = b"" if number == 7 else b"no message " + str(number).encode()
        found.append(payload)
    return found


def open_yard(home: Path, clock: Clock | None = None) -> tuple[Log, Landfill]:
    clock, events = clock or SystemClock(), Events("test", io.StringIO())
    log = open_log(LogSettings(min_free_bytes=0, segment_bytes=4096), home, clock, events)
    return log, Landfill(open_store(home))


def use(home: Path, bucket: Bucket) -> None:
    """From now on the objects of this home are in the bucket."""
    (home / "bucket.json").write_text(json.dumps({"url": bucket.url, "settings": asdict(bucket.settings)}))


def open_store(home: Path) -> ObjectStore:
    named = home / "bucket.json"
    if not named.exists():
        return open_objects("file:objects", home)
    document = json.loads(named.read_text())
    return open_objects(document["url"], home, S3Settings(**document["settings"]))


def fill(home: Path, count: int) -> dict[str, list[bytes]]:
    """Write `count` records to each partition; by source."""
    log, _ = open_yard(home)
    log.create("raw", PARTITIONS)
    written = {}
    for partition in range(PARTITIONS):
        source = TopicPartition("raw", partition)
        payloads = records_of(partition, count)
        writer = log.open_writer(source)
        for at in range(0, count, 10):
            writer.append(payloads[at : at + 10])
        writer.close()
        written[str(source)] = payloads
    log.close()
    return written


class CrashPoints(dying.CrashPoints):
    """Counts the points that the archiver passes, dies at one of them, and stops it when all is packed."""

    def __init__(self, log: Log, die_at: int | None) -> None:
        super().__init__(die_at)
        self.archiver: Archiver | None = None
        self._log = log

    def __call__(self, point: str) -> None:
        super().__call__(point)
        assert self.archiver is not None
        if is_archived(self._log, self.archiver):
            self.archiver.stop()


def is_archived(log: Log, archiver: Archiver | None = None) -> bool:
    """Whether the group has shipped all that is there, but for what the archiver holds and ships when it stops."""
    packs = archiver._packs if archiver is not None else {}
    ends = {
        TopicPartition("raw", number): log.bounds(TopicPartition("raw", number)).end for number in range(PARTITIONS)
    }
    return all(
        packs[source].end == end if source in packs else log.committed(GROUP, source) == end
        for source, end in ends.items()
    )


def run_archiver(
    home: Path,
    die_at: int | None,
    journal: Path | None = None,
    object_bytes: int = 3000,
    object_age_s: float | None = None,
) -> None:
    """Ship everything; what a child process does. Writes the points passed to `journal`. Without an age the clock
    stands still, so that how objects are cut does not depend on the machine's haste."""
    log, landfill = open_yard(home)
    points = CrashPoints(log, die_at)
    settings = LandfillSettings(object_bytes=object_bytes, object_age_s=object_age_s or 3600.0, ship_at_stop=True)
    clock = ManualClock(START_NS) if object_age_s is None else SystemClock()
    archiver = Archiver(settings, edge_name(home), log, landfill, clock, Events("archiver", sys.stderr), at=points)
    points.archiver = archiver
    if not is_archived(log):
        archiver.run()
    log.close()
    if journal is not None:
        journal.write_text("\n".join(points.passed))


def check(home: Path, written: dict[str, list[bytes]]) -> None:
    """The union of the objects is what was written, each record once, at its offset; and each index is right."""
    _, landfill = open_yard(home)
    held: dict[str, dict[int, bytes]] = {source: {} for source in written}
    for index in landfill.indexes(0, START_NS + (HOURS + 1) * HOUR_NS):
        assert landfill.problem(index) is None
        for block in landfill.blocks(index):
            for record in block:
                assert record.offset not in held[index.source], f"{index.key} holds {record.offset} again"
                held[index.source][record.offset] = record.payload
    for source, payloads in written.items():
        assert held[source] == dict(enumerate(payloads)), source
    objects = [stored.key for stored in open_store(home).list("landfill/")]
    assert len(objects) == 2 * len({name.split(".heka")[0].split(".index")[0] for name in objects})
