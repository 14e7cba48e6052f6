# ruff: noqa: T201
"""What the decoder does per second on one core: raw message in, encoded message for topic `decoded` out.

Pings are made as the edge would store them (gzip body, headers, an address), each with ids of its own. Where the real
schemas are at hand, they are cut from a real main ping and judged by the real schema; else they are made up for the
built-in schema of the same name. The table shows each step alone; the rate is of the whole chain, the median of many
short rounds, garbage collection off as in the loader.

    python -m benchmarks.decode            last line: decode_per_s_1k=… decode_per_s_46k=…
"""

from __future__ import annotations

import gc
import gzip
import os
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from io import StringIO
from pathlib import Path
from typing import Any

import orjson

from catchment import message
from catchment.clock import SystemClock
from catchment.document import Document
from catchment.events import Events
from catchment.ingestion import streams
from catchment.ingestion.decoder.body import gunzip, parse
from catchment.ingestion.decoder.chain import BLOCK, Decoder, annotate, blocks
from catchment.ingestion.decoder.geo import NOWHERE, Geo
from catchment.ingestion.decoder.settings import DecoderSettings, GeoSettings
from catchment.ingestion.decoder.submission import unwrap
from catchment.ingestion.decoder.uri import read_uri
from catchment.log.port import Record, TopicPartition
from catchment.message import BYTES, Field, Message
from catchment.schemas.registry import BUILTIN, Registry, Schema

