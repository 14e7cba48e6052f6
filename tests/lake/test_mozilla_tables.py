"""Our tables beside those that Mozilla's pipeline makes of the same schemas: where they differ, and nowhere else.

docs/schemas.md says why. The `.bq` files are the BigQuery schemas of three pings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from catchment.lake.columns import row_schema
from catchment.schemas.registry import Registry

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
