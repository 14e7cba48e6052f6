"""The inverse of the mapping: a document from the columns of its row and `additional_properties`; and shapes to try.

What the columns may change is stated here, in `kept`, and nowhere else: a property of the shape that is null counts as
absent, an integer in a column of doubles comes back as a float, a whole float in a column of integers as an integer,
and a timestamp in UTC in one spelling.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from hypothesis import strategies as st

from catchment.document import Document
from catchment.lake.appender import LONGEST_EXACT
from catchment.lake.columns import Columns
from catchment.lake.gatherer import HAS_COMPILED, CompiledGatherer, PlainGatherer
from catchment.lake.moments import read_timestamp
from catchment.schemas.names import column_names
from catchment.schemas.registry import RESERVED_COLUMNS
from catchment.schemas.shape import Leaf, ListOf, MapOf, Property, Shape, Struct

ABSENT: Any = object()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
GATHERERS = (PlainGatherer, CompiledGatherer) if HAS_COMPILED else (PlainGatherer,)


def document(content: dict[str, Any], client_id: str | None = None) -> Document:
    body = orjson.dumps(content)
    return Document("shop", "order", 1, "id", 1_900_000_000_123_456_789, body, content, client_id=client_id)


def rows(shape: Struct | None, documents: Iterable[Document]) -> list[dict[str, Any]]:
    """The documents as rows of a table that has been through all of Arrow's own checks, the same by each gatherer."""
    documents = list(documents)
    found: list[dict[str, Any]] = []
    for gather in GATHERERS:
        columns = Columns(shape, gather)
        for one in documents:
            columns.append(one)
        table = columns.take()
        table.validate(full=True)
        assert table.schema.equals(columns.schema, check_metadata=True)
        by_this = table.to_pylist()
        assert not found or _with_parsed_leftovers(found) == _with_parsed_leftovers(by_this)
        found = by_this
    return found


def _with_parsed_leftovers(found: list[dict[str, Any]]) -> list[tuple[bytes, bytes]]:
    """Comparable: what is left over may come in another order. As text, so that 1, 1.0 and true differ."""
    rest = "additional_properties"
    return [(text({**row, rest: None}), text(orjson.loads(row[rest] or "null"))) for row in found]


def rebuilt(row: dict[str, Any], shape: Struct) -> dict[str, Any]:
    """The document that a row was made of."""
    text = row["additional_properties"]
    leftovers = orjson.loads(text) if text is not None else {}
    assert text is None or leftovers, "nothing left over is NULL"
    whole: dict[str, Any] = _rebuilt(row, shape, leftovers)
    if shape.client_id is not None and shape.client_id not in whole and row["client_id"] is not None:
        whole[shape.client_id] = row["client_id"]
    return whole


def _rebuilt(value: Any, shape: Shape, left: Any) -> Any:
    if value is None:
        return left
    if isinstance(shape, Leaf):
        assert left is ABSENT or shape.kind == "timestamp"
        return leaf(value, shape.kind) if left is ABSENT else left
    left = {} if left is ABSENT else left
    if isinstance(shape, Struct) and shape.is_tuple:
        found = {int(at): inner for at, inner in left.items()}
        for at, p in enumerate(shape.properties):
            if (inner := _rebuilt(value[p.column], p.shape, found.get(at, ABSENT))) is not ABSENT:
                found[at] = inner
        return [found.get(at) for at in range(max(found, default=-1) + 1)]
    if isinstance(shape, Struct):
        whole = {p.name: _rebuilt(value[p.column], p.shape, left.get(p.name, ABSENT)) for p in shape.properties}
        return {**left, **{name: inner for name, inner in whole.items() if inner is not ABSENT}}
    if isinstance(shape, MapOf):
        return {**left, **{key: _rebuilt(inner, shape.value, left.get(key, ABSENT)) for key, inner in value}}
    items = [_rebuilt(item, shape.item, left.get(str(at), ABSENT)) for at, item in enumerate(value)]
    return [None if item is ABSENT else item for item in items]


def leaf(value: Any, kind: str) -> Any:
    if kind == "json":
        return orjson.loads(value)
    if kind == "timestamp":
        return value.isoformat(timespec="microseconds")
    return value.isoformat() if kind == "date" else value


def kept(value: Any, shape: Shape) -> Any:
    """The value as the columns may give it back."""
    if isinstance(shape, Leaf):
        return _kept_leaf(value, shape.kind)
    if isinstance(shape, Struct) and shape.is_tuple and isinstance(value, list):
        shapes = [p.shape for p in shape.properties]
        return [kept(item, shapes[at]) if at < len(shapes) else item for at, item in enumerate(value)]
    if isinstance(shape, Struct) and not shape.is_tuple and isinstance(value, dict):
        places = {p.name: p.shape for p in shape.properties}
        return {
            name: kept(inner, places[name]) if name in places else inner
            for name, inner in value.items()
            if inner is not None or name not in places
        }
    if isinstance(shape, MapOf) and isinstance(value, dict):
        return {key: kept(inner, shape.value) for key, inner in value.items()}
    if isinstance(shape, ListOf) and isinstance(value, list):
        return [kept(item, shape.item) for item in value]
    return value


def _kept_leaf(value: Any, kind: str) -> Any:
    if kind == "number" and type(value) is int and -LONGEST_EXACT <= value <= LONGEST_EXACT:
        return float(value)
    if kind == "integer" and type(value) is float and value.is_integer() and abs(value) <= LONGEST_EXACT:
        return value if str(value) == "-0.0" else int(value)
    if kind == "timestamp" and (found := read_timestamp(value)) is not None and not found[1]:
        return (EPOCH + timedelta(microseconds=found[0])).isoformat(timespec="microseconds")
    return value


