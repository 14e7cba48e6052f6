# ruff: noqa: T201
"""What it costs to turn pings into Arrow columns, five ways; to make the tables of all schemas; to flush main pings.

**Ways.** `c loop` and `python loop` are Catchment's own (`lake/gatherer.py`): they take parsed pings, check every
value and keep what has no column. `from_pylist` renames the keys of each parsed ping and lets pyarrow make the table;
it checks nothing and keeps nothing else. `duckdb` (`from_json`) and `pyarrow.json` take JSON text, so parsing is in
their time, and the column `with parsing` adds orjson to the others. What each of them loses is printed below the table.
Rounds alternate. As in the loader, pings are parsed in blocks of 32 just before they are appended and the collector is
off.

**Tables**: every schema is read, made into a shape and a table of a new lake. **Flush**: 500 main pings, parsed, into
columns and committed to the lake (columns, Parquet, commit; the second of two flushes, so that nothing is made for the
first time), of 46 KB and as long as they come; memory is how much the resident set of a fresh process grew at most.

The machine may be busy: all times are processor time of this process, in seconds, all threads (a flush waits for the
disk besides).

    python -m benchmarks.columns
        last line: columns_mb_s_46k=… columns_rows_s_1k=… create_175_s=… flush_500_main_s=… flush_500_main_mb=…
"""

from __future__ import annotations

import argparse
import gc
import io
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import duckdb
import psutil
import pyarrow as pa

from benchmarks.column_ways import WAYS, cases, document, main_schema, parsing, with_own_ids
from benchmarks.decode import cut_ping, open_schemas
from catchment.clock import SystemClock
from catchment.events import Events
from catchment.lake.columns import Columns, row_schema
from catchment.lake.commit import Span
from catchment.lake.open import open_lake
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.lake.tables import Lake

FLUSHED = 500
WHOLE = 1_000_000
"""More bytes than the longest main ping at hand has."""


def compare(rounds: int) -> dict[str, float]:
    """Print the ways side by side; seconds of the best of ours for each case."""
    print(f"{'ping':13}{'bytes':>8}  {'way':14}{'µs a ping':>11}{'with parsing':>14}{'MB/s':>8}{'rows/s':>10}")
    best = {}
    for name, case in cases().items():
        spent: dict[str, list[float]] = {way: [] for way in WAYS}
        parses: list[float] = []
        refused: dict[str, str] = {}
        for way, (measure, _) in WAYS.items():
            try:
                measure(case)  # compiled, and the memory is there
            except (pa.ArrowException, duckdb.Error) as error:
                refused[way] = str(error).splitlines()[0][:80]
        gc.collect()
        gc.freeze()
        gc.disable()
        for number in range(rounds):
            parses.append(parsing(case))
            order = [way for way in WAYS if way not in refused]
            for way in order if number % 2 else reversed(order):
                spent[way].append(WAYS[way][0](case))
        gc.enable()
        gc.unfreeze()
        count, size = len(case.bodies), case.size_bytes
        parse_s = statistics.median(parses)
        for way, (_, includes_parsing) in WAYS.items():
            if way in refused:
                print(f"{name:13}{size // count:8,}  {way:14}refused the pings: {refused[way]}")
                continue
            own_s = statistics.median(spent[way])
            whole_s = own_s if includes_parsing else own_s + parse_s
            shown = "" if includes_parsing else f"{own_s / count * 1e6:.1f}"
            took_s = whole_s if includes_parsing else own_s
            print(
                f"{name:13}{size // count:8,}  {way:14}{shown:>11}{whole_s / count * 1e6:14.1f}"
                f"{size / took_s / 1e6:8.0f}{count / took_s:10,.0f}"
            )
        best[name] = statistics.median(spent[next(iter(WAYS))])
        best[f"{name}_mb_s"] = size / best[name] / 1e6
        best[f"{name}_rows_s"] = count / best[name]
    print(
        "\nLost: from_pylist, duckdb and pyarrow.json drop every key without a column. duckdb makes NULL of what does"
        "\nnot fit and takes `a` and `A` for one key; of a wrong type, one value ends the batch of pyarrow.json, which"
        "\nhas no maps, no tuples and no JSON text either: of a main ping that is most of it.\n"
    )
    return best


