"""What remembering document ids costs with a full window: µs a look-up for new ids and for repeats, memory, disk.

    fill      `--ids` new ids whose receipt times spread over one window, in large batches and as fast as it goes, which
              keeps the disk busy as no day's traffic does; then it is waited for, so that every page is clean and the
              first write to it costs what it costs on a running platform
    new       the next ids, behind the fill: what a running platform pays for each ping
    repeat    ids drawn at random from the whole window, received now by another record
    rebuild   the tables made anew from the journals, as after a crash of the machine

New ids and repeats are marked in batches as the loader marks them, and synced every 64 MiB of raw bytes, as its flushes
do. `us` is the clock's time, `cpu_us` the processor's, for a machine that has other work too. `rss` is anonymous memory
of the process; `index` is what should stay in the page cache beside it, `file` all that is on the disk, journals too.
`--folder` chooses the disk; what is made there is removed at the end.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from catchment.clock import ManualClock
from catchment.events import Events
from catchment.ingestion.deduplication import DeduplicationSettings, Deduplicator, Sighting

START_NS = 1_790_000_000_000_000_000
RAW_BYTES, FLUSH_BYTES = 1024, 64 * 1024 * 1024
DOCTYPE = b"telmain4"
SCRAMBLE = 0xC2B2AE3D27D4EB4F165667B19E3779F9
FILL_BATCH = 2000


class Ids:
    """The n-th id of the run, and a batch of them as sightings of one partition."""

    def __init__(self, count: int, window_ns: int) -> None:
        self._step_ns = window_ns // count

    def batch(self, numbers: list[int], offset: int, at_number: int | None = None) -> list[Sighting]:
        """At their own times, or all when `at_number` comes."""
        return [
            Sighting(
                self._key(number),
                START_NS + (number if at_number is None else at_number) * self._step_ns,
                7,
                0,
                offset + at,
            )
            for at, number in enumerate(numbers)
        ]

    def _key(self, number: int) -> bytes:
        return (number * SCRAMBLE % (1 << 128)).to_bytes(16, "little") + DOCTYPE


class Marking:
    """Marks batches and adds up the time that this takes, syncs included."""

    def __init__(self, ids: Deduplicator) -> None:
        self._ids = ids
        self._since_sync = 0
        self.seconds = self.cpu_seconds = 0.0
        self.marked = 0

    def mark(self, sightings: list[Sighting], are_repeats: bool) -> None:
        started, started_cpu = time.perf_counter(), time.process_time()
        outcomes = self._ids.mark(sightings)
        self._since_sync += len(sightings)
        if self._since_sync * RAW_BYTES >= FLUSH_BYTES:
            self._ids.sync()
            self._since_sync = 0
        self.seconds += time.perf_counter() - started
        self.cpu_seconds += time.process_time() - started_cpu
        self.marked += len(sightings)
        assert sum(outcome is not None for outcome in outcomes) == are_repeats * len(outcomes)

    def us(self) -> tuple[float, float]:
        """µs a document since the last call: of the clock, of the processor."""
        each = 1e6 / max(self.marked, 1)
        found = self.seconds * each, self.cpu_seconds * each
        self.seconds, self.cpu_seconds, self.marked = 0.0, 0.0, 0
        return found


def batches(start: int, end: int, size: int) -> Iterator[list[int]]:
    for first in range(start, end, size):
        yield list(range(first, min(first + size, end)))


def anonymous_mb() -> float:
    """Memory of this process that is no page of a file."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024 / 1e6


def disk_mb(folder: Path, name: str = "*") -> float:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob(name) if path.is_file()) / 1e6


def clean(folder: Path) -> None:
    """Wait until the disk has all of it."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def opened(folder: Path, settings: DeduplicationSettings) -> Deduplicator:
    return Deduplicator(folder, settings, ManualClock(START_NS), Events("benchmark", io.StringIO()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ids", type=int, default=2_000_000, help="ids in the window (the target: 50,000,000)")
    parser.add_argument("--batch", type=int, default=128, help="ids marked at once; the loader's 128 KiB of raw bytes")
    parser.add_argument("--folder", type=Path, help="on whose disk the ids are kept (default: the temporary one)")
    options = parser.parse_args()
    gc.disable()  # as in the loader
    probes = max(options.ids // 50, 10_000)
    settings = DeduplicationSettings()
    window_ns = round(settings.window_h * 3_600e9)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        base_mb = anonymous_mb()
        deduplicator = opened(folder, settings)
        ids, marking = Ids(options.ids, window_ns), Marking(deduplicator)
        offset, tenth = 0, max(options.ids // 10, 1)
        for numbers in batches(0, options.ids, FILL_BATCH):
            marking.mark(ids.batch(numbers, offset), are_repeats=False)
            offset += len(numbers)
            if offset % tenth < len(numbers):
                us, cpu_us = marking.us()
                told = f"{us:6.2f} µs each, {cpu_us:6.2f} of the processor"
                print(f"{offset:>12,} ids   {told}   {disk_mb(folder):8,.0f} MB", flush=True)  # noqa: T201
        clean(folder)
        marking.us()
        for numbers in batches(options.ids, options.ids + probes, options.batch):
            marking.mark(ids.batch(numbers, offset), are_repeats=False)
            offset += len(numbers)
        new_us, new_cpu_us = marking.us()
        clean(folder)
        draw = random.Random(options.ids)
        for numbers in batches(0, probes, options.batch):
            drawn = [draw.randrange(probes, options.ids + probes) for _ in numbers]
            marking.mark(ids.batch(drawn, offset, options.ids + probes), are_repeats=True)
            offset += len(numbers)
        repeat_us, repeat_cpu_us = marking.us()
        deduplicator.sync()
        rss_mb, index_mb, file_mb = anonymous_mb() - base_mb, disk_mb(folder, "index"), disk_mb(folder)
        deduplicator.close()
        for boot in folder.glob("*/boot"):
            boot.write_text("another")
        started, started_cpu = time.perf_counter(), time.process_time()
        deduplicator = opened(folder, settings)
        deduplicator.mark(ids.batch([options.ids], offset))
        rebuild_s, rebuild_cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
        deduplicator.close()
    print(  # noqa: T201
        f"dedup_new_us={new_us:.2f} dedup_new_cpu_us={new_cpu_us:.2f} dedup_repeat_us={repeat_us:.2f} "
        f"dedup_repeat_cpu_us={repeat_cpu_us:.2f} dedup_rss_mb={max(rss_mb, 0.0):.0f} dedup_index_mb={index_mb:.0f} "
        f"dedup_file_mb={file_mb:.0f} dedup_rebuild_s={rebuild_s:.1f} dedup_rebuild_cpu_s={rebuild_cpu_s:.1f}"
    )


if __name__ == "__main__":
    main()
