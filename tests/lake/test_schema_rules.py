"""The rules in docs/schemas.md: every line of its tables is run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from generating import DRAFTS
from rebuilding import document, rows

from catchment.schemas.reading import MAX_DEPTH, MAX_SCHEMAS
from catchment.schemas.registry import RESERVED_COLUMNS
from catchment.schemas.shape import Leaf, ListOf, MapOf, Shape, shape_of

PAGE = (Path(__file__).parents[2] / "docs" / "schemas.md").read_text()
TYPES = {"string": "string", "json": "JSON", "integer": "long", "number": "double", "boolean": "boolean"}
TYPES |= {"timestamp": "timestamp", "date": "date"}
DEFINITIONS = json.loads(re.search(r'"definitions": (\{.*?)` beside them', PAGE, re.DOTALL)[1])  # type: ignore[index]


def examples() -> Iterator[dict[str, str]]:
    """The lines of the tables that have a schema of `x`, by the names of their columns."""
    header: list[str] = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if "schema of `x`" in cells:
            header = cells
        elif not cells:
            header = []
        elif header and not set(line) <= set("|- "):
            yield dict(zip(header, cells, strict=True))


EXAMPLES = list(examples())


def value_in(cell: str) -> Any:
    return json.loads(cell.strip("`")) if cell else None


def type_text(shape: Shape) -> str:
    if isinstance(shape, Leaf):
        return TYPES[shape.kind]
    if isinstance(shape, ListOf):
        return f"list<{type_text(shape.item)}>"
    if isinstance(shape, MapOf):
        return f"map<string, {type_text(shape.value)}>"
    return f"struct<{', '.join(f'{p.column}: {type_text(p.shape)}' for p in shape.properties)}>"


def shown(value: Any, shape: Shape) -> Any:
    """A value of a row as the page writes it."""
    if value is None:
        return None
    if isinstance(shape, Leaf):
        return value.isoformat() if shape.kind in ("timestamp", "date") else value
    if isinstance(shape, ListOf):
        return [shown(item, shape.item) for item in value]
    if isinstance(shape, MapOf):
        return {key: shown(inner, shape.value) for key, inner in value}
    return {p.column: shown(value[p.column], p.shape) for p in shape.properties}


def test_the_page_has_an_example_of_each_rule() -> None:
    assert len(EXAMPLES) > 50


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"{e['schema of `x`']} {e['in the ping']}" for e in EXAMPLES])
def test_a_line_of_the_page_is_what_happens(example: dict[str, str]) -> None:
    draft = next(url for name, url in DRAFTS.items() if example.get("draft", "7").startswith(name))
    schema = value_in(example["schema of `x`"])
    shape = shape_of({"$schema": draft, "properties": {"x": schema}, "definitions": DEFINITIONS}, RESERVED_COLUMNS)
    [found] = shape.properties
    assert type_text(found.shape) == example["column"]
    [row] = rows(shape, [document({"x": value_in(example["in the ping"])})])
    assert json.dumps(shown(row["x"], found.shape)) == json.dumps(value_in(example["in the row"]))
    left = orjson.loads(row["additional_properties"] or "{}")
    assert left == ({"x": value_in(example["left over"])} if example["left over"] else {})


def test_the_limits_are_those_of_the_page() -> None:
    assert f"Deeper than {MAX_DEPTH} levels, and behind the first {MAX_SCHEMAS:,} schemas" in PAGE
