"""A small barn for the framed lake: a home with decoded documents in two partitions, and what the lake must hold.

`run_writer` is what a child process does: put until all is put, dying at the n-th crash point if told so.
"""

from __future__ import annotations

import io
import sys
import uuid
from collections import Counter
from pathlib import Path

import orjson

from catchment import message
from catchment.archives import read_file
from catchment.clock import Clock, SystemClock, utc
from catchment.datasets.layout import LAKE, PLANS
from catchment.events import Events
from catchment.framing import Framed
from catchment.ingestion.framed.ranges import read_plan
from catchment.ingestion.framed.settings import FramedSettings
from catchment.ingestion.framed.writer import GROUP, TOPIC, FramedWriter
from catchment.log.open import open_log
from catchment.log.port import Log, TopicPartition
from catchment.log.settings import LogSettings
from catchment.objects.open import open_objects
from catchment.objects.port import ObjectStore
from catchment.schemas.registry import Registry
from tests import dying

PARTITIONS = 2
START_NS = 1_790_000_000_000_000_000
DAY_NS = 86_400_000_000_000
ORDER = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}


def write_schemas(home: Path) -> Registry:
    place = home / "schemas" / "shop" / "order"
    place.mkdir(parents=True, exist_ok=True)
    (place / "order.1.schema.json").write_bytes(orjson.dumps(ORDER))
    return Registry.load([home / "schemas"])


def decoded(
    number: int,
    namespace: str = "telemetry",
    doctype: str = "mystery",
    *,
    body: object = None,
    received_ns: int = START_NS,
    **texts: str,
) -> bytes:
    """A message of topic decoded; `number` makes it unlike all others, `texts` are further fields."""
    content = orjson.dumps({"number": number, "padding": " " * (number % 40)} if body is None else body)
    day = f"{utc(received_ns):%Y%m%d}"
    fields = [
        message.Field("documentId", (str(uuid.UUID(int=number)),)),
        message.Field("docType", (doctype,)),
        message.Field("docVersion", (1.0,), message.DOUBLE),
        message.Field("submissionDate", (day,)),
        *(message.Field(name, (text,)) for name, text in texts.items()),
        message.Field("submission", (content,), message.BYTES, "json"),
    ]
    kind = "telemetry" if namespace == "telemetry" else "validated"
    return message.encode(
        message.Message(uuid.UUID(int=number).bytes, received_ns, kind, namespace, hostname="edge", fields=fields)
    )


def documents_of(partition: int, count: int) -> list[bytes]:
    """`count` documents over two days: some of a doctype with a schema, the others by channel and version."""
    channels = ("release", "nightly-cck-x", "")
    found = []
    for at in range(count):
        number = partition * 1_000_000 + at
        if at % 5 == 2:
            found.append(decoded(number, "shop", "order"))
            continue
        texts = {"appName": "Firefox", "appVersion": f"{at % 2}.0"}
        if channels[at % 3]:
            texts["appUpdateChannel"] = channels[at % 3]
        found.append(decoded(number, received_ns=START_NS + at * 2 * DAY_NS // count, **texts))
    return found


def open_barn(home: Path, clock: Clock | None = None) -> tuple[Log, ObjectStore]:
    log = open_log(
        LogSettings(min_free_bytes=0, segment_bytes=1 << 20),
        home,
        clock or SystemClock(),
        Events("test", io.StringIO()),
    )
    return log, open_objects("file:objects", home)


def append(log: Log, payloads: list[bytes], partition: int = 0, partitions: int = 1) -> None:
    log.create(TOPIC, partitions)
    writer = log.open_writer(TopicPartition(TOPIC, partition))
    for at in range(0, len(payloads), 10):
        writer.append(payloads[at : at + 10])
    writer.close()


def fill(home: Path, count: int) -> list[bytes]:
    """Write `count` documents to each partition; those that the lake must hold."""
    write_schemas(home)
    log, _ = open_barn(home)
    wanted = []
    for partition in range(PARTITIONS):
        payloads = documents_of(partition, count)
        append(log, payloads, partition, PARTITIONS)
        wanted += [payload for payload in payloads if b"mystery" in payload]
    log.close()
    return wanted


def is_put(log: Log) -> bool:
    """Whether the group is behind all that is there."""
    sources = [TopicPartition(TOPIC, number) for number in range(log.topics()[TOPIC])]
    return all(log.committed(GROUP, source) == log.bounds(source).end for source in sources)


class CrashPoints(dying.CrashPoints):
    """Counts the points that the writer passes, dies at one of them, and stops it when all is put."""

    def __init__(self, log: Log, die_at: int | None) -> None:
        super().__init__(die_at)
        self.writer: FramedWriter | None = None
        self._log = log

    def __call__(self, point: str) -> None:
        super().__call__(point)
        assert self.writer is not None
        if point == "committed" and is_put(self._log):
            self.writer.stop()


def run_writer(home: Path, die_at: int | None, journal: Path | None = None, **options: object) -> None:
    """Put everything; what a child process does. Writes the points passed to `journal`."""
    log, objects = open_barn(home)
    points = CrashPoints(log, die_at)
    settings = FramedSettings(**{"object_age_s": 0.1, "buffer_bytes": 64 * 1024, **options})  # type: ignore[arg-type]
    registry = Registry.load([home / "schemas"])
    writer = FramedWriter(
        settings, "barn", log, objects, lambda: registry, SystemClock(), Events("framed", sys.stderr), at=points
    )
    points.writer = writer
    if not is_put(log):
        writer.run()
    log.close()
    if journal is not None:
        journal.write_text("\n".join(points.passed))


def held(home: Path, prefix: str = "framed") -> dict[str, list[bytes]]:
    """The messages of each object, by its key below the prefix."""
    found = {}
    root = home / "objects" / prefix
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            frames = list(read_file(str(path), file))
        assert all(isinstance(frame, Framed) for frame in frames), path
        found[str(path.relative_to(root))] = [frame.payload for frame in frames if isinstance(frame, Framed)]
    return found


def check(home: Path, wanted: list[bytes]) -> None:
    """The union of the objects is what must be there, each document once."""
    there = Counter(payload for payloads in held(home).values() for payload in payloads)
    assert there == Counter(wanted)
    check_plans(home)


def check_plans(home: Path) -> None:
    """Each object holds the documents that a plan says, and there are no others."""
    log, _ = open_barn(home)
    planned: dict[str, list[bytes]] = {}
    for path in sorted((home / "objects" / PLANS).glob("*/*")):
        reader = log.open_reader(TopicPartition(TOPIC, int(path.parent.name.rpartition(".")[2])), 0)
        payloads = [record.payload for record in reader.read(10_000, 1 << 30, 0.0)]
        reader.close()
        for key, offsets in read_plan(path.name, path.read_bytes()).objects.items():
            planned[key.removeprefix(LAKE)] = [payloads[offset] for offset in offsets]
    log.close()
    assert held(home) == planned
