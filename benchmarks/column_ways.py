"""Five ways from pings to Arrow columns, for `benchmarks/columns.py`: each takes a case and returns its seconds."""

from __future__ import annotations

import io
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.json

from benchmarks.decode import SHARED, cut_ping, open_schemas
from catchment.document import Document
from catchment.lake.columns import Columns
from catchment.lake.gatherer import HAS_COMPILED, CompiledGatherer, Gatherer, PlainGatherer
from catchment.lake.places import arrow_type
from catchment.schemas.registry import Schema
from catchment.schemas.shape import Leaf, ListOf, MapOf, Property, Shape, Struct

BLOCK = 32
COUNTS = {"baseline_1k": 8_000, "1k": 8_000, "46k": 640}


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
