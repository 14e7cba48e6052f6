"""Conformance cases that take an edge, a log and a loader: what is downstream is away, nothing is lost or doubled."""

from __future__ import annotations

import io
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

from catchment import message
from catchment.clock import SystemClock
from catchment.events import Events
from catchment.ingestion.decoder.chain import Decoder
from catchment.ingestion.decoder.geo import Geo
from catchment.ingestion.decoder.settings import DecoderSettings, GeoSettings
from catchment.ingestion.deduplication import DeduplicationSettings, Deduplicator
from catchment.ingestion.loader.loop import Loader
from catchment.ingestion.loader.settings import LoaderSettings
from catchment.log.open import open_log
from catchment.log.port import Log, TopicPartition
from catchment.log.settings import LogSettings
from catchment.schemas.registry import Registry
from tests.edge.serving import PATIENCE_S, Edge, stored
from tests.loader import scene

ORDER = b"/submit/shop/order/1/"


class Telling(io.StringIO):
    """Events, and a signal when one of a name is told."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.is_told = threading.Event()

    def write(self, text: str) -> int:
        if self._name in text:
            self.is_told.set()
        return super().write(text)


def raw_log(home: Path) -> Log:
    return open_log(LogSettings(min_free_bytes=0), home, SystemClock(), Events("edge", io.StringIO()))


def submit(home: Path, *bodies: bytes, ids: list[str] | None = None) -> list[str]:
    """Send to an edge that has nothing but its log; the document ids, all of them answered 200."""
    log = raw_log(home)
    ids = ids or [str(uuid.uuid4()) for _ in bodies]
    with Edge(log) as edge, edge.client() as client:
        for document_id, body in zip(ids, bodies, strict=True):
            assert client.submit(body, target=ORDER + document_id.encode()) == 200
        client.send(b"GET /__heartbeat__ HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.status() == 200
    log.close()
    return ids


def received_ns(home: Path) -> list[int]:
    log = raw_log(home)
    times = [found.timestamp for found in stored(log)]
    log.close()
    return times


def load_with(home: Path, told: io.StringIO, at: Callable[[str], None]) -> Loader:
    log, lake = scene.open_parts(home)
    clock, events = SystemClock(), Events("loader", told)
    registry = Registry.load([home / "schemas"])
    return Loader(
        LoaderSettings(flush_s=60.0, flush_bytes=1024, batch_records=4),
        log,
        lake,
        registry,
        Decoder(registry, Geo(GeoSettings(), clock, events), DecoderSettings()),
        Deduplicator(home / "deduplication", DeduplicationSettings(), clock, events),
        clock,
        events,
        at=at,
    )


def test_c17_c22_r19_r21_without_a_loader_all_is_accepted_and_delivered_once_with_its_time(tmp_path: Path) -> None:
    scene.write_schemas(tmp_path)
    ids = submit(tmp_path, *(b'{"item": "%d"}' % number for number in range(20)))
    times = received_ns(tmp_path)
    scene.run_loader(tmp_path, None)
    scene.run_loader(tmp_path, None)
    log, lake = scene.open_parts(tmp_path)
    rows = lake.load("shop.order_v1").scan().to_arrow().to_pylist()
    assert sorted(row["document_id"] for row in rows) == sorted(ids)
    reader = log.open_reader(TopicPartition("decoded", 0), 0)
    decoded = [message.decode(record.payload) for record in reader.read(100, 1 << 20, 0)]
    assert [found.timestamp for found in decoded] == times
    assert [found.first("documentId") for found in decoded] == ids
    reader.close()
    log.close()


def test_r46_r47_r48_r49_what_waits_for_the_object_store_is_delivered_once_after_its_repair(tmp_path: Path) -> None:
    scene.write_schemas(tmp_path)
    ids = submit(tmp_path, *(b'{"item": "%d"}' % number for number in range(8)))
    objects, away = tmp_path / "objects", tmp_path / "away"
    told = Telling("loader_waits")

    def at(point: str) -> None:
        if point == "flush_started" and not told.is_told.is_set():
            objects.rename(away)
            objects.write_bytes(b"no directory")
        if point == "batch_handled" and told.is_told.is_set() and loader.has_read_all():
            loader.stop()  # which commits

    loader = load_with(tmp_path, told, at)
    thread = threading.Thread(target=loader.run)
    thread.start()
    try:
        assert told.is_told.wait(PATIENCE_S), told.getvalue()
        later = submit(tmp_path, b'{"item": "sent while it is away"}')
    finally:
        objects.unlink()
        away.rename(objects)
        thread.join(PATIENCE_S)
    assert not thread.is_alive(), told.getvalue()
    scene.run_loader(tmp_path, None)
    _, lake = scene.open_parts(tmp_path)
    assert scene.column(lake, "shop.order_v1", "document_id") == sorted(ids + later)


def test_c36_an_id_whose_first_delivery_failed_is_not_burnt(tmp_path: Path) -> None:
    scene.write_schemas(tmp_path)
    document_id = str(uuid.uuid4())
    submit(tmp_path, b'{"count": 1}', b'{"item": "mended"}', b'{"item": "mended"}', ids=[document_id] * 3)
    scene.run_loader(tmp_path, None)
    log, lake = scene.open_parts(tmp_path)
    assert scene.column(lake, "monitoring.errors", "document_id") == [document_id]
    assert scene.column(lake, "shop.order_v1", "item") == ["mended"]
    assert scene.source_offsets(log, "duplicates", 0) == [2]
    log.close()