def new_lake(home: str) -> Lake:
    return open_lake(
        CatalogSettings(), ObjectsSettings(), Path(home), SystemClock(), Events("benchmark", io.StringIO())
    )


def create_all() -> tuple[int, float]:
    """Tables, and seconds of reading all schemas and making their tables."""
    with tempfile.TemporaryDirectory() as home:
        lake = new_lake(home)
        began = time.process_time()
        schemas = open_schemas()[0].all()
        for schema in schemas:
            lake.ensure(schema.table, row_schema(schema.shape))
        spent_s = time.process_time() - began
        assert len(lake.tables()) == len(schemas)
        lake.close()
    return len(schemas), spent_s


def flush(size: int) -> None:
    """In a process of its own: bytes of a ping, seconds and MB of the second flush of 500 main pings."""
    schema = main_schema()
    ping = cut_ping(size, schema)
    bodies = [with_own_ids(ping) for _ in range(FLUSHED)]
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as home:
        lake = new_lake(home)
        lake.ensure(schema.table, row_schema(schema.shape))
        columns = Columns(schema.shape, table=schema.table)
        gc.collect()
        gc.disable()
        spent, grown = [], []
        for number in range(2):
            before = process.memory_info().rss
            with Peak(process) as peak:
                began_s, began_wall_s = time.process_time(), time.monotonic()
                for body in bodies:
                    columns.append(document(schema, body))
                rows = columns.take()
                lake.ensure(schema.table, rows.schema)
                at = number * FLUSHED
                lake.commit(schema.table, rows, {"raw/0": Span(at or None, at + FLUSHED)})
                spent.append((time.process_time() - began_s, time.monotonic() - began_wall_s))
            grown.append((peak.bytes - before) / 1e6)
        assert lake.describe(schema.table).rows == 2 * FLUSHED
        lake.close()
    print(len(bodies[0]), spent[1][0], spent[1][1], max(grown))


def flushed(size: int) -> tuple[float, float]:
    """Print what `flush` finds; its seconds of processor time and MB."""
    command = [sys.executable, "-m", "benchmarks.columns", "--flush", str(size)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    bytes_, spent_s, wall_s, grown_mb = map(float, ran.stdout.split())
    print(
        f"{FLUSHED} main pings of {bytes_ / 1000:.0f} KB flushed: {spent_s:.2f} s of processor, {wall_s:.2f} s by the "
        f"wall clock, {grown_mb:.0f} MB"
    )
    return spent_s, grown_mb


class Peak:
    """The greatest resident set of a process while the block runs, seen every 2 ms."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.bytes = 0

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.002):
            self.bytes = max(self.bytes, self._process.memory_info().rss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of each way; the median counts")
    parser.add_argument("--flush", type=int, metavar="BYTES", help="only flush pings of about this size, at most")
    arguments = parser.parse_args()
    if arguments.flush:
        flush(arguments.flush)
        return
    print(f"{open_schemas()[1]} schemas; processor time, median of {arguments.rounds} rounds, collector off\n")
    best = compare(arguments.rounds)
    tables, create_s = create_all()
    print(f"{tables} schemas read and their tables made: {create_s:.2f} s")
    flush_s, flush_mb = flushed(46_000)
    flushed(WHOLE)
    print()
    print(
        f"columns_mb_s_46k={best['46k_mb_s']:.0f} columns_rows_s_1k={best['1k_rows_s']:.0f} "
        f"create_175_s={create_s * 175 / tables:.2f} flush_500_main_s={flush_s:.2f} flush_500_main_mb={flush_mb:.0f}"
    )


if __name__ == "__main__":
    main()
