"""Documents as columns: nothing raises, nothing is lost, and a row says what its document said."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rebuilding import ANY, GATHERERS, NAMES, TABLES, contents, document, kept, rebuilt, rows, text

from catchment.ingestion.decoder.body import MAX_DEPTH
from catchment.ingestion.decoder.metadata import client_of
from catchment.lake.columns import Columns, row_schema
from catchment.lake.gatherer import HAS_COMPILED, CompiledGatherer, Gatherer, gatherer_of
from catchment.schemas.registry import RESERVED_COLUMNS, Registry
from catchment.schemas.shape import Leaf, ListOf, MapOf, Property, Struct, shape_of

ORDER = shape_of(
    {
        "properties": {
            "orderId": {"type": "string"},
            "amount": {"type": "integer"},
            "price": {"type": "number"},
            "paid": {"type": "boolean"},
            "lines": {"type": "array", "items": {"properties": {"sku": {"type": "string"}}}},
            "tags": {"type": "object", "additionalProperties": {"type": "integer"}},
            "open": {"type": "object"},
            "at": {"type": "string", "format": "date-time"},
            "day": {"type": "string", "format": "date"},
            "pair": {"type": "array", "items": [{"type": "integer"}, {"type": "string"}]},
            "times": {"type": "object", "additionalProperties": {"type": "string", "format": "date-time"}},
        }
    },
    RESERVED_COLUMNS,
)
INSTANT = datetime(2018, 1, 1, 10, tzinfo=UTC)
EXACTLY: dict[str, tuple[Any, Any, Any]] = {
    "an integer": ({"amount": 5}, ("amount", 5), None),
    "the longest integer": ({"amount": 2**63 - 1}, ("amount", 2**63 - 1), None),
    "an integer beyond 64 bits": ({"amount": 2**63}, ("amount", None), {"amount": 2**63}),
    "a whole float for an integer": ({"amount": 1.0}, ("amount", 1), None),
    "a float for an integer": ({"amount": 1.5}, ("amount", None), {"amount": 1.5}),
    "minus zero for an integer": ({"amount": -0.0}, ("amount", None), {"amount": -0.0}),
    "a float that may stand for several integers": ({"amount": 1e17}, ("amount", None), {"amount": 1e17}),
    "true for an integer": ({"amount": True}, ("amount", None), {"amount": True}),
    "an integer for a double": ({"price": 3}, ("price", 3.0), None),
    "an integer that a double rounds": ({"price": 2**53 + 1}, ("price", None), {"price": 2**53 + 1}),
    "null": ({"amount": None}, ("amount", None), None),
    "an empty string": ({"orderId": ""}, ("order_id", ""), None),
    "an object for a string": ({"orderId": {"a": 1}}, ("order_id", None), {"orderId": {"a": 1}}),
    "an open object": ({"open": {"a": [1, None]}}, ("open", '{"a":[1,null]}'), None),
    "an unknown property": ({"more": {"a": None}}, ("amount", None), {"more": {"a": None}}),
    "an unknown null": ({"more": None}, ("amount", None), {"more": None}),
    "a column's name for a property": ({"order_id": "x"}, ("order_id", None), {"order_id": "x"}),
    "metadata's name for a property": ({"metadata": 1}, ("order_id", None), {"metadata": 1}),
    "an unknown key in a list": (
        {"lines": [{"sku": "a"}, {"sku": "b", "n": 1}]},
        ("lines", [{"sku": "a"}, {"sku": "b"}]),
        {"lines": {"1": {"n": 1}}},
    ),
    "a wrong item": ({"lines": [{}, 7, None]}, ("lines", [{"sku": None}, None, None]), {"lines": {"1": 7}}),
    "a list for a map": ({"tags": []}, ("tags", None), {"tags": []}),
    "a wrong value in a map": ({"tags": {"a": 1, "b": "x"}}, ("tags", [("a", 1)]), {"tags": {"b": "x"}}),
    "a null in a map": ({"tags": {"a": None, "": 0}}, ("tags", [("", 0)]), {"tags": {"a": None}}),
    "a timestamp": ({"at": "2018-01-01T10:00:00.000Z"}, ("at", INSTANT), None),
    "a timestamp of another offset": (
        {"at": "2018-01-01T12:00:00+02:00"},
        ("at", INSTANT),
        {"at": "2018-01-01T12:00:00+02:00"},
    ),
    "a timestamp finer than the column": (
        {"at": "2018-01-01T10:00:00.0000009Z"},
        ("at", INSTANT),
        {"at": "2018-01-01T10:00:00.0000009Z"},
    ),
    "a text that is no timestamp": ({"at": "yesterday"}, ("at", None), {"at": "yesterday"}),
    "a timestamp in a map": (
        {"times": {"a": "2018-01-01T10:00:00Z", "b": "2018-01-01T10:00:00-00:00", "c": ""}},
        ("times", [("a", INSTANT), ("b", INSTANT)]),
        {"times": {"b": "2018-01-01T10:00:00-00:00", "c": ""}},
    ),
    "a date": ({"day": "2024-02-29"}, ("day", date(2024, 2, 29)), None),
    "a day that is none": ({"day": "2023-02-29"}, ("day", None), {"day": "2023-02-29"}),
    "a tuple": ({"pair": [1, "a"]}, ("pair", {"_0": 1, "_1": "a"}), None),
    "a shorter tuple": ({"pair": [1]}, ("pair", {"_0": 1, "_1": None}), None),
    "an empty tuple": ({"pair": []}, ("pair", {"_0": None, "_1": None}), None),
    "a longer tuple": ({"pair": [1, "a", True]}, ("pair", {"_0": 1, "_1": "a"}), {"pair": {"2": True}}),
    "a tuple of a wrong item": ({"pair": ["1", "a"]}, ("pair", {"_0": None, "_1": "a"}), {"pair": {"0": "1"}}),
    "a tuple that begins with null": ({"pair": [None, "a"]}, ("pair", {"_0": None, "_1": "a"}), None),
    "a tuple that ends with null": ({"pair": [1, None]}, ("pair", {"_0": 1, "_1": None}), {"pair": {"1": None}}),
    "an object for a tuple": ({"pair": {"0": 1}}, ("pair", None), {"pair": {"0": 1}}),
    "an empty map": ({"tags": {}}, ("tags", []), None),
    "an empty list": ({"lines": []}, ("lines", []), None),
}


@pytest.mark.parametrize(("content", "column", "left"), EXACTLY.values(), ids=EXACTLY)
def test_a_value_goes_to_its_column_or_is_left_over(content: Any, column: tuple[str, Any], left: Any) -> None:
    [row] = rows(ORDER, [document(content)])
    assert text(row[column[0]]) == text(column[1])
    found = row["additional_properties"]
    assert (found and orjson.loads(found)) == left


@given(st.data())
def test_columns_and_leftovers_together_are_the_document(data: st.DataObject) -> None:
    shape = data.draw(TABLES)
    batch = data.draw(st.lists(contents(shape), min_size=1, max_size=4))
    before = [text(content) for content in batch]
    for row, content in zip(rows(shape, map(document, batch)), batch, strict=True):
        assert text(rebuilt(row, shape)) == text(kept(content, shape))
    assert [text(content) for content in batch] == before, "a document is not changed"


HISTOGRAM = {
    "properties": {
        "sum": {"type": "integer"},
        "mean": {"type": "number"},
        "name": {"type": "string"},
        "on": {"type": "boolean"},
        "range": {"type": "array", "items": {"type": "integer"}},
        "values": {"type": "object", "additionalProperties": {"type": "integer"}},
    }
}
HISTOGRAMS = shape_of(
    {
        "properties": {
            "map": {"type": "object", "additionalProperties": HISTOGRAM},
            "list": {"type": "array", "items": HISTOGRAM},
        }
    }
)
USUAL = {"sum": 3, "mean": 0.5, "name": "n", "on": True, "range": [1, 2], "values": {"0": 1, "1": 2}}
ODD: tuple[Any, ...] = (
    *({"values": {"0": odd, "1": 2}} for odd in (None, True, 1.0, 2**63, "1", [], {})),
    *({"range": [1, odd]} for odd in (None, True, 1.0, 2**63, "1", [], {})),
    *({"sum": odd} for odd in (None, False, 0.0, 2**63 - 1, 2**63, "", [], {})),
    *({"mean": odd} for odd in (None, True, 7, 2**53 + 1, "", [])),
    *({"name": odd} for odd in (None, 1, [])),
    *({"on": odd} for odd in (None, 1, 0.0)),
    *({"range": odd} for odd in (None, [], {}, 5)),
    *({"values": odd} for odd in (None, [], {}, 5)),
    *({"more": odd} for odd in (None, 1)),
)


@pytest.mark.parametrize("odd", [*ODD, None, 5, [], {}], ids=repr)
def test_one_odd_object_among_many_is_kept_too(odd: Any) -> None:
    whole = {**USUAL, **odd} if isinstance(odd, dict) and odd else odd
    objects = [USUAL, USUAL, whole, USUAL, {"sum": 1}]
    batch: list[dict[str, Any]] = [
        {"list": objects},
        {"map": {str(at): found for at, found in enumerate(objects)}},
        {"list": [USUAL] * 5, "map": {}},
        {},
    ]
    for row, content in zip(rows(HISTOGRAMS, map(document, batch)), batch, strict=True):
        assert text(rebuilt(row, HISTOGRAMS)) == text(kept(content, HISTOGRAMS))


@given(st.dictionaries(NAMES, ANY, max_size=4))
def test_a_document_without_a_schema_is_left_over_whole(content: dict[str, Any]) -> None:
    [row] = rows(None, [document(content, "c")])
    found = row["additional_properties"]
    assert text(orjson.loads(found) if found else {}) == text(content)
    assert (row["document_type"], row["document_version"]) == ("order", 1)


def test_the_deepest_document_that_the_decoder_lets_in_is_kept() -> None:
    content: Any = 1
    for level in range(MAX_DEPTH):
        content = [content] if level % 2 else {"x": content}
    content = content if isinstance(content, dict) else {"open": content[0]}
    for shape in (ORDER, shape_of({"properties": {"x": {"type": "object"}}}), shape_of({})):
        [row] = rows(shape, [document(content)])
        assert rebuilt(row, shape) == content


def test_the_schemas_client_id_is_not_repeated_while_the_column_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "shop" / "order" / "order.1.schema.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"properties": {"clientId": {"type": "string"}, "a": {"type": "integer"}}}))
    schema = Registry.load([tmp_path]).find("shop", "order", 1)
    assert schema is not None
    batch: list[dict[str, Any]] = [{"clientId": "c1", "a": 1}, {"a": 1}, {"clientId": ""}, {"clientId": "c", "b": 1}]
    batch += [{"clientId": 5}, {"clientId": "c", "client_id": "c"}]
    found = rows(schema.shape, [document(content, client_of(content)) for content in batch])
    left = [row["additional_properties"] for row in found]
    assert left == [None, None, '{"clientId":""}', '{"b":1}', '{"clientId":5}', '{"client_id":"c"}']
    assert [rebuilt(row, schema.shape) for row in found] == batch


def test_every_column_may_be_null_and_an_empty_document_has_only_its_metadata() -> None:
    assert all(field.nullable for field in row_schema(ORDER))
    [row] = rows(ORDER, [document({})])
    assert {name for name, value in row.items() if value is not None} == {
        "submission_timestamp",
        "document_id",
        "metadata",
    }
    assert row["submission_timestamp"].isoformat() == "2030-03-17T17:46:40.123456+00:00"


@pytest.mark.parametrize("gather", GATHERERS)
def test_take_empties_the_buffer_and_the_next_rows_stand_alone(gather: Callable[[Struct], Gatherer]) -> None:
    columns = Columns(ORDER, gather)
    assert columns.take().num_rows == 0
    for number in (1, 2):
        for tags in ({"a": number}, None, {"b": number, "c": "x"}):
            columns.append(document({"tags": tags, "lines": [{"sku": str(number)}, None]}))
        assert columns.rows == 3 and columns.size_bytes > 0
        table = columns.take()
        table.validate(full=True)
        assert (columns.rows, columns.size_bytes) == (0, 0)
        assert table.column("tags").to_pylist() == [[("a", number)], None, [("b", number)]]
        assert table.column("lines").to_pylist() == [[{"sku": str(number)}, None]] * 3
    assert columns.take().num_rows == 0


@pytest.mark.parametrize("gather", GATHERERS)
def test_what_was_taken_is_not_held(gather: Callable[[Struct], Gatherer]) -> None:
    columns = Columns(ORDER, gather)

    def fill() -> None:
        for number in range(2_000):
            columns.append(document({"tags": {f"{number}-{at}": at for at in range(20)}, "more": "x" * 200}))

    fill()
    columns.take()
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        fill()
        held = tracemalloc.get_traced_memory()[0] - before
        columns.take()
        gc.collect()
        left = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert held > 1_000_000
    assert left < held / 20


def test_many_rows_with_gaps_of_every_length_keep_their_places() -> None:
    batch: list[dict[str, Any]] = []
    for gap in range(20):
        batch += [{}] * gap
        batch += [
            {"amount": gap, "price": gap / 2, "paid": gap % 2 == 0, "orderId": "é" * gap, "tags": {str(gap): gap}}
        ]
        batch += [{"lines": [{"sku": str(gap)}] * gap, "open": {"a": gap}}]
    for row, content in zip(rows(ORDER, map(document, batch)), batch, strict=True):
        assert text(rebuilt(row, ORDER)) == text(kept(content, ORDER))


def test_the_compiled_gatherer_is_there() -> None:
    if not HAS_COMPILED:
        pytest.skip("no C compiler was there when Catchment was installed; columns are made by Python alone")
    assert isinstance(gatherer_of(ORDER), CompiledGatherer)


@pytest.mark.skipif(not HAS_COMPILED, reason="see test_the_compiled_gatherer_is_there")
@pytest.mark.parametrize(
    "spec", [("string", None), ("struct", None), ("list", None), ("struct", (("a", ("?", None)),)), 5]
)
def test_the_compiled_gatherer_refuses_what_is_no_spec(spec: Any) -> None:
    from catchment.lake import _columns

    with pytest.raises((TypeError, ValueError)):
        _columns.Gatherer(spec, orjson.dumps)


def test_columns_and_comments_follow_the_schema() -> None:
    shape = shape_of({"properties": {"aB": {"type": "integer", "description": "How many"}, "m": {"type": "object"}}})
    schema = row_schema(shape)
    assert schema.field("a_b").type == pa.int64()
    assert schema.field("a_b").metadata == {b"doc": b"How many"}
    assert schema.field("m").type == pa.string()
    assert schema.names[0] == "submission_timestamp" and schema.names[-1] == "additional_properties"
    assert set(RESERVED_COLUMNS) <= set(schema.names)


def test_a_column_of_each_shape_has_its_arrow_type() -> None:
    inner = Struct((Property("x", "x", Leaf("number")), Property("y", "y", Leaf("json"))))
    shape = Struct((Property("l", "l", ListOf(Leaf("boolean"))), Property("m", "m", MapOf(inner))))
    found = row_schema(shape)
    assert found.field("l").type == pa.list_(pa.bool_())
    assert found.field("m").type == pa.map_(pa.string(), pa.struct([("x", pa.float64()), ("y", pa.string())]))


@pytest.mark.parametrize("labels", ["pass", "fail"])
def test_real_documents_come_back_from_their_columns(shared_data: Path, labels: str) -> None:
    registry = Registry.load([shared_data / "pipeline-schemas" / "schemas"])
    seen = 0
    for path in sorted((shared_data / "pipeline-schemas" / "validation").glob(f"*/*.{labels}.json")):
        doctype, version, _, _ = path.name.removesuffix(".json").rsplit(".", 3)
        schema = registry.find(path.parent.name, doctype, int(version))
        try:
            content = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError:
            continue
        if schema is None or not isinstance(content, dict):
            continue
        [row] = rows(schema.shape, [document(content)])
        assert text(rebuilt(row, schema.shape)) == text(kept(content, schema.shape)), path.name
        seen += 1
    assert seen >= 40


def test_the_comment_of_a_renamed_column_names_its_property() -> None:
    properties = {"aB": {"type": "integer", "description": "How many"}, "a_b": {"type": "integer"}, "metadata": {}}
    schema = row_schema(shape_of({"properties": properties}, RESERVED_COLUMNS))
    assert schema.field("a_b_2").metadata == {b"doc": b"How many (property 'aB')"}
    assert schema.field("metadata_2").metadata == {b"doc": b"property 'metadata'"}
    assert schema.field("a_b").metadata is None
