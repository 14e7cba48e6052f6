"""Raw messages as the edge writes them, and a decoder with two small schemas."""

from __future__ import annotations

import gzip
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from catchment import message
from catchment.clock import Clock, ManualClock
from catchment.document import Document
from catchment.events import Events
from catchment.ingestion.decoder.chain import Decoder
from catchment.ingestion.decoder.failure import Failure
from catchment.ingestion.decoder.geo import Geo
from catchment.ingestion.decoder.settings import DecoderSettings, GeoSettings
from catchment.log.port import TopicPartition
from catchment.message import BYTES, Field, Message
from catchment.schemas.registry import Registry

TID = "0055FAC4-8A1A-4FCA-B380-EBFDC8571A01"
FIREFOX_URI = f"/submit/telemetry/{TID}/main/Firefox/61.0a1/nightly/20180328030202"
GENERIC_URI = f"/submit/foo/bar/1/{TID}"
VALID = b'{"exampleString":"string one"}'
MAIN = b'{"version":4,"clientId":"2907648d-711b-4e9f-94b5-52a2b40a44b1"}'
RECEIVED_NS = 1_530_000_000_123_456_789
SOURCE = TopicPartition("raw", 3)
OFFSET = 41
PEER, CLIENT = "198.51.100.77", "203.0.113.99"

FIREFOX_59 = "Mozilla/5.0 (X11; Linux x86_64; rv:59.0) Gecko/20100101 Firefox/59.0"

SCHEMAS = Path(__file__).parent / "schemas"


def raw(
    body: bytes = VALID,
    uri: str | None = GENERIC_URI,
    *,
    args: str | None = None,
    headers: dict[str, str] | None = None,
    peer: str | None = PEER,
    forwarded: str | None = None,
    received_ns: int = RECEIVED_NS,
) -> bytes:
    """A raw message in the edge's order of fields."""
    texts = {
        "remote_addr": peer,
        "uri": uri,
        "args": args,
        "protocol": "HTTP/1.1",
        **(headers or {}),
        "X-Forwarded-For": forwarded,
    }
    fields = [Field(name, (value,)) for name, value in texts.items() if value is not None]
    fields.append(Field("content", (body,), BYTES))
    return message.encode(Message(bytes(range(16)), received_ns, "raw", "moz_ingest", hostname="edge-1", fields=fields))


def zipped(body: bytes) -> bytes:
    return gzip.compress(body, 6, mtime=0)


def open_geo(clock: Clock | None = None, **settings: Any) -> Geo:
    return Geo(GeoSettings(**settings), clock or ManualClock(), Events("decoder", StringIO()))


def open_decoder(geo: Geo | None = None, **settings: Any) -> Decoder:
    return Decoder(Registry.load([SCHEMAS]), geo or open_geo(), DecoderSettings(**settings))


@cache
def shared_decoder() -> Decoder:
    return open_decoder()


def decode(record: bytes, decoder: Decoder | None = None) -> Document | Failure:
    """What a decoder makes of a record."""
    return (decoder or shared_decoder()).decode(record, SOURCE, OFFSET)


def accepted(record: bytes, decoder: Decoder | None = None) -> Document:
    outcome = decode(record, decoder)
    assert isinstance(outcome, Document), outcome
    return outcome


def refused(record: bytes, decoder: Decoder | None = None) -> Failure:
    outcome = decode(record, decoder)
    assert isinstance(outcome, Failure), outcome
    return outcome
