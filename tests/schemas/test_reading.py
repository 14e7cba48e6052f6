"""What is read of a schema: references by draft, what holds together, alternatives, and the limits."""

from __future__ import annotations

import time
from typing import Any

import pytest

from catchment.schemas.reading import MAX_DEPTH, MAX_SCHEMAS, read
from catchment.schemas.shape import JSON_TEXT, Leaf, Property, Shape, Struct, properties_in, shape_of

DRAFT_4, DRAFT_7 = "http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-07/schema#"
DRAFT_2019, DRAFT_2020 = "https://json-schema.org/draft/2019-09/schema", "https://json-schema.org/draft/2020-12/schema"
TEXT, INTEGER, NUMBER = Leaf("string"), Leaf("integer"), Leaf("number")
A = {"properties": {"a": {"type": "integer"}}}


def found(schema: Any, draft: str = DRAFT_7, **beside: Any) -> Property:
    [p] = shape_of({"$schema": draft, "properties": {"x": schema}, **beside}).properties
    return p


PLACES: dict[str, tuple[str, str, dict[str, Any], Shape]] = {
    "a pointer": ("#/definitions/a", DRAFT_7, {"definitions": {"a": {"type": "integer"}}}, INTEGER),
    "an escaped pointer": ("#/definitions/a~1b%25", DRAFT_7, {"definitions": {"a/b%": {"type": "integer"}}}, INTEGER),
    "an anchor of draft 4": ("#n", DRAFT_4, {"definitions": {"a": {"id": "#n", "type": "integer"}}}, INTEGER),
    "an anchor of draft 7": ("#n", DRAFT_7, {"definitions": {"a": {"$id": "#n", "type": "integer"}}}, INTEGER),
    "an anchor of 2020-12": ("#n", DRAFT_2020, {"$defs": {"a": {"$anchor": "n", "type": "integer"}}}, INTEGER),
    "an address": (
        "part.json#/definitions/b",
        DRAFT_7,
        {
            "$id": "https://example.org/whole.json",
            "definitions": {"a": {"$id": "part.json", "definitions": {"b": {"type": "integer"}}}},
        },
        INTEGER,
    ),
    "its own address": (
        "https://example.org/whole.json#/definitions/a",
        DRAFT_7,
        {"$id": "https://example.org/whole.json", "definitions": {"a": {"type": "integer"}}},
        INTEGER,
    ),
    "true": ("#/definitions/a", DRAFT_7, {"definitions": {"a": True}}, JSON_TEXT),
    "no schema": ("#/definitions/a", DRAFT_7, {"definitions": {"a": 5}}, JSON_TEXT),
    "nothing": ("#/definitions/a", DRAFT_7, {}, JSON_TEXT),
    "an unknown anchor": ("#n", DRAFT_7, {"definitions": {"a": {"id": "#n", "type": "integer"}}}, JSON_TEXT),
    "another file": ("https://example.org/a.json", DRAFT_7, {}, JSON_TEXT),
}


@pytest.mark.parametrize(("reference", "draft", "beside", "shape"), PLACES.values(), ids=PLACES)
def test_a_reference_goes_to(reference: str, draft: str, beside: dict[str, Any], shape: Shape) -> None:
    p = found({"$ref": reference}, draft, **beside)
    assert p.shape == shape
    assert ("which is not in the file" in p.reason) == (shape is JSON_TEXT and beside.get("definitions") != {"a": True})


def test_an_address_that_is_none_points_to_nothing() -> None:
    whole = {"$id": "https://example.org/whole.json", "definitions": {"a": {"$id": "https://[", "type": "integer"}}}
    assert found({"$ref": "http://]"}, **whole).reason == "a $ref to http://], which is not in the file"
    assert found({"$ref": "https://["}, **whole).shape == INTEGER


def test_an_id_inside_of_a_value_is_no_name() -> None:
    beside = {"definitions": {"a": {"enum": [{"$id": "#n", "type": "string"}]}, "b": {"$id": "#n", "type": "integer"}}}
    assert found({"$ref": "#n"}, **beside).shape == INTEGER


@pytest.mark.parametrize(("draft", "shape"), [(DRAFT_4, TEXT), (DRAFT_7, TEXT), (DRAFT_2019, INTEGER)])
def test_what_stands_beside_a_reference_counts_from_2019_on(draft: str, shape: Shape) -> None:
    schema = {"$ref": "#/definitions/any_text", "type": "integer"}
    assert found(schema, draft, definitions={"any_text": {"type": "string"}}).shape == shape


def test_a_description_beside_a_reference_counts_in_every_draft() -> None:
    beside = {"definitions": {"a": {"type": "integer", "description": "Any number"}}}
    assert found({"$ref": "#/definitions/a", "description": "The number"}, **beside).description == "The number"
    assert found({"$ref": "#/definitions/a"}, **beside).description == "Any number"


def test_dynamic_references_end_as_the_plain_ones() -> None:
    schema = {"$schema": DRAFT_2020, "$dynamicAnchor": "n", "properties": {"x": {"$dynamicRef": "#n"}}}
    assert [p.reason for p in shape_of(schema).properties] == ["a $ref that comes back to itself"]
    assert found({"$recursiveRef": "#"}, DRAFT_2019).reason == "a $ref that comes back to itself"


