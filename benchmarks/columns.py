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
first time); memory is how much the resident set of a fresh process grew at most.

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
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import orjson
import psutil
import pyarrow as pa
import pyarrow.json

from benchmarks.decode import SHARED, cut_ping, open_schemas
from catchment.clock import SystemClock
from catchment.document import Document
from catchment.events import Events
from catchment.lake.columns import Columns, row_schema
from catchment.lake.commit import Span
from catchment.lake.gatherer import HAS_COMPILED, CompiledGatherer, Gatherer, PlainGatherer
from catchment.lake.open import open_lake
from catchment.lake.places import arrow_type
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.lake.tables import Lake
from catchment.schemas.registry import Schema
from catchment.schemas.shape import Leaf, ListOf, MapOf, Property, Shape, Struct

BLOCK = 32
COUNTS = {"baseline_1k": 8_000, "1k": 8_000, "46k": 640}
FLUSHED = 500


@dataclass(frozen=True, slots=True)
class Case:
    """Pings of one schema, as JSON text."""

    schema: Schema
    bodies: list[bytes]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.bodies))

    def blocks(self) -> Iterator[list[Document]]:
        """The pings, parsed anew, a block when it is asked for."""
        for start in range(0, len(self.bodies), BLOCK):
            yield [document(self.schema, body) for body in self.bodies[start : start + BLOCK]]


def document(schema: Schema, body: bytes) -> Document:
    content = orjson.loads(body)
    return Document(
        schema.namespace,
        schema.doctype,
        schema.version,
        content.get("id", "0055fac4-8a1a-4fca-b380-ebfdc8571a01"),
        1_900_000_000_000_000_000,
        body,
        content,
        client_id=content.get("clientId"),
        sample_id=42,
        normalized_channel="release",
        normalized_os="Windows",
        normalized_country_code="DE",
        geo_country="DE",
        user_agent_browser="Firefox",
        header_host="telemetry.example.org",
    )


def main_schema() -> Schema:
    found = open_schemas()[0].find("telemetry", "main", 4)
    if found is None:
        sys.exit("there is no schema telemetry/main/4; set CATCHMENT_SHARED_DATA")
    return found


def cases() -> dict[str, Case]:
    main = main_schema()
    baseline = open_schemas()[0].find("firefox-desktop", "baseline", 1)
    if baseline is None:
        sys.exit("there is no schema firefox-desktop/baseline/1; set CATCHMENT_SHARED_DATA")
    pings = {
        "baseline_1k": (baseline, baseline_ping()),
        "1k": (main, cut_ping(1_000, main)),
        "46k": (main, cut_ping(46_000, main)),
    }
    found = {}
    for name, (schema, ping) in pings.items():
        violation = schema.violation(ping)
        if violation is not None:
            sys.exit(f"the {name} ping breaks its schema: {violation.detail}")
        found[name] = Case(schema, [with_own_ids(ping) for _ in range(COUNTS[name])])
    return found


def with_own_ids(ping: dict[str, Any]) -> bytes:
    own = {name: str(uuid.uuid4()) for name in ("id", "clientId") if name in ping}
    return orjson.dumps({**ping, **own})


def baseline_ping() -> dict[str, Any]:
    """What a real Firefox sent, where it is at hand, else one made up."""
    sent = SHARED / "firefox-pings" / "05.firefox-desktop.baseline.json"
    if sent.exists():
        ping: dict[str, Any] = orjson.loads(sent.read_bytes())
        return ping
    times = {"start_time": "2026-11-23T08:00+00:00", "end_time": "2026-11-23T09:00+00:00"}
    client = {name: f"{name} 1.0" for name in ("app_build", "app_channel", "app_display_version", "architecture")}
    client |= {name: f"{name} 1.0" for name in ("os", "os_version", "telemetry_sdk_build", "first_run_date", "locale")}
    return {
        "ping_info": {"seq": 1, "reason": "active", **times},
        "client_info": {**client, "client_id": str(uuid.uuid4())},
        "metrics": {
            "counter": {f"glean.validation.count_{number}": number for number in range(8)},
            "labeled_counter": {"glean.error": {"a": 1, "b": 2}},
        },
    }


def ours(case: Case, gather: Callable[[Struct], Gatherer]) -> float:
    """Seconds of the appends and of the take, metadata and leftovers included."""
    columns = Columns(case.schema.shape, gather)
    spent_s = 0.0
    for block in case.blocks():
        began = time.thread_time()
        for one in block:
            columns.append(one)
        spent_s += time.thread_time() - began
    began = time.thread_time()
    table = columns.take()
    assert table.num_rows == len(case.bodies)
    return spent_s + time.thread_time() - began


def from_pylist(case: Case) -> float:
    """Seconds of rewriting and of `Table.from_pylist`."""
    schema = pa.schema(list(arrow_type(case.schema.shape)))
    rows, spent_s = [], 0.0
    for block in case.blocks():
        began = time.thread_time()
        rows += [rewritten(one.content, case.schema.shape) for one in block]
        spent_s += time.thread_time() - began
    began = time.thread_time()
    table = pa.Table.from_pylist(rows, schema)
    assert table.num_rows == len(case.bodies)
    return spent_s + time.thread_time() - began


