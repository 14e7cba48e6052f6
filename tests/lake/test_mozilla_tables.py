"""Our tables beside those that Mozilla's pipeline makes of the same schemas: where they differ, and nowhere else; what
all of its schemas leave without a type.

docs/schemas.md says why. The `.bq` files are the BigQuery schemas of three pings.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from rebuilding import document, kept, rebuilt, rows, text

from catchment.lake.columns import row_schema
from catchment.schemas.registry import Registry
from catchment.schemas.shape import properties_in

THEIRS = {"STRING": "string", "INT64": "long", "FLOAT64": "double", "BOOL": "boolean", "TIMESTAMP": "timestamp"}
OURS = {pa.string(): "string", pa.int64(): "long", pa.int32(): "int", pa.float64(): "double", pa.bool_(): "boolean"}
OURS |= {pa.timestamp("us", "UTC"): "timestamp"}
OTHER_TYPE = {"sample_id": ("long", "int"), "metrics.object{}": ("JSON", "string")}
ONLY_THEIRS = {
    *("metadata.isp", "metadata.isp.db_version", "metadata.isp.name", "metadata.isp.organization"),
    *("metadata.geo.db_version", "metadata.header.x_foxsec_ip_reputation", "metadata.header.x_lb_tags"),
}
ONLY_OURS = {
    *("client_id", "schema", "metadata.geo.isp", "metadata.header.host"),
    *("metadata.clock", "metadata.clock.creation_timestamp", "metadata.clock.skew_s"),
    *("metadata.uri", "metadata.uri.app_build_id", "metadata.uri.app_name"),
    *("metadata.uri.app_update_channel", "metadata.uri.app_version"),
    *("metadata.ua_parser", "metadata.ua_parser.browser", "metadata.ua_parser.device", "metadata.ua_parser.os"),
    *("metadata.ua_parser.os_version", "metadata.ua_parser.version"),
}
PROBES = re.compile(r"(metrics\.\w+)\.\w+")


def theirs(fields: list[dict[str, Any]], path: str = "") -> Iterator[tuple[str, str]]:
    """Path → type of a BigQuery schema; repeated records of key and value are maps, by probe or not."""
    for field in fields:
        at, kind, inner = path + field["name"], field["type"], field.get("fields", [])
        if PROBES.fullmatch(at):
            at = PROBES.sub(r"\1{}", at)
        is_repeated = field.get("mode") == "REPEATED"
        if kind == "RECORD" and is_repeated and [part["name"] for part in inner] == ["key", "value"]:
            yield at, "map"
            yield from theirs([{**inner[1], "name": "{}"}], at)
        elif kind == "RECORD":
            yield at, "list<struct>" if is_repeated else "struct"
            yield from theirs(inner, at + ("[]." if is_repeated else "."))
        else:
            name = THEIRS.get(kind, kind)
            yield at, f"list<{name}>" if is_repeated else name


def ours(kind: pa.DataType, at: str) -> Iterator[tuple[str, str]]:
    if pa.types.is_struct(kind):
        yield at, "struct"
        for field in kind:
            yield from ours(field.type, f"{at}.{field.name}")
    elif pa.types.is_map(kind):
        yield at, "map"
        yield from ours(kind.item_type, f"{at}{{}}")
    elif pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        yield at, "list<struct>"
        for field in kind.value_type:
            yield from ours(field.type, f"{at}[].{field.name}")
    elif pa.types.is_list(kind):
        yield at, f"list<{OURS[kind.value_type]}>"
    else:
        yield at, OURS[kind]


@pytest.mark.parametrize("doctype", ["baseline", "crash", "health"])
def test_our_table_differs_from_mozillas_where_the_page_says(shared_data: Path, doctype: str) -> None:
    root = shared_data / "pipeline-schemas" / "schemas"
    schema = Registry.load([root]).find("firefox-desktop", doctype, 1)
    assert schema is not None
    there = dict(theirs(json.loads(schema.path.with_name(f"{doctype}.1.bq").read_text())))
    here = {path: kind for field in row_schema(schema.shape) for path, kind in ours(field.type, field.name)}
    differing = {path: (there[path], here[path]) for path in there if path in here and there[path] != here[path]}
    by_probe = {path for path, pair in differing.items() if pair == ("struct", "map") and path.startswith("metrics.")}
    assert by_probe and all(path.count(".") == 1 for path in by_probe)
    assert {path: pair for path, pair in differing.items() if path not in by_probe} == OTHER_TYPE
    assert there.keys() - here.keys() == ONLY_THEIRS
    assert {path for path in here.keys() - there.keys() if not path.startswith("metrics.")} == ONLY_OURS
    assert len(there.keys() & here.keys()) > 80


JSON_TEXTS = {
    "values of several types: integer or boolean": 72,
    "an object without properties or a type for its values": 70,
    "values of several types: object or array": 63,
    "values of several types: string or integer or boolean": 31,
    "values of several types: array or number": 26,
    "values of several types: string or number": 18,
    "values of several types: string or number or boolean": 15,
    "values of several types: string or integer": 1,
}


def test_of_all_their_schemas_only_these_places_have_no_type(shared_data: Path) -> None:
    registry = Registry.load([shared_data / "pipeline-schemas" / "schemas"])
    places = [p for schema in registry.all() for _, p in properties_in(schema.shape)]
    assert Counter(p.reason for p in places if p.reason) == JSON_TEXTS
    assert len(places) > 14_000


def test_what_a_real_firefox_sent_comes_back_from_its_rows(shared_data: Path) -> None:
    registry = Registry.load([shared_data / "pipeline-schemas" / "schemas"])
    seen = 0
    for path in sorted((shared_data / "firefox-pings").glob("*.json")):
        _, namespace, doctype, *more = path.name.split(".")
        schema = registry.find(namespace, doctype, 4 if namespace == "telemetry" else 1)
        if schema is None or more != ["json"]:
            continue
        content = orjson.loads(path.read_bytes())
        [row] = rows(schema.shape, [document(content)])
        assert text(rebuilt(row, schema.shape)) == text(kept(content, schema.shape)), path.name
        seen += 1
    assert seen > 5
