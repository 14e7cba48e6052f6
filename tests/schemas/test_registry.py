"""Which schema judges which document, and what a bad file does: report itself, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from catchment.errors import BadConfig, Incompatible
from catchment.schemas.registry import BUILTIN, MAX_DETAIL_CHARACTERS, RESERVED_COLUMNS, Registry, Schema

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
STRING = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}

BROKEN: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "cannot be read"),
    "not UTF-8": ('{"title":"\udcff"}', "cannot be read"),
    "no object": ("[1]", "is a list, must be a JSON object"),
    "a type that is none": ('{"properties":{"a":{"type":5}}}', "#/properties/a/type: 5 is not"),
    "a pattern that is none": ('{"properties":{"a":{"pattern":"("}}}', "#/properties/a/pattern"),
    "a reference to nothing": ('{"$ref":"#/definitions/none"}', "'/definitions/none' does not exist"),
    "a reference to the network": ('{"$ref":"http://example.org/x.json"}', "http://example.org/x.json is outside"),
    "a reference to a file": ('{"$ref":"file:///x.json"}', "file:///x.json is outside"),
    "an unknown draft": ('{"$schema":"http://json-schema.org/draft-99/schema#"}', "draft-99"),
    "a draft that is a number": ('{"$schema":5}', "#/$schema: 5 is not"),
}


def write(root: Path, namespace: str, doctype: str, version: int | str, schema: Any, folder: str = "") -> Path:
    path = root / namespace / (folder or doctype) / f"{doctype}.{version}.schema.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = schema if isinstance(schema, str) else json.dumps(schema)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def load(*roots: Path) -> Registry:
    return Registry.load(roots)


def found(registry: Registry, namespace: str, doctype: str, version: int) -> Schema:
    schema = registry.find(namespace, doctype, version)
    assert schema is not None
    return schema


def test_a_schema_is_found_by_namespace_doctype_and_version(tmp_path: Path) -> None:
    write(tmp_path, "shop", "order", 1, STRING)
    write(tmp_path, "shop", "order", 2, {})
    registry = load(tmp_path)
    assert found(registry, "shop", "order", 1).violation({}) is not None
    assert found(registry, "shop", "order", 2).violation({}) is None
    assert registry.find("shop", "order", 3) is None
    assert registry.find("shop", "Order", 1) is None
    assert [schema.table for schema in registry.all()] == ["shop.order_v1", "shop.order_v2"]
    assert registry.problems == ()


def test_a_later_folder_overrides_an_earlier_one_file_by_file(tmp_path: Path) -> None:
    write(tmp_path / "ours", "shop", "order", 1, STRING)
    write(tmp_path / "ours", "shop", "visit", 1, STRING)
    write(tmp_path / "yours", "shop", "order", 1, {})
    registry = load(tmp_path / "ours", tmp_path / "yours")
    assert found(registry, "shop", "order", 1).violation({}) is None
    assert found(registry, "shop", "visit", 1).violation({}) is not None
    assert registry.problems == ()


def test_the_settings_name_the_folders_and_whether_the_built_in_ones_count(tmp_path: Path) -> None:
    write(tmp_path, "telemetry", "main", 4, STRING)
    both = load(BUILTIN, tmp_path)
    assert found(both, "telemetry", "main", 4).path.is_relative_to(tmp_path)
    assert both.find("telemetry", "crash", 4) is not None
    alone = load(tmp_path)
    assert [schema.doctype for schema in alone.all()] == ["main"]


def test_a_folder_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="none is not a folder"):
        load(tmp_path / "none")


@pytest.mark.parametrize(("text", "rule"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_reported_on_one_line_and_refuses_only_its_own_documents(
    tmp_path: Path, text: str, rule: str
) -> None:
    path = write(tmp_path, "shop", "broken", 1, text)
    write(tmp_path, "shop", "order", 1, STRING)
    registry = load(tmp_path)
    [problem] = registry.check()
    assert str(path) in problem and rule in problem and "\n" not in problem
    broken = found(registry, "shop", "broken", 1)
    for _ in range(2):
        with pytest.raises(Incompatible) as raised:
            broken.violation({})
        assert str(raised.value) == problem
    assert found(registry, "shop", "order", 1).violation({"a": "x"}) is None


def test_a_broken_file_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path, "shop", "broken", 1, "{")
    broken = found(load(tmp_path), "shop", "broken", 1)
    for _ in range(3):
        with pytest.raises(Incompatible, match="cannot be read: unexpected end"):
            broken.violation({})
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("name", ["order", "order.01", "order.x", "or_der.1", "order.1234567890", "-.1"])
def test_a_file_whose_name_says_no_doctype_and_version_is_left_out_and_reported(tmp_path: Path, name: str) -> None:
    (tmp_path / "shop" / "order").mkdir(parents=True)
    path = tmp_path / "shop" / "order" / f"{name}.schema.json"
    path.write_text("{}")
    registry = load(tmp_path)
    assert registry.all() == []
    [problem] = registry.problems
    assert problem.startswith(f"schema {path}: left out: the name must be")


def test_two_files_for_the_same_documents_are_reported(tmp_path: Path) -> None:
    first = write(tmp_path, "shop", "order", 1, STRING, folder="a")
    second = write(tmp_path, "shop", "order", 1, {}, folder="b")
    registry = load(tmp_path)
    assert found(registry, "shop", "order", 1).path == first
    assert registry.problems == (f"schema {second}: left out: {first} describes the same documents",)


def test_two_doctypes_cannot_share_a_table(tmp_path: Path) -> None:
    write(tmp_path, "shop", "new-order", 1, {})
    second = write(tmp_path, "shop", "newOrder", 1, {})
    registry = load(tmp_path)
    assert registry.find("shop", "newOrder", 1) is None
    [problem] = registry.problems
    assert problem.startswith(f"schema {second}: left out: its table shop.new_order_v1 is that of")


def test_each_schema_is_judged_by_the_draft_that_it_declares(tmp_path: Path) -> None:
    rule = {"properties": {"a": {"const": 1}}, "propertyNames": {"maxLength": 2}}
    write(tmp_path, "shop", "old", 4, rule)
    write(tmp_path, "shop", "new", 7, {"$schema": DRAFT_7, **rule})
    registry = load(tmp_path)
    assert found(registry, "shop", "old", 4).violation({"a": 2, "long": 1}) is None
    assert found(registry, "shop", "new", 7).violation({"a": 2}) is not None
    assert found(registry, "shop", "new", 7).violation({"long": 1}) is not None


def test_a_format_is_a_note_and_no_rule(tmp_path: Path) -> None:
    write(tmp_path, "shop", "order", 1, {"$schema": DRAFT_7, "properties": {"a": {"format": "date-time"}}})
    assert found(load(tmp_path), "shop", "order", 1).violation({"a": "yesterday"}) is None


def test_a_violation_names_the_rule_and_both_places(tmp_path: Path) -> None:
    schema = {"properties": {"a/b": {"type": "array", "items": {"type": "object", "required": ["k"]}}}}
    write(tmp_path, "shop", "order", 1, schema)
    judge = found(load(tmp_path), "shop", "order", 1)
    violation = judge.violation({"a/b": [{"k": 1}, {}]})
    assert violation is not None
    assert (violation.keyword, violation.document_pointer) == ("required", "#/a~1b/1")
    assert violation.schema_pointer == "#/properties/a~1b/items"
    assert '"k"' in violation.detail
    long = judge.violation({"a/b": "x" * 10_000})
    assert long is not None and len(long.detail) <= MAX_DETAIL_CHARACTERS + 3


def test_the_columns_that_every_table_has_are_left_to_it(tmp_path: Path) -> None:
    names = [*RESERVED_COLUMNS, "clientId", "clientID", "ClientId", "documentId"]
    write(tmp_path, "shop", "order", 1, {"properties": {name: {"type": "string"} for name in names}})
    shape = found(load(tmp_path), "shop", "order", 1).shape
    columns = [p.column for p in shape.properties]
    assert len(set(columns)) == len(columns)
    assert not set(columns) & set(RESERVED_COLUMNS)
    assert shape.client_id == "clientId"
    assert {p.name for p in shape.properties} == set(names) - {"clientId"}


def test_every_built_in_schema_compiles() -> None:
    registry = load(BUILTIN)
    assert registry.check() == []
    assert {("telemetry", "main", 4), ("firefox-desktop", "baseline", 1)} <= {
        (schema.namespace, schema.doctype, schema.version) for schema in registry.all()
    }
    for schema in registry.all():
        assert schema.shape.properties, schema.path


def test_the_built_in_schemas_accept_what_firefox_sends(shared_data: Path) -> None:
    registry = load(BUILTIN)
    pings = [path for path in sorted((shared_data / "firefox-pings").glob("*.json")) if "request" not in path.name]
    assert pings
    for path in pings:
        content = orjson.loads(path.read_bytes())
        _, namespace, doctype, _ = path.name.split(".")
        version = content.get("version", 4) if namespace == "telemetry" else 1
        violation = found(registry, namespace, doctype, version).violation(content)
        assert violation is None, (path.name, violation)


def test_the_real_schemas_load_and_compile(shared_data: Path) -> None:
    registry = load(shared_data / "pipeline-schemas" / "schemas")
    assert registry.check() == []
    assert len(registry.all()) >= 180


def test_the_real_schemas_agree_with_every_labelled_example(shared_data: Path) -> None:
    registry = load(shared_data / "pipeline-schemas" / "schemas")
    wrong, seen = [], 0
    for path in sorted((shared_data / "pipeline-schemas" / "validation").glob("*/*.json")):
        doctype, version, _, label = path.name.removesuffix(".json").rsplit(".", 3)
        schema = registry.find(path.parent.name, doctype, int(version))
        try:
            content = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError:
            assert label == "fail"
            continue
        if schema is not None:
            seen += 1
            if (schema.violation(content) is None) != (label == "pass"):
                wrong.append(path.name)
    assert seen >= 150
    assert wrong == []
