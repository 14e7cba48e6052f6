# ruff: noqa: T201
"""What one loader does per second on one core: raw records in, committed typed tables out.

A raw partition is filled with main pings as the edge would store them (gzip, headers, an address; ids of their own),
and a loader with its default settings, its output topics, its document ids and its Iceberg commits reads it to the
end. The process is bound to one processor; rates are over its processor time, all threads counted, and the wall time
stands beside them. One ping has been decoded before: the rules for user agents, which a process reads once, would be a
twentieth of so short a load. The decode chain alone is measured in the same run, by `benchmarks.decode`.

    python -m benchmarks.loader
        last line: decode_per_s_1k=… decode_per_s_46k=… load_per_s_1k=… load_mb_s_46k=…
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import io
import os
import pstats
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks import decode
from catchment.clock import SystemClock
from catchment.document import Document
from catchment.events import Events
from catchment.ingestion.decoder.chain import Decoder
from catchment.ingestion.decoder.failure import Failure
from catchment.ingestion.decoder.geo import Geo
from catchment.ingestion.decoder.settings import DecoderSettings, GeoSettings
from catchment.ingestion.deduplication import DeduplicationSettings, Deduplicator
from catchment.ingestion.loader.loop import Loader
from catchment.ingestion.loader.settings import LoaderSettings
from catchment.lake.open import open_lake
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.log.open import open_log
from catchment.log.port import Log, Record, TopicPartition
from catchment.log.settings import LogSettings

SIZES = {"1k": (1_000, 60_000), "46k": (46_000, 4_000)}
DISTINCT = 400
"""Different pings in a run; each is stored with ids of its own."""


@dataclass(frozen=True, slots=True)
class Run:
    """One load: pings, bytes of JSON text, seconds of processor and wall time, and commits."""

    pings: int
    json_bytes: int
    cpu_s: float
    wall_s: float
    flushes: int


class CountingDecoder(Decoder):
    """Knows how many records it has seen, which is cheaper than asking the log whether there are more."""

    seen = 0

    def decode_batch(self, records: Sequence[Record], source: TopicPartition) -> list[Document | Failure]:
        self.seen += len(records)
        return super().decode_batch(records, source)


def fill(log: Log, ping: dict[str, Any], count: int) -> None:
    log.create("raw", 1)
    writer = log.open_writer(TopicPartition("raw", 0))
    for start in range(0, count, 500):
        writer.append([decode.raw(ping, number) for number in range(start, min(start + 500, count))])
    writer.close()


def load(size: int, count: int, profile: bool) -> Run:
    """Fill a partition and load it."""
    clock, events = SystemClock(), Events("benchmark", io.StringIO())
    registry, _ = decode.open_schemas()
    schema = registry.find("telemetry", "main", 4)
    assert schema is not None
    ping = decode.cut_ping(size, schema)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        home = Path(directory)
        log = open_log(LogSettings(min_free_bytes=0), home, clock, events)
        fill(log, ping, count)
        lake = open_lake(CatalogSettings(), ObjectsSettings(), home, clock, events)
        deduplicator = Deduplicator(home / "deduplication", DeduplicationSettings(), clock, events)
        decoder = CountingDecoder(registry, Geo(GeoSettings(), clock, events), DecoderSettings())
        flushes = 0

        def at(point: str) -> None:
            nonlocal flushes
            flushes += point == "group_committed"
            if point == "batch_handled" and decoder.seen == count:
                loader.stop()

        loader = Loader(LoaderSettings(), log, lake, registry, decoder, deduplicator, clock, events, at=at)
        decoder.decode(decode.raw(ping, 0), TopicPartition("raw", 0), 0)  # what a process does once: 0.2 s of rules
        decoder.seen = 0
        gc.collect()
        gc.freeze()
        profiler = cProfile.Profile() if profile else None
        cpu, wall = time.process_time(), time.perf_counter()
        if profiler:
            profiler.enable()
        loader.run()
        if profiler:
            profiler.disable()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        rows = lake.describe("telemetry.main_v4").rows
        assert rows == count, f"{rows} rows of {count} pings"
        deduplicator.close()
        log.close()
        if profiler:
            pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
    return Run(count, count * len(orjson.dumps(ping)), cpu, wall, flushes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="loads of each size; the median counts")
    parser.add_argument("--profile", choices=SIZES, help="profile one load of this size instead")
    options = parser.parse_args()
    os.sched_setaffinity(0, {0})
    if options.profile:
        size, count = SIZES[options.profile]
        load(size, count, profile=True)
        return
    decode_line = decode.main()
    columns = f"{'ping':6}{'pings':>9}{'flushes':>9}{'µs a ping':>11}{'pings/s':>10}{'JSON MB/s':>11}"
    print(f"\n{columns}{'wall pings/s':>14}")
    figures = []
    for name, (size, count) in SIZES.items():
        runs = sorted((load(size, count, profile=False) for _ in range(options.rounds)), key=lambda run: run.cpu_s)
        run = runs[len(runs) // 2]
        per_s, mb_s = run.pings / run.cpu_s, run.json_bytes / run.cpu_s / 1e6
        print(
            f"{name:6}{run.pings:9,}{run.flushes:9}{run.cpu_s / run.pings * 1e6:11.1f}{per_s:10,.0f}{mb_s:11.1f}"
            f"{run.pings / run.wall_s:14,.0f}"
        )
        figures.append(f"load_per_s_{name}={per_s:.0f}" if name == "1k" else f"load_mb_s_{name}={mb_s:.1f}")
    print(f"{decode_line} {' '.join(figures)}")


if __name__ == "__main__":
    main()
