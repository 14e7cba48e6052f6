# ruff: noqa: T201
"""What a replay does per second on one core, beside the loader in the same run.

A raw partition is filled with main pings, as in `benchmarks.loader`; a loader reads all of it, an archiver ships it,
and a replay decodes all of it again and replaces every row. One process bound to one processor, one after the other, so
each has the machine in the same state; rates are over processor time, of all threads.

    python -m benchmarks.replay      last line: replay_vs_loader=… replay_per_s_1k=… replay_mb_s_46k=…

`replay_vs_loader` is the lesser of the two sizes.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import io
import os
import pstats
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks import decode
from benchmarks.loader import CountingDecoder, fill
from catchment.clock import SystemClock
from catchment.events import Events
from catchment.ingestion.decoder.geo import Geo
from catchment.ingestion.decoder.settings import DecoderSettings, GeoSettings
from catchment.ingestion.deduplication import DeduplicationSettings, Deduplicator
from catchment.ingestion.landfill.archiver import GROUP, Archiver
from catchment.ingestion.landfill.settings import LandfillSettings
from catchment.ingestion.landfill.shelf import Landfill
from catchment.ingestion.loader.loop import Loader
from catchment.ingestion.loader.settings import LoaderSettings
from catchment.ingestion.replay.records import LandfillRecords
from catchment.ingestion.replay.run import Replay
from catchment.ingestion.replay.selection import Selection
from catchment.lake.open import open_lake
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.log.open import open_log
from catchment.log.port import TopicPartition
from catchment.log.settings import LogSettings
from catchment.objects.open import open_objects

SIZES = {"1k": (1_000, 40_000), "46k": (46_000, 3_000)}
TABLE = "telemetry.main_v4"
RAW = TopicPartition("raw", 0)


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds of processor time that loader, archiver and replay took for the same pings."""

    pings: int
    json_bytes: int
    loader_s: float
    archiver_s: float
    replay_s: float


def timed(work: Callable[[], object]) -> float:
    gc.collect()
    gc.freeze()
    started = time.process_time()
    work()
    return time.process_time() - started


def run(size: int, count: int, profile: bool = False) -> Run:
    clock, events = SystemClock(), Events("benchmark", io.StringIO())
    registry, _ = decode.open_schemas()
    schema = registry.find("telemetry", "main", 4)
    assert schema is not None
    ping = decode.cut_ping(size, schema)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        home = Path(directory)
        since_ns = time.time_ns()
        log = open_log(LogSettings(min_free_bytes=0), home, clock, events)
        fill(log, ping, count)
        lake = open_lake(CatalogSettings(), ObjectsSettings(), home, clock, events)
        geo = Geo(GeoSettings(), clock, events)
        decoder = CountingDecoder(registry, geo, DecoderSettings())
        deduplicator = Deduplicator(home / "deduplication", DeduplicationSettings(), clock, events)

        def stop_loader(point: str) -> None:
            if point == "batch_handled" and decoder.seen == count:
                loader.stop()

        loader = Loader(LoaderSettings(), log, lake, registry, decoder, deduplicator, clock, events, at=stop_loader)
        loader_s = timed(loader.run)
        deduplicator.close()
        landfill = Landfill(open_objects("file:objects", home))

        def stop_archiver(point: str) -> None:
            if point == "committed" and log.committed(GROUP, RAW) == count:
                archiver.stop()

        archiver = Archiver(LandfillSettings(object_age_s=1), "bench", log, landfill, clock, events, at=stop_archiver)
        archiver_s = timed(archiver.run)
        selection = Selection(since_ns, time.time_ns())
        replay = Replay(selection, home, log, lake, registry, decoder, DeduplicationSettings(), clock, events)
        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        replay_s = timed(lambda: replay.run(LandfillRecords(selection, landfill, log, "bench")))
        if profile:
            profiler.disable()
            pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
        rows = lake.describe(TABLE).rows
        assert rows == count, f"{rows} rows of {count} pings"
        log.close()
    return Run(count, count * len(orjson.dumps(ping)), loader_s, archiver_s, replay_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each size; the median counts")
    parser.add_argument("--profile", choices=SIZES, help="profile one replay of this size instead")
    options = parser.parse_args()
    os.sched_setaffinity(0, {0})
    if options.profile:
        run(*SIZES[options.profile], profile=True)
        return
    print(f"{'ping':6}{'pings':>9}{'loader/s':>11}{'archiver/s':>12}{'replay/s':>11}{'replay MB/s':>13}{'ratio':>8}")
    ratios, per_s, mb_s = [], {}, {}
    for name, (size, count) in SIZES.items():
        runs = [run(size, count) for _ in range(options.rounds)]
        loader, archiver, replay = (
            statistics.median(getattr(one, part) for one in runs) for part in ("loader_s", "archiver_s", "replay_s")
        )
        ratios.append(statistics.median(one.loader_s / one.replay_s for one in runs))
        per_s[name], mb_s[name] = count / replay, runs[0].json_bytes / replay / 1e6
        print(
            f"{name:6}{count:9,}{count / loader:11,.0f}{count / archiver:12,.0f}{per_s[name]:11,.0f}"
            f"{mb_s[name]:13.1f}{ratios[-1]:8.2f}"
        )
    figures = f"replay_per_s_1k={per_s['1k']:.0f} replay_mb_s_46k={mb_s['46k']:.1f}"
    print(f"replay_vs_loader={min(ratios):.2f} {figures}")


if __name__ == "__main__":
    main()