def test_a_reference_to_the_same_place_twice_does_not_come_back_to_itself() -> None:
    schema = {"properties": {name: {"$ref": "#/definitions/a"} for name in "xy"}, "definitions": {"a": A}}
    assert all(isinstance(p.shape, Struct) for p in shape_of(schema).properties)


TOGETHER: dict[str, tuple[Any, Shape]] = {
    "an object and its alternatives": (
        {**A, "oneOf": [{"properties": {"b": {"type": "string"}}}, {"required": ["a"]}]},
        Struct((Property("a", "a", INTEGER), Property("b", "b", TEXT))),
    ),
    "a number that is an integer": ({"type": "number", "allOf": [{"type": "integer"}]}, INTEGER),
    "two that disagree": ({"type": "string", "allOf": [{"type": "integer"}]}, TEXT),
    "a text with a format elsewhere": ({"type": "string", "allOf": [{"format": "date"}]}, Leaf("date")),
    "a type and alternatives without one": ({"type": "integer", "anyOf": [{"minimum": 5}, {"maximum": 1}]}, INTEGER),
    "an open object that is a map": (
        {"type": "object", "allOf": [{"additionalProperties": {"type": "integer"}}]},
        shape_of({"properties": {"x": {"additionalProperties": {"type": "integer"}}}}).properties[0].shape,
    ),
    "anything and an integer": ({"anyOf": [{}, {"type": "integer"}]}, JSON_TEXT),
    "an integer and what is never": ({"anyOf": [False, {"type": "integer"}]}, INTEGER),
    "then and else": (
        {"type": "object", "if": {}, "then": A, "else": {"properties": {"a": {"type": "number"}}}},
        Struct((Property("a", "a", NUMBER),)),
    ),
    "then without if": ({"type": "object", "then": A}, JSON_TEXT),
    "tuples of two lengths": (
        {"oneOf": [{"items": [{"type": "integer"}]}, {"items": [{"type": "number"}, {"type": "string"}]}]},
        Struct((Property("0", "_0", NUMBER), Property("1", "_1", TEXT)), is_tuple=True),
    ),
    "a tuple or a list": ({"oneOf": [{"items": [{"type": "integer"}]}, {"items": {"type": "integer"}}]}, JSON_TEXT),
}


@pytest.mark.parametrize(("schema", "shape"), TOGETHER.values(), ids=TOGETHER)
def test_what_is_said_in_several_places_is_taken_together(schema: Any, shape: Shape) -> None:
    assert found(schema).shape == shape


def test_a_property_knows_what_the_schema_says_of_it() -> None:
    schema = {
        "type": "object",
        "required": ["a/b", "n"],
        "properties": {
            "a/b": {"type": ["null", "string"], "format": "date-time"},
            "n": {"$ref": "#/definitions/n"},
            "any": {"items": {"type": ["string", "integer"]}},
            "gone": False,
            "aB": {"type": "integer"},
            "a_b": {"type": "integer"},
            "metadata": {"type": "integer"},
        },
        "definitions": {"n": A},
    }
    by_path = dict(properties_in(shape_of(schema, ["metadata"])))
    assert {path: (p.is_required, p.type, p.pointer) for path, p in by_path.items()} == {
        "a_b_2": (True, "string or null", "#/properties/a~1b"),
        "n": (True, "object", "#/properties/n"),
        "n.a": (False, "integer", "#/definitions/n/properties/a"),
        "any": (False, "array", "#/properties/any"),
        "a_b_3": (False, "integer", "#/properties/aB"),
        "a_b": (False, "integer", "#/properties/a_b"),
        "metadata_2": (False, "integer", "#/properties/metadata"),
    }
    assert {path: p.reason for path, p in by_path.items() if p.reason} == {
        "any": "values of several types: string or integer"
    }
    assert {path: p.renamed for path, p in by_path.items() if p.renamed} == {
        "a_b_2": "a_b is the column of property 'a_b'",
        "a_b_3": "a_b is the column of property 'a_b'",
        "metadata_2": "every table has a column metadata",
    }


def test_a_small_file_does_not_become_millions_of_columns() -> None:
    levels = {
        f"l{number}": {"properties": {f"p{at}": {"$ref": f"#/definitions/l{number + 1}"} for at in range(10)}}
        for number in range(10)
    }
    began = time.process_time()
    shape = shape_of({"$ref": "#/definitions/l0", "definitions": {**levels, "l10": {"type": "integer"}}})
    assert sum(1 for _ in properties_in(shape)) <= MAX_SCHEMAS
    assert time.process_time() - began < 10
    reasons = {p.reason for _, p in properties_in(shape)}
    assert f"behind the first {MAX_SCHEMAS:,} schemas of the file" in reasons


@pytest.mark.parametrize("key", ["allOf", "anyOf", "$ref"])
def test_schemas_within_each_other_end_before_the_stack_does(key: str) -> None:
    nested: dict[str, Any] = {"type": "integer"}
    if key == "$ref":
        definitions = {f"d{number}": {"$ref": f"#/definitions/d{number + 1}"} for number in range(2_000)}
        assert found({"$ref": "#/definitions/d0"}, definitions=definitions).shape == JSON_TEXT
        return
    for _ in range(900):
        nested = {key: [nested]}
    assert found(nested).shape == JSON_TEXT
    assert read({"properties": {"x": nested}}).fields["x"].reason == f"deeper than {MAX_DEPTH} levels"
