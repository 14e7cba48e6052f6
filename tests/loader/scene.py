"""A small stage for the loader: a home with two raw partitions, schemas of its own, and what must come of it.

`run_loader` is what a child process does: load until everything is read, dying at the n-th crash point if told so.
"""

from __future__ import annotations

import io
import json
import sys
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from catchment import message
from catchment.clock import SystemClock
from catchment.events import Events
from catchment.ingestion.decoder.chain import Decoder
from catchment.ingestion.decoder.geo import Geo
from catchment.ingestion.decoder.settings import DecoderSettings, GeoSettings
from catchment.ingestion.deduplication import DeduplicationSettings, Deduplicator
from catchment.ingestion.limits.limiter import Limiter
from catchment.ingestion.limits.settings import LimitSettings
from catchment.ingestion.loader.former import Former
from catchment.ingestion.loader.loop import GROUP, Loader
from catchment.ingestion.loader.outputs import OUTPUT_TOPICS
from catchment.ingestion.loader.settings import LoaderSettings
from catchment.lake.open import open_lake
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.lake.tables import Lake
from catchment.log.open import open_log
from catchment.log.port import Log, TopicPartition
from catchment.log.settings import LogSettings
from catchment.objects.settings import S3Settings
from catchment.schemas.registry import Registry
from tests import dying
from tests.buckets import Bucket

PARTITIONS = 2
START_NS = 1_790_000_000_000_000_000
ADDRESS = "203.0.113.77"
ORDER = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "required": ["item"],
    "properties": {"item": {"type": "string"}, "count": {"type": "integer"}, "clientId": {"type": "string"}},
}


@dataclass
class Expected:
    """What must be there in the end."""

    documents: dict[str, list[str]] = field(default_factory=dict)
    """Table → document ids."""
    errors: list[tuple[str, int]] = field(default_factory=list)
    """(source, offset) of each failure."""
    outputs: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    """(topic, partition) → offsets of the raw records, in order."""


def write_schemas(home: Path) -> Path:
    root = home / "schemas"
    for doctype in ("order", "refund"):
        place = root / "shop" / doctype
        place.mkdir(parents=True)
        (place / f"{doctype}.1.schema.json").write_bytes(orjson.dumps(ORDER))
    return root


def raw_record(uri: str, body: bytes, number: int) -> bytes:
    """A record as the edge makes it."""
    fields = [
        message.Field("remote_addr", (ADDRESS,)),
        message.Field("uri", (uri,)),
        message.Field("protocol", ("HTTP/1.1",)),
        message.Field("X-Forwarded-For", (f"198.51.100.3, {ADDRESS}",)),
        message.Field("content", (body,), message.BYTES),
    ]
    return message.encode(
        message.Message(
            uuid.UUID(int=number).bytes,
            START_NS + number * 1_000_000,
            "raw",
            "moz_ingest",
            hostname="edge",
            fields=fields,
        )
    )


