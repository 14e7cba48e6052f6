"""A home that a loader has worked in: documents, failures of several kinds and repeats, and what comes after them."""

from __future__ import annotations

import uuid
import zlib
from pathlib import Path

import orjson

from catchment import config as configuration
from catchment.ingestion.decoder.settings import DecoderSettings
from catchment.ingestion.inspection.failures import Failures
from catchment.ingestion.inspection.receipts import Receipts
from catchment.ingestion.limits.settings import LimitSettings
from catchment.log.port import TopicPartition
from catchment.platform import SECTIONS, Platform
from tests.loader import scene

RAW = TopicPartition("raw", 0)
CLIENT_ID = "5c1ade7f-1111-4222-8333-444455556666"
DEBUG_ID = "my-test"


def body(**changes: object) -> bytes:
    return orjson.dumps({"item": "thing", "count": 1, "clientId": CLIENT_ID, **changes})


class Home:
    """A platform over a folder; `send` puts raw records behind those that are there, `load` lets a loader work."""

    def __init__(self, path: Path, **settings: str) -> None:
        """`settings` are variables of the environment."""
        path.mkdir()
        self.path = path
        schemas = scene.write_schemas(path)
        self.environment = {
            "CATCHMENT_HOME__PATH": str(path),
            "CATCHMENT_SCHEMAS__PATHS": str(schemas),
            "CATCHMENT_LOG__MIN_FREE_BYTES": "0",
            **settings,
        }
        self.platform = Platform(configuration.load(SECTIONS, environment=self.environment))
        self.log = self.platform.log()
        self.log.create("raw", 1)
        self._sent = 0

    def send(self, text: bytes, doctype: str = "order", document_id: str | None = None, uri: str | None = None) -> str:
        """A submission as the edge writes it, a millisecond after the last one; returns its document id."""
        document_id = document_id or str(uuid.uuid4())
        self._sent += 1
        record = scene.raw_record(uri or f"/submit/shop/{doctype}/1/{document_id}", text, self._sent)
        writer = self.log.open_writer(RAW)
        writer.append([record])
        writer.close()
        return document_id

    def load(self, limits: LimitSettings | None = None) -> None:
        decoder = self.platform.config.section(DecoderSettings)
        scene.run_loader(self.path, None, limits=limits, decoder=decoder)

    def failures(self) -> Failures:
        return self.platform.failures()

    def receipts(self) -> Receipts:
        return self.platform.receipts()


def gzipped(text: bytes) -> bytes:
    return zlib.compress(text, wbits=31)
