"""A small platform for the console to show: a real log, lake and engine in a folder, filled by hand, with the console
running over it on a free port."""

from __future__ import annotations

import http.client
import io
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pyarrow as pa

from catchment import service
from catchment.clock import Clock, SystemClock
from catchment.database.database import Database, open_database
from catchment.database.settings import DatabaseSettings
from catchment.document import Document
from catchment.events import Events
from catchment.health import Check, Finding
from catchment.ingestion import streams
from catchment.ingestion.decoder.failure import Failure
from catchment.ingestion.decoder.settings import DecoderSettings
from catchment.ingestion.deduplication import DeduplicationSettings
from catchment.ingestion.inspection.failures import Failures
from catchment.ingestion.inspection.open import open_receipts
from catchment.ingestion.inspection.receipts import Receipts
from catchment.ingestion.landfill.shelf import Landfill
from catchment.ingestion.ledger.settings import LedgerSettings
from catchment.lake.commit import Span
from catchment.lake.open import open_lake
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.lake.tables import Lake
from catchment.log.open import open_log
from catchment.log.port import Log, TopicPartition, Writer
from catchment.log.settings import LogSettings
from catchment.objects.open import open_objects
from catchment.observation import LOADER_GROUP, TOPICS
from catchment.query.open import open_engine
from catchment.query.port import QueryEngine
from catchment.query.settings import SqlSettings
from catchment.schemas.adding import Added, add_schema
from catchment.schemas.live import LiveRegistry, added_folder, open_live
from catchment.schemas.registry import Registry
from catchment.schemas.settings import SchemaSettings
from catchment.web.serve import run_console
from catchment.web.settings import ConsoleSettings

WITHIN_S = 30.0
RAW = TopicPartition("raw", 0)
CLIENT_ID = "5c1ade7f-1111-4222-8333-444455556666"


