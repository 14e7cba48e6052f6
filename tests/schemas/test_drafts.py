"""Every draft is judged as declared, and definitions are followed within the file only."""

from __future__ import annotations

from pathlib import Path

import pytest

from catchment.schemas.registry import Registry
from tests.schemas.live_kit import put

DRAFTS = {
    # draft → (a schema that reads differently by another draft, what it takes, what it refuses)
    "http://json-schema.org/draft-04/schema#": (
        {"properties": {"a": {"maximum": 3, "exclusiveMaximum": True}}},
        {"a": 2},
        {"a": 3},
    ),
    "http://json-schema.org/draft-06/schema#": ({"properties": {"a": {"exclusiveMaximum": 3}}}, {"a": 2}, {"a": 3}),
    "http://json-schema.org/draft-07/schema#": (
        {"if": {"required": ["a"]}, "then": {"required": ["b"]}, "definitions": {"x": {"$ref": "#"}}},
        {"a": 1, "b": 1},
        {"a": 1},
    ),
    "https://json-schema.org/draft/2019-09/schema": (
        {"$defs": {"x": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/x", "maximum": 3}}},
        {"a": 3},
        {"a": 4},
    ),
    "https://json-schema.org/draft/2020-12/schema": (
        {"properties": {"a": {"prefixItems": [{"type": "integer"}], "items": False}}},
        {"a": [1]},
        {"a": [1, 2]},
    ),
}


@pytest.mark.parametrize("draft", DRAFTS)
def test_a_schema_is_read_by_the_draft_that_it_declares(tmp_path: Path, draft: str) -> None:
    rules, valid, invalid = DRAFTS[draft]
    put(tmp_path, "order", {"$schema": draft, **rules})
    registry = Registry.load([tmp_path])
    assert registry.check() == []
    schema = registry.find("shop", "order", 1)
    assert schema is not None
    assert schema.violation(valid) is None
    assert schema.violation(invalid) is not None


@pytest.mark.parametrize("draft", DRAFTS)
def test_a_definition_is_followed_within_the_file_and_not_out_of_it(tmp_path: Path, draft: str) -> None:
    name = "$defs" if "/draft/" in draft else "definitions"
    local = {"$schema": draft, name: {"x": {"type": "integer"}}, "properties": {"a": {"$ref": f"#/{name}/x"}}}
    put(tmp_path, "order", local)
    put(tmp_path, "visit", {**local, "properties": {"a": {"$ref": "https://example.org/x.json"}}})
    registry = Registry.load([tmp_path])
    [problem] = registry.check()
    assert "https://example.org/x.json is outside of the file; copy what it points to into the file" in problem
    schema = registry.find("shop", "order", 1)
    assert schema is not None
    assert schema.violation({"a": 1}) is None
    assert schema.violation({"a": "1"}) is not None
