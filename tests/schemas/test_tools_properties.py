"""The tools take any file: whatever JSON stands where a keyword should be, they tell findings or describe, and end."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from catchment.schemas.describing import describe
from catchment.schemas.lint import lint_file
from catchment.schemas.lintrules import RULES
from catchment.schemas.registry import Schema
from catchment.schemas.vocabulary import KEYWORDS

WORDS = [*sorted(KEYWORDS), "a", "clientId", "select", "", "["]
VALUES = st.sampled_from(
    [
        *("string", "object", "array", "integer", ["string", "null"], "#", "#/definitions/a", "#/properties/a", "x#y"),
        *(None, True, False, -1, 2**70, 1.5, "", "[", ["a"], "date-time", [], {}),
        "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft/2020-12/schema",
    ]
)
SCHEMAS = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=25,
)


@example({"enum": [], "type": [["string"], None]})
@given(st.dictionaries(st.sampled_from(WORDS), SCHEMAS, max_size=8))
def test_any_json_is_linted_and_described(document: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "order.1.schema.json"
        path.write_text(json.dumps(document, indent=1))
        lines = path.read_text().splitlines()
        for finding in lint_file(path):
            assert finding.code in RULES
            assert 1 <= finding.line <= len(lines)
            assert finding.pointer.startswith("#")
        described = describe(Schema("shop", "order", 1, path))
        assert all(field.pointer.startswith("#/") for field in described.fields)
        json.dumps([field.rules for field in described.fields])


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_linted(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "order.1.schema.json"
        path.write_bytes(content)
        for finding in lint_file(path):
            assert finding.code in RULES
