"""Random schemas and documents that they let in: every value of a document is found again in its row."""

from __future__ import annotations

import orjson
import pytest
from generating import schemas
from rebuilding import document, kept, rebuilt, rows, text

from catchment.schemas.registry import RESERVED_COLUMNS
from catchment.schemas.shape import shape_of

PARTS, SCHEMAS_OF_PART = 8, 250


@pytest.mark.parametrize("seed", range(PARTS))
def test_documents_of_random_schemas_come_back_from_their_rows(seed: int) -> None:
    """2,000 schemas; `rows` makes each row by each gatherer and compares them."""
    seen = 0
    for schema, contents in schemas(SCHEMAS_OF_PART, seed):
        shape = shape_of(schema, RESERVED_COLUMNS)
        found = rows(shape, map(document, contents))
        for row, content in zip(found, contents, strict=True):
            assert text(rebuilt(row, shape)) == text(kept(content, shape)), orjson.dumps(schema).decode()
        seen += len(contents)
    assert seen > SCHEMAS_OF_PART


def test_documents_of_plain_schemas_leave_nothing_over() -> None:
    seen = 0
    for schema, contents in schemas(150, seed=1_000, plain=True):
        shape = shape_of(schema, RESERVED_COLUMNS)
        for row, content in zip(rows(shape, map(document, contents)), contents, strict=True):
            assert row["additional_properties"] is None, (orjson.dumps(schema).decode(), content)
        seen += len(contents)
    assert seen > 150


def test_a_seed_makes_the_same_schemas_and_each_schema_one_table() -> None:
    for (schema, contents), (again, contents_again) in zip(schemas(50, 7), schemas(50, 7), strict=True):
        assert (schema, contents) == (again, contents_again)
        turned = orjson.loads(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))
        one, other = shape_of(schema, RESERVED_COLUMNS), shape_of(turned, RESERVED_COLUMNS)
        assert {p.name: p.column for p in one.properties} == {p.name: p.column for p in other.properties}
