# ruff: noqa: T201
"""What it costs to turn parsed pings into Arrow columns: `Columns.append` for each, `Columns.take` for all of them.

`naive` stands beside it: each ping is rewritten into a row with the columns' names, and `pyarrow.Table.from_pylist`
makes the table. It checks no value and keeps nothing that has no column, so it does less; the difference is what
compiling an appender for each schema saves. Rounds alternate. As in the loader, pings are parsed in blocks of 32 just
before they are appended (parsing is not counted), a table is taken after 8 or 30 MB of JSON, and the collector is off.

    python -m benchmarks.columns           last line: append_us_1k=… append_us_46k=…    (append and take, µs a ping)
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from benchmarks.decode import SHARED, cut_ping, open_schemas
from catchment.document import Document
from catchment.lake.columns import Columns
from catchment.lake.places import arrow_type
from catchment.schemas.registry import Schema
from catchment.schemas.shape import Leaf, MapOf, Shape, Struct

BLOCK = 32
COUNTS = {"baseline_1k": 8_000, "1k": 8_000, "46k": 640}


@dataclass(frozen=True, slots=True)
class Case:
    """Pings of one schema, as JSON text."""

    schema: Schema
    bodies: list[bytes]

    def blocks(self) -> Iterator[list[Document]]:
        """The pings, parsed anew, a block when it is asked for."""
        for start in range(0, len(self.bodies), BLOCK):
            yield [self._document(body) for body in self.bodies[start : start + BLOCK]]

    def _document(self, body: bytes) -> Document:
        content = orjson.loads(body)
        schema = self.schema
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


def cases() -> dict[str, Case]:
    registry, _ = open_schemas()
    main = registry.find("telemetry", "main", 4)
    baseline = registry.find("firefox-desktop", "baseline", 1)
    if main is None or baseline is None:
        sys.exit("there are no schemas telemetry/main/4 and firefox-desktop/baseline/1; set CATCHMENT_SHARED_DATA")
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
        found[name] = Case(schema, [_with_own_ids(ping) for _ in range(COUNTS[name])])
    return found


def _with_own_ids(ping: dict[str, Any]) -> bytes:
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


def ours(case: Case, columns: Columns) -> tuple[float, float]:
    """Seconds of the appends and of the take."""
    append_s = 0.0
    for block in case.blocks():
        began = time.thread_time()
        for document in block:
            columns.append(document)
        append_s += time.thread_time() - began
    began = time.thread_time()
    table = columns.take()
    take_s = time.thread_time() - began
    assert table.num_rows == len(case.bodies)
    return append_s, take_s


def naive(case: Case) -> float:
    """Seconds of rewriting and `from_pylist`."""
    schema = pa.schema(list(arrow_type(case.schema.shape)))
    rows, spent_s = [], 0.0
    for block in case.blocks():
        began = time.thread_time()
        rows += [rewritten(document.content, case.schema.shape) for document in block]
        spent_s += time.thread_time() - began
    began = time.thread_time()
    table = pa.Table.from_pylist(rows, schema)
    spent_s += time.thread_time() - began
    assert table.num_rows == len(case.bodies)
    return spent_s


def rewritten(value: Any, shape: Shape) -> Any:
    """The value as pyarrow wants it: columns' names, maps as pairs, JSON text for what is open."""
    if value is None:
        return None
    if isinstance(shape, Leaf):
        return orjson.dumps(value).decode() if shape.kind == "json" else value
    if isinstance(shape, Struct):
        return {p.column: rewritten(value.get(p.name), p.shape) for p in shape.properties}
    if isinstance(shape, MapOf):
        return [(key, rewritten(inner, shape.value)) for key, inner in value.items()]
    return [rewritten(item, shape.item) for item in value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="of each; the median counts")
    rounds = parser.parse_args().rounds
    _, origin = open_schemas()
    print(f"{origin} schemas; processor time, µs a ping, median of {rounds} rounds, collector off\n")
    print(
        f"{'ping':13}{'bytes':>8}{'append':>10}{'take':>10}{'both':>10}{'JSON MB/s':>11}{'naive':>10}{'naive/ours':>12}"
    )
    figures = []
    for name, case in cases().items():
        columns = Columns(case.schema.shape)
        ours(case, columns)  # compiled, and the memory is there
        appends, takes, others = [], [], []
        gc.collect()
        gc.freeze()
        gc.disable()
        for _ in range(rounds):
            append_s, take_s = ours(case, columns)
            appends.append(append_s)
            takes.append(take_s)
            others.append(naive(case))
        gc.enable()
        count, size = len(case.bodies), len(case.bodies[0])
        both = statistics.median(map(sum, zip(appends, takes, strict=True))) / count * 1e6
        append, take, other = (statistics.median(spent) / count * 1e6 for spent in (appends, takes, others))
        print(
            f"{name:13}{size:8,}{append:10.1f}{take:10.1f}{both:10.1f}{size / both:11.1f}{other:10.1f}"
            f"{other / both:12.1f}"
        )
        figures.append(f"append_us_{name}={both:.1f}")
    print("\n" + " ".join(figures))


if __name__ == "__main__":
    main()