def rewritten(value: Any, shape: Shape) -> Any:
    """The value as pyarrow wants it: columns' names, maps as pairs, JSON text for what is open."""
    if value is None:
        return None
    if isinstance(shape, Leaf):
        return orjson.dumps(value).decode() if shape.kind == "json" else value
    if isinstance(shape, Struct):
        at = dict(enumerate(value)) if shape.is_tuple else value
        return {
            p.column: rewritten(at.get(int(p.name) if shape.is_tuple else p.name), p.shape) for p in shape.properties
        }
    if isinstance(shape, MapOf):
        return [(key, rewritten(inner, shape.value)) for key, inner in value.items()]
    return [rewritten(item, shape.item) for item in value]


def duckdb_from_json(case: Case) -> float:
    """Seconds of `from_json` over the texts, one thread."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("texts", pa.table({"text": pa.array([body.decode() for body in case.bodies])}))
        structure = orjson.dumps({p.name: duckdb_type(p.shape) for p in told_apart(case.schema.shape)}).decode()
        query = f"SELECT from_json(text, {literal(structure)}) AS row FROM texts"
        began = time.process_time()
        table = connection.sql(query).to_arrow_table()
        assert table.num_rows == len(case.bodies)
        return time.process_time() - began


def duckdb_type(shape: Shape) -> str:
    if isinstance(shape, Leaf):
        kinds = {"integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "json": "JSON"}
        return kinds.get(shape.kind, "VARCHAR")
    if isinstance(shape, MapOf):
        return f"MAP(VARCHAR, {duckdb_type(shape.value)})"
    if isinstance(shape, ListOf):
        return f"{duckdb_type(shape.item)}[]"
    if shape.is_tuple:
        return "JSON"
    parts = (f"{quoted(p.name)} {duckdb_type(p.shape)}" for p in told_apart(shape))
    return f"STRUCT({', '.join(parts)})"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def told_apart(shape: Struct) -> list[Property]:
    """DuckDB's structs do not tell `a` from `A`."""
    return list({p.name.lower(): p for p in shape.properties}.values())


def pyarrow_json(case: Case) -> float:
    """Seconds of `pyarrow.json.read_json`, one thread, the types given; maps and JSON text are left out."""
    schema = pa.schema(json_fields(case.schema.shape))
    lines = io.BytesIO(b"\n".join(case.bodies))
    parse = pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    began = time.process_time()
    table = pa.json.read_json(lines, pa.json.ReadOptions(use_threads=False, block_size=64 << 20), parse)
    assert table.num_rows == len(case.bodies)
    return time.process_time() - began


def json_fields(shape: Struct) -> list[pa.Field]:
    return [pa.field(p.name, kind) for p in shape.properties if (kind := json_type(p.shape)) is not None]


def json_type(shape: Shape) -> pa.DataType | None:
    if isinstance(shape, Leaf):
        return (
            None if shape.kind == "json" else pa.string() if shape.kind in ("timestamp", "date") else arrow_type(shape)
        )
    if isinstance(shape, MapOf):
        return None
    if isinstance(shape, Struct):
        fields = [] if shape.is_tuple else json_fields(shape)
        return pa.struct(fields) if fields else None
    item = json_type(shape.item)
    return item and pa.list_(item)


def parsing(case: Case) -> float:
    began = time.thread_time()
    for body in case.bodies:
        orjson.loads(body)
    return time.thread_time() - began


WAYS: dict[str, tuple[Callable[[Case], float], bool]] = {
    "python loop": (lambda case: ours(case, PlainGatherer), False),
    "from_pylist": (from_pylist, False),
    "duckdb": (duckdb_from_json, True),
    "pyarrow.json": (pyarrow_json, True),
}
"""Way → its seconds for a case, and whether they include parsing."""
if HAS_COMPILED:
    WAYS = {"c loop": (lambda case: ours(case, CompiledGatherer), False), **WAYS}


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


def flush() -> None:
    """In a process of its own: seconds and MB of the second flush of 500 main pings."""
    schema = main_schema()
    ping = cut_ping(46_000, schema)
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
    print(spent[1][0], spent[1][1], max(grown))


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
    parser.add_argument("--flush", action="store_true", help="only flush; the seconds, the wall-clock seconds, the MB")
    arguments = parser.parse_args()
    if arguments.flush:
        flush()
        return
    print(f"{open_schemas()[1]} schemas; processor time, median of {arguments.rounds} rounds, collector off\n")
    best = compare(arguments.rounds)
    tables, create_s = create_all()
    print(f"{tables} schemas read and their tables made: {create_s:.2f} s")
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.columns", "--flush"], check=True, capture_output=True, text=True
    )
    flush_s, wall_s, flush_mb = map(float, ran.stdout.split())
    print(f"{FLUSHED} main pings of 46 KB flushed: {flush_s:.2f} s of processor, {wall_s:.2f} s by the wall clock\n")
    print(
        f"columns_mb_s_46k={best['46k_mb_s']:.0f} columns_rows_s_1k={best['1k_rows_s']:.0f} "
        f"create_175_s={create_s * 175 / tables:.2f} flush_500_main_s={flush_s:.2f} flush_500_main_mb={flush_mb:.0f}"
    )


if __name__ == "__main__":
    main()