SHARED = Path(os.environ.get("CATCHMENT_SHARED_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
SIZES = {"1k": (1_000, 4_000), "46k": (46_000, 640)}
ROUNDS, ROUNDS_OF = 8, 20
SOURCE = TopicPartition("raw", 0)
LIMIT = 8 * 1024 * 1024
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"


def open_schemas() -> tuple[Registry, str]:
    real = SHARED / "pipeline-schemas" / "schemas"
    root = real if real.is_dir() else BUILTIN
    return Registry.load([root]), "real" if real.is_dir() else "built-in"


def cut_ping(size: int, schema: Schema) -> dict[str, Any]:
    """A valid main ping of about `size` bytes: the real sample, sections of the payload left out while it is longer."""
    sample = SHARED / "pipeline-schemas" / "validation" / "telemetry" / "main.4.sample.pass.json"
    small = sample.with_name("main.4.intl_alldata.pass.json")
    if not sample.exists():
        return grown_ping(size, schema)
    ping: dict[str, Any] = orjson.loads((small if size < 2_000 else sample).read_bytes())
    for path in sorted(sections(ping.get("payload", {})), reverse=True):
        if len(orjson.dumps(ping)) <= size:
            break
        parent = ping["payload"]
        for name in path[:-1]:
            parent = parent[name]
        kept = parent.pop(path[-1])
        if schema.violation(ping) is not None:
            parent[path[-1]] = kept
    return ping


def sections(node: dict[str, Any], path: tuple[str, ...] = ()) -> Iterable[tuple[str, ...]]:
    for name, value in node.items():
        if isinstance(value, dict) and len(orjson.dumps(value)) > 1_500:
            yield from sections(value, (*path, name))
        else:
            yield (*path, name)


def grown_ping(size: int, schema: Schema) -> dict[str, Any]:
    """A made-up main ping with as many histograms as fit."""
    histograms: dict[str, Any] = {}
    ping: dict[str, Any] = {
        "version": 4,
        "type": "main",
        "id": str(uuid.uuid4()),
        "creationDate": "2026-11-23T08:00:00.000Z",
        "clientId": str(uuid.uuid4()),
        "application": {"buildId": "20261101000000", "channel": "release", "name": "Firefox", "version": "153.0"},
        "environment": {"system": {"os": {"name": "Windows_NT", "version": "10.0"}}},
        "payload": {"histograms": histograms},
    }
    while len(orjson.dumps(ping)) < size:
        values = {str(bucket): bucket * 7 for bucket in range(12)}
        histograms[f"PROBE_{len(histograms)}"] = {
            "range": [1, 1000],
            "bucket_count": 50,
            "histogram_type": 0,
            "values": values,
            "sum": 462,
        }
    violation = schema.violation(ping)
    if violation is not None:
        sys.exit(f"the made-up ping breaks the schema: {violation.detail}")
    return ping


def raw(ping: dict[str, Any], number: int) -> bytes:
    """The message in which the edge would store the ping."""
    document_id = str(uuid.uuid4())
    body = gzip.compress(orjson.dumps({**ping, "id": document_id, "clientId": str(uuid.uuid4())}), 6)
    texts = {
        "remote_addr": "10.0.0.1",
        "uri": f"/submit/telemetry/{document_id}/main/Firefox/61.0a1/nightly/20180328030202",
        "args": "v=4",
        "protocol": "HTTP/1.1",
        "Content-Length": str(len(body)),
        "Date": "Mon, 23 Nov 2026 04:41:28 GMT",
        "Host": "telemetry.example.org",
        "User-Agent": AGENT,
        "X-Forwarded-For": f"198.51.{number >> 8 & 255}.{number & 255}",
    }
    fields = [Field(name, (text,)) for name, text in texts.items()]
    return message.encode(
        Message(
            os.urandom(16),
            time.time_ns(),
            "raw",
            "moz_ingest",
            hostname="edge-1",
            fields=[*fields, Field("content", (body,), BYTES)],
        )
    )


def cost_us(step: Callable[[Any], object], items: list[Any]) -> float:
    """Median µs of processor time an item over many short rounds; so a busy machine disturbs less."""
    share = max(len(items) // ROUNDS_OF, 1)
    costs = []
    for _ in range(ROUNDS):
        for start in range(0, share * ROUNDS_OF, share):
            part = items[start : start + share]
            began = time.thread_time()
            for item in part:
                step(item)
            costs.append((time.thread_time() - began) / len(part))
    return statistics.median(costs) * 1e6


def measure(decoder: Decoder, schema: Schema, records: list[bytes]) -> tuple[float, dict[str, float]]:
    """µs a ping of the whole chain with encoding, and of each step alone."""

    def chain(batch: list[Record]) -> None:
        for block in blocks(batch):  # as the loader does: a whole batch is never held
            for outcome in decoder.decode_batch(block, SOURCE):
                assert isinstance(outcome, Document), outcome
                streams.encode_document(outcome, SOURCE, 7)

    batches = [[Record(7, record) for record in records[at : at + BLOCK]] for at in range(0, len(records), BLOCK)]
    whole = cost_us(chain, [batch for batch in batches if len(batch) == BLOCK]) / BLOCK
    documents = [outcome for record in records if isinstance(outcome := decoder.decode(record, SOURCE, 7), Document)]
    submissions = [found[0] for record in records if isinstance(found := unwrap(record), tuple)]
    named = read_uri(submissions[0].uri)
    assert isinstance(named, tuple)
    route, document_id = named
    pairs = list(zip(submissions, documents, strict=True))
    return whole, {
        "unwrap": cost_us(unwrap, records),
        "uri": cost_us(lambda submission: read_uri(submission.uri), submissions),
        "gunzip": cost_us(lambda submission: gunzip(submission.body, LIMIT), submissions),
        "json": cost_us(lambda document: parse(document.body), documents),
        "  (orjson.loads alone)": cost_us(lambda document: orjson.loads(document.body), documents),
        "schema": cost_us(lambda document: schema.violation(document.content), documents),
        "metadata": cost_us(
            lambda pair: annotate(pair[0], NOWHERE, route, document_id, 4, pair[1].body, pair[1].content), pairs
        ),
        "encode": cost_us(lambda document: streams.encode_document(document, SOURCE, 7), documents),
    }


def main() -> str:
    """Print the table; the line of figures."""
    registry, origin = open_schemas()
    schema = registry.find("telemetry", "main", 4)
    if schema is None:
        sys.exit("there is no schema telemetry/main/4; set CATCHMENT_SHARED_DATA")
    geo = Geo(GeoSettings(), SystemClock(), Events("benchmark", StringIO()))
    decoder = Decoder(registry, geo, DecoderSettings())
    print(f"schema: {origin} main.4; processor time of one core, median of {ROUNDS * ROUNDS_OF} rounds, collector off")
    summary = []
    for name, (size, count) in SIZES.items():
        ping = cut_ping(size, schema)
        records = [raw(ping, number) for number in range(count)]
        gc.collect()
        gc.freeze()
        gc.disable()
        whole, steps = measure(decoder, schema, records)
        gc.enable()
        print(f"\n{name}: {len(orjson.dumps(ping)):,} bytes of JSON, {len(records[0]):,} bytes of message")
        for step, cost in steps.items():
            print(f"  {step:24} {cost:8.1f} µs  {cost / whole:6.1%}")
        print(f"  {'whole chain':24} {whole:8.1f} µs  {1e6 / whole:,.0f}/s")
        summary.append(f"decode_per_s_{name}={1e6 / whole:.0f}")
    return " ".join(summary)


if __name__ == "__main__":
    print("\n" + main())
