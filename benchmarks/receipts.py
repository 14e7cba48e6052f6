# ruff: noqa: T201
"""How long a receipt takes on a home with millions of documents.

Makes such a home without an edge: ids in the window, rows in a table and in `monitoring.errors` over 20 hours, raw
records for some of them, and a backlog that no loader has taken; then asks for receipts of each kind, in this process
and by the command.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import orjson
import pyarrow as pa

from catchment import message
from catchment.ingestion.decoder.failure import ERRORS_TABLE
from catchment.ingestion.deduplication import DIRECTORY, DeduplicationSettings, Deduplicator, Sighting, doctype_hash
from catchment.ingestion.loader.failures import SCHEMA
from catchment.ingestion.loader.loop import GROUP
from catchment.lake.commit import Span
from catchment.log.port import TopicPartition
from catchment.platform import Platform

RAW = TopicPartition("raw", 0)
SAMPLES = 20
HOURS = 20
DOCTYPE = "mystery"
BODY = orjson.dumps({"version": 4, "payload": "x" * 900})


def record(document_id: str, time_ns: int) -> bytes:
    uri = f"/submit/telemetry/{document_id}/{DOCTYPE}/App/1.0/release/20260101"
    fields = [message.Field("uri", (uri,)), message.Field("content", (BODY,), message.BYTES)]
    return message.encode(message.Message(uuid.uuid4().bytes, time_ns, "raw", "moz_ingest", fields=fields))


def append(platform: Platform, payloads: list[bytes]) -> None:
    writer = platform.log().open_writer(RAW)
    for start in range(0, len(payloads), 1000):
        writer.append(payloads[start : start + 1000])
    writer.close()


def rows_of(ids: list[str], times_ns: list[int], schema: pa.Schema | None) -> pa.Table:
    times = pa.array([time_ns // 1000 for time_ns in times_ns], pa.timestamp("us", tz="UTC"))
    known = {"submission_timestamp": times, "document_id": pa.array(ids)}
    if schema is None:
        return pa.table({**known, "client_id": pa.array(ids), "payload": pa.array([*map(str, times_ns)])})
    filled = {"code": ["json_invalid"] * len(ids), "step": ["json"] * len(ids), "payload": [BODY[:300]] * len(ids)}
    known |= {name: pa.array(values, schema.field(name).type) for name, values in filled.items()}
    known["source"] = pa.array(["raw/0"] * len(ids))
    return pa.table(
        [known.get(field.name, pa.nulls(len(ids), field.type)) for field in schema],
        schema=schema,
    )


def commit(platform: Platform, table: str, ids: list[str], begin_ns: int, schema: pa.Schema | None) -> None:
    """The ids over HOURS hours in 20 commits."""
    count = len(ids) // 20
    lake = platform.lake()
    for number in range(20):
        part = ids[number * count : (number + 1) * count]
        step_ns = HOURS * 3_600 * 10**9 // len(ids)
        times_ns = [begin_ns + (number * count + at) * step_ns for at in range(count)]
        rows = rows_of(part, times_ns, schema)
        lake.ensure(table, rows.schema)
        before = lake.offsets(table).get(str(RAW))
        lake.commit(table, rows, {str(RAW): Span(before, (before or 0) + count)})


def timed_ms(ask: object, ids: list[str]) -> float:
    assert callable(ask)
    times = []
    for document_id in ids:
        started = time.perf_counter()
        ask(document_id)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=2_000_000, help="ids in the window, and rows of the table")
    parser.add_argument("--errors", type=int, default=500_000, help="rows of monitoring.errors")
    parser.add_argument("--waiting", type=int, default=100_000, help="raw records that wait for a loader")
    options = parser.parse_args()
    draw = random.Random(1)
    with tempfile.TemporaryDirectory() as directory:
        os.environ["CATCHMENT_HOME__PATH"] = str(Path(directory) / "home")
        os.environ["CATCHMENT_LOG__MIN_FREE_BYTES"] = "0"
        platform = Platform.from_file(None)
        platform.log().create("raw", 1)
        begin_ns = platform.clock.time_ns() - HOURS * 3_600 * 10**9
        ids, failed = (
            [str(uuid.UUID(int=draw.getrandbits(128), version=4)) for _ in range(count)]
            for count in (options.documents, options.errors)
        )
        step_ns = HOURS * 3_600 * 10**9 // len(ids)
        times_ns = [begin_ns + number * step_ns for number in range(len(ids))]
        known = [number * (len(ids) // SAMPLES) for number in range(SAMPLES)]
        append(platform, [record(ids[number], times_ns[number]) for number in known])
        places = {number: at for at, number in enumerate(known)}
        hashed = doctype_hash("telemetry", DOCTYPE)
        deduplicator = Deduplicator(
            platform.home / DIRECTORY, DeduplicationSettings(), platform.clock, platform.events("bench")
        )
        for start in range(0, len(ids), 2000):
            deduplicator.mark(
                [
                    Sighting(
                        uuid.UUID(ids[number]).bytes + hashed,
                        times_ns[number],
                        0,
                        0,
                        places.get(number, 10**9 + number),
                    )
                    for number in range(start, min(start + 2000, len(ids)))
                ]
            )
        deduplicator.close()
        commit(platform, "telemetry.unregistered", ids, begin_ns, None)
        commit(platform, ERRORS_TABLE, failed, begin_ns, SCHEMA)
        consumer = platform.log().open_consumer(GROUP, ["raw"])
        assert consumer.poll(SAMPLES, 1 << 20, 10.0) is not None
        consumer.commit({RAW: SAMPLES})
        consumer.close()
        waiting = [str(uuid.uuid4()) for _ in range(options.waiting)]
        append(platform, [record(document_id, platform.clock.time_ns()) for document_id in waiting])
        receipts = platform.receipts()

        def ask(outcome: str, stage: str, document_id: str) -> None:
            found, _ = receipts.find(document_id)
            assert [(one.outcome, one.stage) for one in found] == ([(outcome, stage)] if outcome else []), found

        figures = {
            "stored_ms": timed_ms(lambda name: ask("document", "stored", name), [ids[number] for number in known]),
            "error_ms": timed_ms(lambda name: ask("error", "stored", name), failed[: 20 * SAMPLES : 20]),
            "waiting_ms": timed_ms(lambda name: ask("waiting", "accepted", name), waiting[:: len(waiting) // 5]),
            "unknown_ms": timed_ms(lambda name: ask("", "", name), [str(uuid.uuid4()) for _ in range(5)]),
            "command_ms": timed_ms(
                lambda name: subprocess.run(
                    [sys.executable, "-m", "catchment", "receipt", name], check=True, capture_output=True
                ),
                [ids[number] for number in known[:5]],
            ),
        }
    print(f"{len(ids):,} documents, {len(failed):,} errors, {len(waiting):,} waiting, medians:")
    for name, value in figures.items():
        print(f"  {name:12} {value:8.0f}")
    print(" ".join(f"receipt_{name}={value:.0f}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