def fill(home: Path, log: Log, records: int) -> Expected:
    """Write `records` raw records over the partitions: documents of three tables, failures, and repeats.

    Repeats stand in the partition of their first delivery, so that which one is the first does not depend on the
    order in which the partitions are read.
    """
    write_schemas(home)
    log.create("raw", PARTITIONS)
    expected = Expected()
    for partition in range(PARTITIONS):
        payloads = []
        ids: list[str] = []
        for offset in range(records // PARTITIONS):
            number = partition * 1_000_000 + offset
            document_id = str(uuid.UUID(int=(partition << 64) + offset))
            doctype = "refund" if offset % 5 == 4 else "order"
            body = orjson.dumps(
                {"item": f"thing {number}", "count": offset, "clientId": document_id, "extra": [offset]}
            )
            topic = "decoded"
            if offset % 7 == 3:
                topic, body = "errors", b'{"count": 1}' if offset % 2 else b"not json"
                expected.errors.append((f"raw/{partition}", offset))
            elif offset % 11 == 6:
                topic, document_id, doctype = "duplicates", ids[0], "order"
            elif offset % 13 == 8:
                doctype = "mystery"
                expected.documents.setdefault("telemetry.unregistered", []).append(document_id)
            else:
                expected.documents.setdefault(f"shop.{doctype}_v1", []).append(document_id)
                if doctype == "order":
                    ids.append(document_id)
            expected.outputs.setdefault((topic, partition), []).append(offset)
            uri = f"/submit/shop/{doctype}/1/{document_id}"
            if doctype == "mystery":
                uri = f"/submit/telemetry/{document_id}/mystery/App/1.0/release/20260101"
            payloads.append(raw_record(uri, zlib.compress(body, wbits=31) if offset % 2 else body, number))
        writer = log.open_writer(TopicPartition("raw", partition))
        writer.append(payloads)
        writer.close()
    return expected


def open_parts(home: Path) -> tuple[Log, Lake]:
    clock, events = SystemClock(), Events("test", io.StringIO())
    settings = LogSettings(min_free_bytes=0)
    catalog, objects, s3 = CatalogSettings(), ObjectsSettings(), S3Settings()
    if (home / "elsewhere.json").exists():
        named = json.loads((home / "elsewhere.json").read_text())
        catalog, objects = CatalogSettings(named["catalog"]), ObjectsSettings(named["objects"])
        s3 = S3Settings(**named["s3"])
    return open_log(settings, home, clock, events), open_lake(catalog, objects, home, clock, events, s3)


def use(home: Path, catalog: str, bucket: Bucket | None) -> None:
    """From now on the lake of this home has its catalog at this URL, and its files in the bucket if there is one."""
    home.mkdir()
    objects = bucket.url if bucket else ObjectsSettings().url
    s3 = asdict(bucket.settings) if bucket else {}
    (home / "elsewhere.json").write_text(json.dumps({"catalog": catalog, "objects": objects, "s3": s3}))


class CrashPoints(dying.CrashPoints):
    """Counts the points that the loader passes, dies at one of them, and stops the loader when all is read."""

    def __init__(self, log: Log, die_at: int | None) -> None:
        super().__init__(die_at)
        self.loader: Loader | None = None
        self._log = log

    def __call__(self, point: str) -> None:
        super().__call__(point)
        assert self.loader is not None
        if point in ("partitions_assigned", "batch_handled", "group_committed") and self.loader.has_read_all():
            self.loader.stop()


def run_loader(
    home: Path,
    die_at: int | None,
    journal: Path | None = None,
    flush_bytes: int = 1024,
    flush_s: float = 60.0,
    limits: LimitSettings | None = None,
    decoder: DecoderSettings | None = None,
    changes_after: int | None = None,
) -> None:
    """Load everything; what a child process does. Writes the points passed to `journal`. From so many batches on, the
    schemas are those of the home's folder `later`."""
    log, lake = open_parts(home)
    clock, events = SystemClock(), Events("loader", sys.stderr)
    deduplicator = Deduplicator(home / "deduplication", DeduplicationSettings(), clock, events)
    latest = registry = Registry.load([home / "schemas"])
    former = Former(home, 0, events)
    if changes_after is not None:
        latest = Registry.load([home / "later"])
        registry = former.start(registry if changes_after else latest)
    chain = Decoder(registry, Geo(GeoSettings(), clock, events), decoder or DecoderSettings())
    points = CrashPoints(log, die_at)
    settings = LoaderSettings(flush_s=flush_s, flush_bytes=flush_bytes, batch_records=4)
    limiter = Limiter(limits or LimitSettings(), home / "limits", clock, events)
    loader = Loader(
        settings,
        log,
        lake,
        registry,
        chain,
        deduplicator,
        clock,
        events,
        latest=lambda: latest if points.passed.count("batch_handled") >= (changes_after or 0) else registry,
        keep=former.keep,
        limiter=limiter,
        at=points,
    )
    points.loader = loader
    loader.run()
    deduplicator.close()
    lake.close()
    if journal is not None:
        journal.write_text("\n".join(points.passed))


def check(home: Path, expected: Expected, records: int) -> None:
    """Everything expected is there, once, and nothing else."""
    log, lake = open_parts(home)
    per_partition = records // PARTITIONS
    for partition in range(PARTITIONS):
        source = TopicPartition("raw", partition)
        assert log.committed(GROUP, source) == per_partition
        for topic in OUTPUT_TOPICS:
            assert source_offsets(log, topic, partition) == expected.outputs.get((topic, partition), [])
    assert set(lake.tables()) == {*expected.documents, "monitoring.errors"}
    for table, ids in expected.documents.items():
        assert column(lake, table, "document_id") == sorted(ids), table
    found = zip(
        column(lake, "monitoring.errors", "source", ordered=False),
        column(lake, "monitoring.errors", "source_offset", ordered=False),
        strict=True,
    )
    assert sorted(found) == sorted(expected.errors)
    log.close()
    lake.close()


def column(lake: Lake, table: str, name: str, ordered: bool = True) -> Sequence[object]:
    values = lake.load(table).scan(selected_fields=(name,)).to_arrow().column(0).to_pylist()
    return sorted(values) if ordered else values


def source_offsets(log: Log, topic: str, partition: int) -> list[object]:
    reader = log.open_reader(TopicPartition(topic, partition), 0)
    offsets: list[object] = []
    while records := reader.read(1000, 1 << 20, 0):
        offsets += [message.decode(record.payload).first("sourceOffset") for record in records]
    reader.close()
    return offsets