def text(value: Any) -> bytes:
    """JSON text by which values are compared: 1, 1.0 and true differ, the order of keys does not."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


NAMES = st.sampled_from(["a", "b", "A", "a_b", "aB", "a-b", "", "0", "clientId", "client_id", "metadata", "ключ", "\0"])
INTEGERS = st.one_of(
    st.integers(-3, 300),
    st.sampled_from([2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, -(2**63), 2**64 - 1]),
)
FLOATS = st.sampled_from([0.0, -0.0, 1.0, 0.1, 1e300, 5e-324, float(2**63)]) | st.floats(
    allow_nan=False, allow_infinity=False
)
TEXTS = st.sampled_from(["", "x", "null", '"', "\0", "😀"]) | st.text(max_size=8)
MOMENTS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["2026-11-25", "2024-02-29", "0001-01-01", "9999-12-31", "1969-12-31", "2023-02-29", "0000-01-01"]),
    st.sampled_from(["T00:00:00", "T23:59:59", "t12:30:15", "T23:59:60", "T24:00:00", " 01:02:03", "T08:00", ""]),
    st.sampled_from(["", ".0", ".5", ".123", ".123456", ".1234560", ".1234567", "."]),
    st.sampled_from(["Z", "z", "+00:00", "-00:00", "+02:00", "-23:59", "+24:00", "+0200", "", "Z "]),
)
DATES = st.dates().map(str) | st.sampled_from(
    ["2023-02-29", "2024-02-29", "0000-01-01", "20240229", "2024-2-9", "٢٠٢٤-٠٢-٠٩"]
)
ANY = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
_OF_KIND = {"string": TEXTS, "integer": INTEGERS, "number": FLOATS | INTEGERS, "boolean": st.booleans(), "json": ANY}
_OF_KIND |= {"timestamp": MOMENTS, "date": DATES}


def _struct(inner: st.SearchStrategy[Shape], reserved: tuple[str, ...] = ()) -> st.SearchStrategy[Struct]:
    def make(shapes: dict[str, Shape]) -> Struct:
        columns = column_names(shapes, reserved)
        return Struct(tuple(Property(name, columns[name], shape) for name, shape in shapes.items()))

    return st.dictionaries(NAMES, inner, min_size=1, max_size=5).map(make)


def _tuple(inner: st.SearchStrategy[Shape]) -> st.SearchStrategy[Struct]:
    def make(shapes: list[Shape]) -> Struct:
        return Struct(tuple(Property(str(at), f"_{at}", shape) for at, shape in enumerate(shapes)), is_tuple=True)

    return st.lists(inner, min_size=1, max_size=3).map(make)


LEAVES: st.SearchStrategy[Shape] = st.sampled_from([Leaf(kind) for kind in _OF_KIND])
PLAIN = _struct(LEAVES | st.builds(MapOf, LEAVES) | st.builds(ListOf, LEAVES))
"""What is appended many at a time, when no map or list is of JSON text."""
SHAPES = st.recursive(
    LEAVES,
    lambda inner: st.builds(MapOf, inner) | st.builds(ListOf, inner) | _struct(inner) | _tuple(inner),
    max_leaves=10,
)
TABLES = _struct(SHAPES | st.builds(MapOf, PLAIN) | st.builds(ListOf, PLAIN), RESERVED_COLUMNS)


def values(shape: Shape, oddity: int = 8, most: int = 6) -> st.SearchStrategy[Any]:
    """Values for a place: one in `oddity` is anything at all, and objects have unknown keys as often."""
    return st.integers(0, oddity).flatmap(lambda at: ANY if at == oddity else _fitting(shape, oddity, most))


def _fitting(shape: Shape, oddity: int, most: int) -> st.SearchStrategy[Any]:
    if isinstance(shape, Leaf):
        return _OF_KIND[shape.kind]
    if isinstance(shape, MapOf):
        return st.dictionaries(NAMES | st.text(max_size=3), values(shape.value, oddity, most), max_size=most)
    if isinstance(shape, ListOf):
        return st.lists(values(shape.item, oddity, most), max_size=most)
    return _positions(shape, oddity, most) if shape.is_tuple else contents(shape, oddity, most)


def _positions(shape: Struct, oddity: int, most: int) -> st.SearchStrategy[list[Any]]:
    """Arrays for a tuple: as long as it, shorter, or with more behind, nulls anywhere."""
    full = st.tuples(*(st.none() | values(p.shape, oddity, most) for p in shape.properties))
    more = st.lists(ANY, max_size=2)
    return st.builds(lambda held, rest, end: [*held, *rest][: end if end < 4 else None], full, more, st.integers(0, 9))


def contents(shape: Struct, oddity: int = 8, most: int = 6) -> st.SearchStrategy[dict[str, Any]]:
    """Documents of a struct: each property there or not, unknown ones beside them."""
    known = st.fixed_dictionaries({}, optional={p.name: values(p.shape, oddity, most) for p in shape.properties})
    unknown = st.integers(0, oddity).flatmap(
        lambda at: st.dictionaries(NAMES, ANY, max_size=2) if at == oddity else st.just({})
    )
    return st.builds(lambda more, fits: {**more, **fits}, unknown, known)
