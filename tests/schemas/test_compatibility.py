"""What a change of a schema means: for its documents and for its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from catchment.schemas.compatibility import Comparison, compare, compare_documents, compare_shapes
from catchment.schemas.registry import BUILTIN, Registry, Schema
from catchment.schemas.shape import shape_of

TEXT, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}


def of(value: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": value}}


RELAXED = {
    "the same": (TEXT, TEXT),
    "a note": (TEXT, {**TEXT, "description": "x", "format": "date-time"}),
    "an integer may be any number": (INTEGER, NUMBER),
    "null as well": (TEXT, {"type": ["string", "null"]}),
    "any type": (TEXT, {}),
    "one more choice": ({"enum": ["a"]}, {"enum": ["b", "a"]}),
    "one value becomes a choice": ({"const": "a"}, {"enum": ["a", "b"]}),
    "a lower least": ({"minimum": 3}, {"minimum": 2}),
    "no least": ({"minimum": 3}, {}),
    "longer": ({"maxLength": 3}, {"maxLength": 4}),
    "no pattern": ({"pattern": "^a"}, {}),
    "a new property": (of(TEXT), {"properties": {"a": TEXT, "b": TEXT}, "type": "object"}),
    "not required": ({"required": ["x", "y"]}, {"required": ["y"]}),
    "open again": ({"additionalProperties": False}, {}),
    "other items": ({"items": INTEGER}, {"items": NUMBER}),
    "any items": ({"items": INTEGER}, {}),
    "other values": ({"additionalProperties": INTEGER}, {"additionalProperties": NUMBER}),
    "another alternative": ({"anyOf": [TEXT]}, {"anyOf": [NUMBER, TEXT]}),
    "a divisor": ({"multipleOf": 6}, {"multipleOf": 3}),
    "a position": ({"items": [INTEGER, TEXT]}, {"items": [NUMBER, TEXT]}),
    "the end of an exclusion": ({"not": TEXT}, {}),
    "written out": ({"$ref": "#/definitions/n"}, INTEGER),
    "pointed to": (INTEGER, {"$ref": "#/definitions/n"}),
    "in parts": ({"allOf": [INTEGER, {"minimum": 1}]}, {**INTEGER, "minimum": 1}),
}
TIGHTENED = {
    "another type": (TEXT, INTEGER),
    "no null": ({"type": ["string", "null"]}, TEXT),
    "a type": ({}, TEXT),
    "integers only": (NUMBER, INTEGER),
    "one choice less": ({"enum": ["a", "b"]}, {"enum": ["a"]}),
    "a list of choices": (TEXT, {**TEXT, "enum": ["a"]}),
    "a higher least": ({"minimum": 3}, {"minimum": 4}),
    "a new least": ({}, {"minimum": 4}),
    "exclusive": ({"minimum": 3}, {"minimum": 3, "exclusiveMinimum": True}),
    "shorter": ({"maxLength": 3}, {"maxLength": 2}),
    "another pattern": ({"pattern": "^a"}, {"pattern": "^b"}),
    "required": (of(TEXT), {**of(TEXT), "required": ["a"]}),
    "closed": ({}, {"additionalProperties": False}),
    "a property gone from a closed object": (
        {"properties": {"x": TEXT, "y": TEXT}, "additionalProperties": False},
        {"properties": {"x": TEXT}, "additionalProperties": False},
    ),
    "other items": ({"items": NUMBER}, {"items": INTEGER}),
    "items at last": ({"type": "array"}, {"type": "array", "items": INTEGER}),
    "positions": ({"items": INTEGER}, {"items": [INTEGER]}),
    "values": ({"additionalProperties": NUMBER}, {"additionalProperties": INTEGER}),
    "an alternative less": ({"anyOf": [TEXT, NUMBER]}, {"anyOf": [TEXT]}),
    "another one of": ({"oneOf": [TEXT]}, {"oneOf": [TEXT, NUMBER]}),
    "another multiple": ({"multipleOf": 3}, {"multipleOf": 6}),
    "unique": ({}, {"uniqueItems": True}),
    "an exclusion": ({}, {"not": TEXT}),
    "a part more": ({"allOf": [INTEGER]}, {"allOf": [INTEGER, {"minimum": 1}]}),
    "a part of its own": ({"allOf": [{"minimum": 1}, {"minimum": 2}]}, {"allOf": [{"minimum": 1}, {"minimum": 3}]}),
    "a condition": ({}, {"if": TEXT, "then": {"minLength": 1}}),
    "nothing": ({}, False),
}
DEFINITIONS = {"definitions": {"n": INTEGER}}


@pytest.mark.parametrize(("old", "new"), RELAXED.values(), ids=RELAXED)
def test_what_accepts_as_much_is_compatible(old: Any, new: Any) -> None:
    found = compare_documents({**of(old), **DEFINITIONS}, {**of(new), **DEFINITIONS})
    assert [change for change in found.changes if not change.compatible] == []


@pytest.mark.parametrize(("old", "new"), TIGHTENED.values(), ids=TIGHTENED)
def test_what_may_refuse_more_is_not(old: Any, new: Any) -> None:
    found = compare_documents(of(old), of(new))
    assert not found.compatible
    assert all(change.path.startswith("a") and change.reason for change in found.changes)


def test_what_a_reference_points_to_counts() -> None:
    schema = {**of({"$ref": "#/definitions/n"}), "not": {"properties": {"b": {"$ref": "#/definitions/n"}}}}
    same = compare_documents({**schema, **DEFINITIONS}, {**schema, **DEFINITIONS})
    other = compare_documents({**schema, **DEFINITIONS}, {**schema, "definitions": {"n": TEXT}})
    assert same.changes == ()
    assert {(change.path, change.kind) for change in other.changes} == {("a", "tightened"), ("", "tightened")}


def test_a_schema_that_comes_back_to_itself_ends() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#"}, "n": INTEGER}}
    wider = {"type": "object", "properties": {"next": {"$ref": "#"}, "n": NUMBER}}
    assert compare_documents(node, wider).compatible
    assert [change.path for change in compare_documents(wider, node).changes] == ["n"]


def test_another_draft_is_another_reading() -> None:
    one, other = "http://json-schema.org/draft-04/schema#", "https://json-schema.org/draft/2020-12/schema"
    assert not compare_documents({"$schema": one}, {"$schema": other}).compatible


def shapes(old: Any, new: Any) -> Comparison:
    return compare_shapes(shape_of({"properties": old}), shape_of({"properties": new}))


def lists(value: Any) -> Any:
    return {"type": "array", "items": {"type": "object", "properties": value}}


@pytest.mark.parametrize(
    ("old", "new", "kind", "path", "effect"),
    [
        ({}, {"aB": INTEGER}, "added", "aB", "column a_b (long) is added"),
        ({"x": lists({"n": TEXT})}, {"x": lists({"n": TEXT, "m": TEXT})}, "added", "x[].m", "column x[].m (string)"),
        ({"a": INTEGER}, {"a": NUMBER}, "widened", "a", "they go to a__double beside a"),
        ({"a": NUMBER}, {"a": INTEGER}, "narrowed", "a", "a stays a double"),
        ({"a": INTEGER, "b": TEXT}, {"b": TEXT}, "removed", "a", "column a stays, NULL from now on"),
        ({"a": INTEGER}, {"a": TEXT}, "retyped", "a", "they go to a__string beside a"),
        (
            {"a": {"type": "array", "items": INTEGER}},
            {"a": {"type": "array", "items": TEXT}},
            "retyped",
            "a[]",
            "a__list",
        ),
        ({"x": lists({"n": INTEGER})}, {"x": lists({"n": TEXT})}, "retyped", "x[].n", "n__string beside n"),
        ({"a": TEXT}, {"a": {}}, "retyped", "a", "newer ones json"),
        (
            {"fooBar": TEXT},
            {"fooBar": TEXT, "foo_bar": TEXT},
            "renamed",
            "fooBar",
            "column foo_bar_2 instead of foo_bar",
        ),
    ],
)
def test_the_table_is_told_of(old: Any, new: Any, kind: str, path: str, effect: str) -> None:
    change = shapes(old, new).changes[0]
    assert (change.kind, change.path, change.scope) == (kind, path, "table")
    assert effect in change.effect
    assert change.compatible == (kind in ("added", "widened", "narrowed"))


def schema(folder: Path, version: int, document: Any) -> Schema:
    path = folder / f"order.{version}.schema.json"
    path.write_bytes(orjson.dumps(document))
    return Schema("shop", "order", version, path)


def test_a_refusal_names_the_way_out(tmp_path: Path) -> None:
    old = schema(tmp_path, 1, of(INTEGER))
    new = schema(tmp_path, 2, {**of(TEXT), "required": ["a"]})
    found = compare(old, new)
    assert not found.compatible
    assert not found.documents_compatible
    assert not found.table_compatible
    assert [(change.scope, change.kind) for change in found.changes] == [
        ("table", "retyped"),
        ("documents", "tightened"),
        ("documents", "tightened"),
    ]
    assert all("order.3.schema.json" in change.way_out for change in found.changes)
    assert orjson.loads(orjson.dumps(found.as_json()))["changes"][0]["compatible"] is False


def test_every_schema_that_comes_along_is_compatible_with_itself() -> None:
    for one in Registry.load([BUILTIN]).all():
        assert compare(one, one).changes == (), one.table
