"""A stage for replays: three days of submissions in two partitions, loaded under a schema that refuses some of them,
archived, and then replayed under a mended schema.

`run_replay` is what a child process does: replay, dying at the n-th crash point if told so.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from catchment import message
from catchment.clock import SystemClock
from catchment.events import Events
from catchment.ingestion.decoder.chain import Decoder
from catchment.ingestion.decoder.geo import Geo
from catchment.ingestion.decoder.settings import DecoderSettings, GeoSettings
from catchment.ingestion.deduplication import DeduplicationSettings
from catchment.ingestion.landfill.archiver import Archiver, edge_name
from catchment.ingestion.landfill.settings import LandfillSettings
from catchment.ingestion.landfill.shelf import Landfill
from catchment.ingestion.replay.records import ErrorRecords, LandfillRecords, Records
from catchment.ingestion.replay.run import Replay, Report
from catchment.ingestion.replay.selection import DAY_NS, Selection
from catchment.lake.tables import Lake
from catchment.log.port import Log, TopicPartition
from catchment.objects.open import open_objects
from catchment.query.open import open_engine
from catchment.query.settings import SqlSettings
from catchment.schemas.registry import Registry
from tests.landfill import yard
from tests.loader import scene

DAYS = 3
PARTITIONS = scene.PARTITIONS
FIRST_NS = scene.START_NS // DAY_NS * DAY_NS
ALL = Selection(FIRST_NS, FIRST_NS + DAYS * DAY_NS)
MENDED = {**scene.ORDER, "properties": {**scene.ORDER["properties"], "count": {"type": ["integer", "string"]}}}
"""`count` may be a text now, so it goes to a column of JSON text beside that of integers."""


def record(number: int, received_ns: int, doctype: str, document_id: str, body: bytes) -> bytes:
    fields = [
        message.Field("remote_addr", (scene.ADDRESS,)),
        message.Field("uri", (f"/submit/shop/{doctype}/1/{document_id}",)),
        message.Field("User-Agent", ("Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0",)),
        message.Field("content", (body,), message.BYTES),
    ]
    return message.encode(
        message.Message(uuid.UUID(int=number).bytes, received_ns, "raw", "moz_ingest", hostname="edge", fields=fields)
    )


def submissions(partition: int, count: int) -> list[bytes]:
    """`count` submissions over the days: orders and refunds; every fifth with a `count` that only the mended schema
    allows, every seventh no JSON, every ninth a repeat of the one three before; one that ends within a field."""
    found = []
    for number in range(count):
        received_ns = FIRST_NS + (number * DAYS * DAY_NS) // count + partition
        document_id = str(uuid.UUID(int=(partition << 64) + number))
        body: Any = {"item": f"thing {number}", "count": number, "clientId": document_id}
        if number % 5 == 2:
            body["count"] = f"{number} pieces"
        text = b"no JSON" if number % 7 == 6 else orjson.dumps(body)
        if number % 9 == 8:
            document_id = str(uuid.UUID(int=(partition << 64) + number - 3))
        doctype = "refund" if number % 4 == 3 and number % 9 != 8 else "order"
        text = zlib.compress(text, wbits=31) if number % 2 else text
        found.append(record(partition * 1_000_000 + number, received_ns, doctype, document_id, text))
    found[21] = found[21][:-3]
    return found


def mend(home: Path) -> None:
    for path in (home / "schemas").rglob("order.1.schema.json"):
        path.write_bytes(orjson.dumps(MENDED))


def append(log: Log, partition: int, payloads: list[bytes]) -> None:
    writer = log.open_writer(TopicPartition("raw", partition))
    writer.append(payloads)
    writer.close()


def prepare(home: Path, count: int, unshipped: int = 0) -> None:
    """Submit, load and archive; the last `unshipped` of each partition stay in the log alone."""
    scene.write_schemas(home)
    log, _ = scene.open_parts(home)
    log.create("raw", PARTITIONS)
    for partition in range(PARTITIONS):
        append(log, partition, submissions(partition, count)[: count - unshipped])
    archive(home, log)
    if unshipped:
        for partition in range(PARTITIONS):
            append(log, partition, submissions(partition, count)[count - unshipped :])
    log.close()
    scene.run_loader(home, None)


def archive(home: Path, log: Log) -> None:
    archiver: Archiver | None = None

    def at(point: str) -> None:
        assert archiver is not None
        if point == "committed" and yard.is_archived(log):
            archiver.stop()

    settings = LandfillSettings(object_bytes=2000, object_age_s=0.1)
    landfill = Landfill(open_objects("file:objects", home))
    events = Events("archiver", io.StringIO())
    archiver = Archiver(settings, edge_name(home), log, landfill, SystemClock(), events, at=at)
    archiver.run()


def records_of(home: Path, selection: Selection, log: Log, lake: Lake) -> Records:
    if selection.errors_only:
        return ErrorRecords(selection, open_engine(SqlSettings(), lake, home))
    return LandfillRecords(selection, Landfill(open_objects("file:objects", home)), log, edge_name(home))


def replay(
    home: Path,
    selection: Selection = ALL,
    *,
    is_dry: bool = False,
    resume: bool = False,
    at: Callable[[str], None] = lambda point: None,
) -> Report:
    log, lake = scene.open_parts(home)
    clock, events = SystemClock(), Events("replay", io.StringIO())
    registry = Registry.load([home / "schemas"])
    decoder = Decoder(registry, Geo(GeoSettings(), clock, events), DecoderSettings())
    run = Replay(
        selection,
        home,
        log,
        lake,
        registry,
        decoder,
        DeduplicationSettings(),
        clock,
        events,
        is_dry=is_dry,
        flush_bytes=4000,
        at=at,
    )
    report = run.run(records_of(home, selection, log, lake), resume=resume)
    log.close()
    lake.close()
    return report


def run_replay(home: Path, selection: Selection, die_at: int | None, resume: bool, journal: Path | None = None) -> None:
    passed: list[str] = []

    def at(point: str) -> None:
        passed.append(point)
        if len(passed) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    replay(home, selection, resume=resume, at=at)
    sys.stderr.flush()
    if journal is not None:
        journal.write_text("\n".join(passed))


def rows(home: Path) -> dict[str, list[str]]:
    """All rows of all tables as texts, sorted."""
    _, lake = scene.open_parts(home)
    found = {table: lake.load(table).scan().to_arrow().to_pylist() for table in lake.tables()}
    lake.close()
    return {table: sorted(map(repr, held)) for table, held in found.items()}


def ids(home: Path, table: str) -> list[str]:
    _, lake = scene.open_parts(home)
    found = sorted(str(value) for value in scene.column(lake, table, "document_id"))
    lake.close()
    return found


def offsets(home: Path) -> dict[str, dict[str, int]]:
    _, lake = scene.open_parts(home)
    found = {table: lake.offsets(table) for table in lake.tables()}
    lake.close()
    return found