class Page(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: str


class Ground:
    """What `catchment.web.ground.Platform` asks for, over a folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock: Clock = SystemClock()
        self.told = io.StringIO()
        self.events = Events("test", self.told)
        self.has_engine = False

    def log(self) -> Log:
        return self._log

    def lake(self) -> Lake:
        return self._lake

    def engine(self) -> QueryEngine:
        self.has_engine = True
        return self._engine

    def registry(self) -> Registry:
        return self._schemas.current

    def add_schema(self, namespace: str, doctype: str, version: int, content: bytes) -> Added:
        folder = added_folder(SchemaSettings(), self.home)
        return add_schema(self._schemas, folder, namespace, doctype, version, content)

    def receipts(self) -> Receipts:
        failures = Failures(self.log(), self.engine, self.lake)
        settings = (DecoderSettings(), DeduplicationSettings())
        return open_receipts(self.home, self.log(), failures, self.engine(), self.registry(), *settings, self.clock)

    def database(self) -> Database:
        return self._database

    def landfill(self) -> Landfill:
        return Landfill(open_objects("file:objects", self.home))

    def ledger_settings(self) -> LedgerSettings:
        return LedgerSettings()

    @cached_property
    def _schemas(self) -> LiveRegistry:
        url = ObjectsSettings().url
        return open_live(SchemaSettings(), self.home, lambda: open_objects(url, self.home), self.clock, self.events)

    @cached_property
    def _database(self) -> Database:
        return open_database(DatabaseSettings(), self.home)

    @cached_property
    def _log(self) -> Log:
        return open_log(LogSettings(min_free_bytes=0), self.home, self.clock, self.events)

    @cached_property
    def _lake(self) -> Lake:
        return open_lake(CatalogSettings(), ObjectsSettings(), self.home, self.clock, self.events)

    @cached_property
    def _engine(self) -> QueryEngine:
        return open_engine(SqlSettings(), self.lake(), self.home)


class Scene(Ground):
    """The ground, and hands to fill it."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        super().__init__(home)
        self._stack = stack
        self._writers: dict[str, Writer] = {}
        for topic in TOPICS:
            self.log().create(topic, 1)
        self.port = 0
        self.stop: Callable[[], None] = lambda: None

    def append(self, topic: str, *payloads: bytes) -> None:
        if topic not in self._writers:
            self._writers[topic] = self.log().open_writer(TopicPartition(topic, 0))
        self._writers[topic].append(payloads)

    def made(self, topic: str) -> int:
        """How many records a topic has; each is made of the raw record of that offset."""
        return self.log().bounds(TopicPartition(topic, 0)).end

    def ping(self, **changes: Any) -> str:
        """A document in topic `decoded`; returns its id."""
        document_id = str(uuid.uuid4())
        values: dict[str, Any] = {
            "namespace": "telemetry",
            "doctype": "main",
            "version": 4,
            "document_id": document_id,
            "submission_ns": self.clock.time_ns(),
            "body": b'{"version": 4}',
            "content": {"version": 4},
            "uuid": uuid.uuid4().bytes,
            "client_id": CLIENT_ID,
            "normalized_channel": "nightly",
            "geo_country": "CZ",
            "app_name": "Firefox",
            "app_version": "140.0",
            **changes,
        }
        self.append("decoded", streams.encode_document(Document(**values), RAW, self.made("decoded")))
        return str(values["document_id"])

    def refuse(self, **changes: Any) -> None:
        """A failure in topic `errors`."""
        values: dict[str, Any] = {
            "step": "schema",
            "code": "schema_violation",
            "message": "validation error: type",
            "detail": '"clientId" is 5, must be a text',
            "pointers": ("/properties/clientId/type", "/clientId"),
            "submission_ns": self.clock.time_ns(),
            "uuid": uuid.uuid4().bytes,
            "hostname": "edge",
            "uri": "/submit/telemetry/x/main/Firefox/140.0/nightly/20261101000000",
            "args": "v=4",
            "body": b"{}",
            "namespace": "telemetry",
            "doctype": "main",
            "version": 4,
            "document_id": str(uuid.uuid4()),
            **changes,
        }
        self.append("errors", streams.encode_failure(Failure(**values), RAW, self.made("errors")))

    def load(self) -> None:
        """Commit everything in topic `raw` for the loader's group."""
        consumer = self.log().open_consumer(LOADER_GROUP, ["raw"])
        ends_at = time.monotonic() + WITHIN_S
        end = self.log().bounds(RAW).end
        while (batch := consumer.poll(10_000, 1 << 30, 1.0)) is None or batch.records[-1].offset + 1 < end:
            assert time.monotonic() < ends_at, "the raw records did not come"
        consumer.commit({RAW: end})
        consumer.close()

    def rows(self, table: str, **columns: list[Any]) -> None:
        """Rows of a table of the lake, all submitted now."""
        count = len(next(iter(columns.values())))
        times = pa.array([datetime.now(UTC)] * count, pa.timestamp("us", tz="UTC"))
        rows = pa.table({"submission_timestamp": times, **columns})
        self.lake().ensure(table, rows.schema)
        before = self.lake().offsets(table).get(str(RAW))
        self.lake().commit(table, rows, {str(RAW): Span(before, (before or 0) + count)})

    def service(self, kind: str, *findings: Finding, port: int = 0) -> None:
        """A service that says where it is and answers on its admin port."""
        checks: dict[str, Check] = {"check": lambda: findings}
        admin = self._stack.enter_context(service.admin("127.0.0.1", 0, checks))
        run = service.RunFile(f"{kind}-0", kind, os.getpid(), self.clock.time_ns(), "127.0.0.1", port, admin.port)
        service.write_run_file(self.home, run)

    def run(self, **settings: Any) -> None:
        """Start the console; it stops with the scene."""
        stop, ready = threading.Event(), threading.Event()
        wanted = ConsoleSettings(**{"port": 0, "sample_s": 0.2, **settings})

        def on_ready(port: int) -> None:
            self.port = port
            ready.set()

        thread = threading.Thread(target=run_console, args=(wanted, self, stop, on_ready, self.events))
        thread.start()

        def end() -> None:
            stop.set()
            thread.join()

        self.stop = end
        self._stack.callback(end)
        assert ready.wait(WITHIN_S), self.told.getvalue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> Page:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WITHIN_S)
        try:
            connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return Page(response.status, dict(response.headers.items()), response.read().decode())
        finally:
            connection.close()

    def post(self, path: str, body: bytes | dict[str, Any], **headers: str) -> Page:
        """Send bytes, or values as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WITHIN_S)
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        try:
            connection.request("POST", path, body if isinstance(body, bytes) else json.dumps(body), sent)
            response = connection.getresponse()
            return Page(response.status, dict(response.headers.items()), response.read().decode())
        finally:
            connection.close()

    def ask(self, sql: str, path: str = "/sql/result", **headers: str) -> Page:
        return self.get(f"{path}?q={quote(sql)}", **headers)

    def until(self, check: Callable[[], Any]) -> Any:
        """What `check` returns once it is true."""
        pause = threading.Event()
        ends_at = time.monotonic() + WITHIN_S
        while not (found := check()):
            assert time.monotonic() < ends_at, f"not true within {WITHIN_S} s; events:\n{self.told.getvalue()}"
            pause.wait(0.05)
        return found


@contextmanager
def scene(home: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        made = Scene(home, stack)
        stack.callback(made.log().close)
        yield made
