"""The readable model of a schema: fields with rules, and the column in which each ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from catchment.schemas.describing import MOST_FIELDS, Field, columns_of, describe
from catchment.schemas.pointers import LineIndex, steps_of
from catchment.schemas.registry import BUILTIN, Registry, Schema

ORDER: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "Order",
    "description": "What a customer\n  bought",
    "type": "object",
    "required": ["clientId", "total"],
    "definitions": {"tree": {"type": "object", "properties": {"left": {"$ref": "#/definitions/tree"}}}},
    "properties": {
        "clientId": {"type": "string", "format": "uuid"},
        "total": {"type": "number", "minimum": 0, "description": "In the shop's currency", "examples": [12]},
        "lines": {
            "type": "array",
            "items": {"type": "object", "required": ["sku"], "properties": {"sku": {"enum": ["a", "b"]}}},
        },
        "counters": {"type": "object", "additionalProperties": {"type": ["integer", "null"]}},
        "extra": {"type": "object"},
        "tree": {"$ref": "#/definitions/tree"},
        "either": {"oneOf": [{"type": "string"}, {"type": "object", "properties": {"a": {"const": 1}}}]},
    },
}


def schema_of(folder: Path, document: Any) -> Schema:
    path = folder / "order.1.schema.json"
    path.write_bytes(orjson.dumps(document))
    return Schema("shop", "order", 1, path)


def fields_of(folder: Path, document: Any) -> dict[str, Field]:
    return {field.path: field for field in describe(schema_of(folder, document)).fields}


def test_each_field_tells_its_type_its_rules_and_its_column(tmp_path: Path) -> None:
    fields = fields_of(tmp_path, ORDER)
    total = fields["total"]
    assert (total.types, total.is_required, total.rules, total.examples) == ("number", True, ("at least 0",), ("12",))
    assert (total.column, total.column_type, total.description) == ("total", "double", "In the shop's currency")
    assert (fields["clientId"].column, fields["clientId"].rules) == ("client_id", ("format uuid",))
    assert (fields["lines"].types, fields["lines"].column_type) == ("array of object", "list<struct>")
    sku = fields["lines[].sku"]
    assert (sku.depth, sku.column, sku.is_required, sku.rules) == (1, "lines[].sku", True, ('one of "a", "b"',))
    assert fields["counters"].types == "map of integer or null"
    assert (fields["counters{}"].column, fields["counters{}"].column_type) == ("counters{}", "long")
    assert fields["extra"].column_type == "string"


def test_what_is_inside_of_json_text_names_the_column_of_the_text(tmp_path: Path) -> None:
    fields = fields_of(tmp_path, ORDER)
    inner = fields["either.a"]
    assert (inner.column, inner.column_type, inner.rules) == ("either", "in JSON text", ("always 1",))
    assert fields["either"].types == "string or object"


def test_positions_of_a_tuple_are_fields(tmp_path: Path) -> None:
    tuple_ = {"type": "array", "items": [{"type": "string"}, {"type": "object", "properties": {"a": {}}}]}
    fields = fields_of(tmp_path, {"type": "object", "properties": {"pair": tuple_}})
    assert (fields["pair"].types, fields["pair"].column_type) == ("tuple", "struct")
    assert (fields["pair[0]"].name, fields["pair[0]"].column) == ("[0]", "pair._0")
    assert (fields["pair[1].a"].column, fields["pair[1].a"].remark) == ("pair._1.a", "nothing is said of its type")


def test_a_reference_to_itself_ends(tmp_path: Path) -> None:
    fields = fields_of(tmp_path, ORDER)
    assert fields["tree.left"].rules == ("as the object that it is in",)
    assert "tree.left.left" not in fields


def test_a_definition_that_is_used_twice_is_no_circle(tmp_path: Path) -> None:
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": {"base": {"type": "object", "properties": {"a": {"type": "string"}}}},
        "allOf": [{"$ref": "#/definitions/base"}, {"$ref": "#/definitions/base"}],
        "properties": {"x": {"$ref": "#/definitions/base"}, "y": {"$ref": "#/definitions/base"}},
    }
    fields = fields_of(tmp_path, document)
    assert set(fields) == {"x", "x.a", "y", "y.a", "a"}
    assert not any(field.rules for field in fields.values())


def test_a_small_file_that_means_millions_of_fields_ends(tmp_path: Path) -> None:
    definitions = {
        f"d{number}": {"properties": {name: {"$ref": f"#/definitions/d{number + 1}"} for name in "abcd"}}
        for number in range(40)
    }
    document = {"definitions": definitions, "properties": {"a": {"$ref": "#/definitions/d0"}}}
    assert len(describe(schema_of(tmp_path, document)).fields) == MOST_FIELDS


def test_the_head_of_a_description_is_that_of_the_schema(tmp_path: Path) -> None:
    described = describe(schema_of(tmp_path, {**ORDER, "examples": [{"total": 1}]}))
    assert (described.name, described.table) == ("shop.order.1", "shop.order_v1")
    assert (described.title, described.description) == ("Order", "What a customer bought")
    assert (described.draft, described.is_open, described.examples) == (ORDER["$schema"], True, ('{"total":1}',))


def test_parts_of_all_of_stand_where_they_are_written(tmp_path: Path) -> None:
    document = {"allOf": [{"required": ["a"]}, {"properties": {"a": {"type": "string"}}}], "required": ["b"]}
    field = fields_of(tmp_path, document)["a"]
    assert (field.pointer, field.is_required) == ("#/allOf/1/properties/a", True)


def test_every_field_of_the_schemas_that_come_with_catchment_is_where_its_pointer_says() -> None:
    for schema in Registry.load([BUILTIN]).all():
        columns, text = columns_of(schema.shape), schema.content.decode()
        lines, index = text.splitlines(), LineIndex(text)
        for field in describe(schema).fields:
            assert steps_of(field.pointer)[-1] in (field.name, field.name.strip("/"), "additionalProperties")
            assert f'"{steps_of(field.pointer)[-1]}"' in lines[index.line(field.pointer) - 1]
            if field.column_type != "in JSON text" and not field.column.endswith(("{}", "client_id")):
                assert columns[field.column] == field.column_type
