"""Drawn pairs of schemas: what is called compatible accepts every document that was accepted."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
from hypothesis import given, settings
from hypothesis import strategies as st

from catchment.schemas.compatibility import compare_documents

NAMES = st.sampled_from(["a", "b"])
SCALARS: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-2, 3) | st.sampled_from([0.5, 1.0, "", "a", "ab"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2), max_leaves=6
)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
RULES = {
    "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
    "minimum": st.integers(-1, 2),
    "maximum": st.integers(-1, 2),
    "minLength": st.integers(0, 2),
    "maxLength": st.integers(0, 2),
    "multipleOf": st.integers(1, 4),
    "enum": st.lists(SCALARS, min_size=1, max_size=3),
    "const": SCALARS,
    "uniqueItems": st.booleans(),
    "minItems": st.integers(0, 2),
    "maxProperties": st.integers(0, 2),
    "required": st.lists(NAMES, unique=True, max_size=2),
}


def _more(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    objects = st.fixed_dictionaries(
        {"properties": st.fixed_dictionaries({"a": inner, "b": inner})}, optional={"required": RULES["required"]}
    )
    return objects | st.fixed_dictionaries(
        {},
        optional={
            **RULES,
            "items": inner,
            "additionalProperties": inner | st.booleans(),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        },
    )


SCHEMAS = st.recursive(st.fixed_dictionaries({}, optional=RULES), _more, max_leaves=4)


@given(SCHEMAS, SCHEMAS, st.lists(VALUES, min_size=8, max_size=8))
@settings(max_examples=150)
def test_what_is_compatible_refuses_nothing_that_was_valid(old: Any, new: Any, values: list[Any]) -> None:
    found = compare_documents(old, new)
    if not found.compatible or any(change.reason == "it is declared now" for change in found.changes):
        return  # the one rule that is kinder than the letter
    before, after = jsonschema_rs.Draft7Validator(old), jsonschema_rs.Draft7Validator(new)
    for value in values:
        assert after.is_valid(value) or not before.is_valid(value)


@given(SCHEMAS, st.data())
@settings(max_examples=150)
def test_a_rule_taken_away_is_compatible_or_told(old: Any, data: st.DataObject) -> None:
    """Close pairs, which two drawn alone seldom are: one keyword changed."""
    keyword = data.draw(st.sampled_from(sorted(RULES)))
    new = {**old, keyword: data.draw(RULES[keyword])} if data.draw(st.booleans()) else dict(old)
    new.pop(data.draw(st.sampled_from(sorted(old))) if old else "", None)
    if compare_documents(old, new).compatible:
        before, after = jsonschema_rs.Draft7Validator(old), jsonschema_rs.Draft7Validator(new)
        for value in data.draw(st.lists(VALUES, min_size=8, max_size=8)):
            assert after.is_valid(value) or not before.is_valid(value)
