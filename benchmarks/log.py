"""What the embedded log costs: appends, scans, seeks, wake-ups, and the price of `submit` to its caller.

Runs in a temporary folder below `--folder` (its disk is the one measured) and removes it. `floor` rows do the same work
with bare `write` and `fdatasync` to a growing file, `zeros` rows with bare durable writes over zeros, as the log does
once its next segment is prepared: the distance to them is what the log adds. Rounds alternate; medians are shown.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

from catchment.clock import SystemClock
from catchment.events import Events
from catchment.log.open import open_log
from catchment.log.port import Log, TopicPartition
from catchment.log.settings import LogSettings

RAW = TopicPartition("raw", 0)
MANY = 1 << 30


@contextmanager
def fresh_log(folder: Path) -> Iterator[Log]:
    with tempfile.TemporaryDirectory(dir=folder) as home:
        log = open_log(LogSettings(), Path(home), SystemClock(), Events("benchmark", io.StringIO()))
        log.create("raw", 1)
        try:
            yield log
        finally:
            log.close()


def appended(folder: Path, size: int, count: int, seconds: float) -> float:
    """Records a second, one batch after the other."""
    batch = [os.urandom(size) for _ in range(count)]
    with fresh_log(folder) as log:
        writer = log.open_writer(RAW)
        return rate(lambda: writer.append(batch), count, seconds)


def bare(folder: Path, size: int, count: int, seconds: float) -> float:
    """The same bytes by one write and one fdatasync a batch, to a growing file."""
    content = os.urandom((size + 8) * count)
    with tempfile.TemporaryFile(dir=folder) as file:

        def act() -> None:
            os.write(file.fileno(), content)
            os.fdatasync(file.fileno())

        return rate(act, count, seconds)


def bare_over_zeros(folder: Path, size: int, count: int, seconds: float) -> float:
    """The same bytes by one durable write a batch, over zeros that are on the disk, round and round in one segment."""
    content = os.urandom((size + 8) * count)
    places = cycle(range(0, LogSettings().segment_bytes - len(content), len(content)))
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(LogSettings().segment_bytes))
        file.flush()
        os.fsync(file.fileno())
        return rate(lambda: os.pwritev(file.fileno(), [content], next(places), os.RWF_DSYNC), count, seconds)


def submitted(folder: Path, size: int, count: int, depth: int, seconds: float) -> tuple[float, float]:
    """Records a second with `depth` batches on their way, and microseconds of a `submit` call."""
    batch = [os.urandom(size) for _ in range(count)]
    places = threading.Semaphore(depth)
    calls: list[float] = []
    with fresh_log(folder) as log:
        writer = log.open_writer(RAW)

        def act() -> None:
            places.acquire()
            started = time.perf_counter()
            writer.submit(batch, lambda answer: places.release())
            calls.append(time.perf_counter() - started)

        speed = rate(act, count, seconds)
        writer.append([])
    return speed, statistics.median(calls) * 1e6


def rate(act: Callable[[], object], count: int, seconds: float) -> float:
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        act()
        done += count
    return done / elapsed


def scanned(folder: Path, size: int, total: int) -> tuple[float, float]:
    """Records a second of a scan from the page cache, and seconds of one seek to the last record."""
    with fresh_log(folder) as log:
        writer = log.open_writer(RAW)
        batch = [os.urandom(size)] * 1000
        for _ in range(total // 1000):
            writer.append(batch)
        reader = log.open_reader(RAW, 0)
        started, found = time.perf_counter(), 0
        while records := reader.read(1000, MANY, 0):
            found += len(records)
        speed = found / (time.perf_counter() - started)
        reader.seek(found - 1)
        started = time.perf_counter()
        assert len(reader.read(10, MANY, 0)) == 1
        return speed, time.perf_counter() - started


def woken(folder: Path, count: int) -> tuple[float, float]:
    """Median seconds from the start of an append to its answer, and to the return of a reader that waited for it."""
    answers: list[float] = []
    returns: list[float] = []
    waiting, returned = threading.Semaphore(0), threading.Semaphore(0)
    with fresh_log(folder) as log:
        writer, reader = log.open_writer(RAW), log.open_reader(RAW, 0)

        def read() -> None:
            for _ in range(count):
                waiting.release()
                reader.read(1, MANY, 10)
                returns.append(time.perf_counter())
                returned.release()

        thread = threading.Thread(target=read)
        thread.start()
        starts = []
        for _ in range(count):
            waiting.acquire()
            time.sleep(0.002)  # so that the reader sleeps too
            starts.append(time.perf_counter())
            writer.append([bytes(1000)])
            answers.append(time.perf_counter())
            returned.acquire()
        thread.join()
    after = [end - start for start, end in zip(starts, answers, strict=True)]
    woke = [end - start for start, end in zip(starts, returns, strict=True)]
    return statistics.median(after), statistics.median(woke)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for size, count in ((1024, 50), (1024, 250), (10_240, 50), (10_240, 250)):
            name = f"{size}x{count}"
            rows.setdefault(f"floor_{name}", []).append(bare(options.folder, size, count, options.seconds))
            rows.setdefault(f"zeros_{name}", []).append(bare_over_zeros(options.folder, size, count, options.seconds))
            rows.setdefault(f"append_{name}", []).append(appended(options.folder, size, count, options.seconds))
        speed, call_us = submitted(options.folder, 1024, 50, 16, options.seconds)
        rows.setdefault("submit_1024x50_depth16", []).append(speed)
        rows.setdefault("submit_call_us", []).append(call_us)
        speed, seek_s = scanned(options.folder, 1024, 200_000)
        rows.setdefault("scan_1024", []).append(speed)
        rows.setdefault("seek_s", []).append(seek_s)
        answered_s, woken_s = woken(options.folder, 200)
        rows.setdefault("append_to_answer_us", []).append(answered_s * 1e6)
        rows.setdefault("append_to_reader_us", []).append(woken_s * 1e6)
    medians = {name: statistics.median(values) for name, values in rows.items()}
    for name, value in medians.items():
        print(f"{name:28} {value:14,.3f}   ({min(rows[name]):,.3f} to {max(rows[name]):,.3f})")  # noqa: T201
    print(" ".join(f"{name}={value:.6g}" for name, value in medians.items()))  # noqa: T201


if __name__ == "__main__":
    main()
