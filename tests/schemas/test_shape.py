"""What becomes of each form of a schema in the table."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catchment.schemas.reading import MAX_DEPTH
from catchment.schemas.shape import JSON_TEXT, Leaf, ListOf, MapOf, Property, Shape, Struct, shape_of

TEXT, INTEGER, NUMBER, BOOLEAN = Leaf("string"), Leaf("integer"), Leaf("number"), Leaf("boolean")
A_TEXT = Struct((Property("a", "a", TEXT),))
SHAPES: dict[str, tuple[Any, Shape]] = {
    "a string": ({"type": "string"}, TEXT),
    "a timestamp": ({"type": "string", "format": "date-time"}, Leaf("timestamp")),
    "a date": ({"type": ["null", "string"], "format": "date"}, Leaf("date")),
    "a format that is none": ({"type": "string", "format": "datetime"}, TEXT),
    "a format of another type": ({"type": "integer", "format": "date-time"}, INTEGER),
    "an integer or null": ({"type": ["null", "integer"]}, INTEGER),
    "an integer or a number": ({"type": ["integer", "number"]}, NUMBER),
    "a string or an integer": ({"type": ["string", "integer"]}, JSON_TEXT),
    "an enum of strings": ({"enum": ["a", "b", None]}, TEXT),
    "an enum of true": ({"enum": [True]}, BOOLEAN),
    "a constant": ({"const": 5}, INTEGER),
    "null alone": ({"type": "null"}, JSON_TEXT),
    "anything": ({}, JSON_TEXT),
    "true": (True, JSON_TEXT),
    "an object with properties": ({"properties": {"a": {"type": "string"}}}, A_TEXT),
    "an open object": ({"type": "object"}, JSON_TEXT),
    "an object with no properties": ({"type": "object", "properties": {}}, JSON_TEXT),
    "a map": ({"type": "object", "additionalProperties": {"type": "integer"}}, MapOf(INTEGER)),
    "a map by patterns": ({"patternProperties": {"^a": {"type": "integer"}, "^b": {"type": "number"}}}, MapOf(NUMBER)),
    "a map of different things": (
        {"patternProperties": {"^a": {"type": "integer"}}, "additionalProperties": {"type": "string"}},
        MapOf(JSON_TEXT),
    ),
    "a list": ({"type": "array", "items": {"type": "string"}}, ListOf(TEXT)),
    "a tuple": (
        {"type": "array", "items": [{"type": "string"}, {"type": "object"}]},
        Struct((Property("0", "_0", TEXT), Property("1", "_1", JSON_TEXT)), is_tuple=True),
    ),
    "a list of anything": ({"type": "array"}, JSON_TEXT),
    "one of integer and null": ({"oneOf": [{"type": "integer"}, {"type": "null"}]}, INTEGER),
    "any of string and integer": ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, JSON_TEXT),
    "a reference": ({"$ref": "#/definitions/text"}, TEXT),
    "a reference into a list": ({"$ref": "#/definitions/list/0"}, BOOLEAN),
    "a reference to nothing": ({"$ref": "#/definitions/none"}, JSON_TEXT),
    "a reference out of the file": ({"$ref": "other.json#/a"}, JSON_TEXT),
    "all of two": ({"allOf": [{"$ref": "#/definitions/a"}, {"type": "object"}]}, A_TEXT),
}
DEFINITIONS = {
    "text": {"type": "string"},
    "list": [{"type": "boolean"}],
    "a": {"properties": {"a": {"type": "string"}}},
}


def shape_in(schema: Any) -> Shape:
    [found] = shape_of({"properties": {"x": schema}, "definitions": DEFINITIONS}).properties
    return found.shape


@pytest.mark.parametrize(("schema", "shape"), SHAPES.values(), ids=SHAPES)
def test_a_schema_becomes_a_shape(schema: Any, shape: Shape) -> None:
    assert shape_in(schema) == shape


def test_a_reference_that_comes_back_to_itself_ends_as_text() -> None:
    shape = shape_of({"properties": {"child": {"$ref": "#"}, "n": {"type": "integer"}}})
    assert [p.shape for p in shape.properties] == [JSON_TEXT, INTEGER]
    assert [p.reason for p in shape.properties] == ["a $ref that comes back to itself", ""]


def test_deeper_than_the_limit_everything_is_text() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(MAX_DEPTH + 5):
        schema = {"properties": {"x": schema}}
    shape: Shape = shape_of(schema)
    depth = 0
    while isinstance(shape, Struct):
        shape, depth = shape.properties[0].shape, depth + 1
    assert (shape, depth) == (JSON_TEXT, MAX_DEPTH + 1)


def test_a_description_is_kept_on_one_line() -> None:
    [found] = shape_of({"properties": {"x": {"description": "What\n  it is", "title": "X"}}}).properties
    assert found.description == "What it is"


def test_a_schema_that_is_no_object_has_no_columns() -> None:
    assert shape_of({"type": "string"}) == Struct(())
    assert shape_of({"$ref": "#"}) == Struct(())


KEYWORDS = st.sampled_from(
    [
        *("type", "properties", "patternProperties", "additionalProperties", "items", "prefixItems", "enum", "const"),
        *("oneOf", "anyOf", "allOf", "if", "then", "else", "dependencies", "dependentSchemas", "$ref", "$dynamicRef"),
        *("description", "title", "definitions", "$defs", "$id", "id", "$anchor", "$schema", "format", "required", "x"),
    ]
)
WORDS = st.sampled_from(
    [
        *("object", "array", "string", "integer", "null", "date-time", "http://json-schema.org/draft-07/schema#"),
        *("#", "#/x", "#/definitions/x", "#/allOf/0", "#x", "x", "https://[", "//", "#/%", "x#y#z"),
    ]
)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS, inner, max_size=4),
    max_leaves=25,
)


@given(st.dictionaries(KEYWORDS, ANY, max_size=5))
def test_no_schema_is_refused_however_odd(schema: dict[str, Any]) -> None:
    assert isinstance(shape_of(schema), Struct)
