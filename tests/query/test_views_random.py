"""Any versions can be united: the view can be made, and each version's value stands in exactly one of its columns."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from catchment.lake.evolution import iceberg_schema
from catchment.lake.versions import Version, schema_of, unite
from catchment.query.unions import create_union
from catchment.query.views import sql_type

LEAVES: list[tuple[pa.DataType, list[Any]]] = [
    (pa.int64(), [5, -(2**40)]),
    (pa.int32(), [7]),
    (pa.float64(), [0.5, 3.0]),
    (pa.string(), ["text", "12"]),
    (pa.bool_(), [True, False]),
]
NAMES = st.sampled_from(["a", "b", "a_v1", "x"])


def structs(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def struct(fields: dict[str, tuple[pa.DataType, Any]]) -> tuple[pa.DataType, Any]:
        kind = pa.struct([(name, kind) for name, (kind, _) in fields.items()])
        return kind, {name: value for name, (_, value) in fields.items()}

    return st.dictionaries(NAMES, inner, min_size=1, max_size=3).map(struct)


LEAF = st.sampled_from(LEAVES).flatmap(lambda leaf: st.tuples(st.just(leaf[0]), st.sampled_from(leaf[1])))
TYPED = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        structs(inner),
        inner.map(lambda typed: (pa.list_(typed[0]), [typed[1]])),
        inner.map(lambda typed: (pa.map_(pa.string(), typed[0]), [("k", typed[1])])),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(TYPED, min_size=1, max_size=4))
def test_any_versions_can_be_united(values: list[tuple[pa.DataType, Any]]) -> None:
    versions = [Version(number, f"shop.order_v{number}") for number in range(len(values), 0, -1)]
    tables = {
        number: pa.table({"document_id": [str(number)], "x": pa.array([value], kind)})
        for number, (kind, value) in enumerate(values, 1)
    }
    columns = unite([(version.number, iceberg_schema(tables[version.number].schema)) for version in versions])
    with duckdb.connect(":memory:") as connection:
        connection.execute("CREATE SCHEMA shop")
        for number, table in tables.items():
            connection.register(f"rows_{number}", table)
            connection.execute(f"CREATE VIEW shop.order_v{number} AS SELECT * FROM rows_{number}")
        create_union(connection, "shop.order", columns, versions)
        described = connection.execute("DESCRIBE shop.order").fetchall()
        rows = connection.sql("SELECT * FROM shop.order").to_arrow_table().to_pylist()
    assert [row[0] for row in described] == [field.name for field in schema_of(columns).fields]
    assert sorted(row["document_version"] for row in rows) == sorted(tables)
    for row in rows:
        number = row["document_version"]
        shown = [c for c in columns if number in c.held and c.held[number].name == "x"]
        assert len(shown) == 1
        assert row[shown[0].name] is not None
        assert all(row[c.name] is None for c in columns if c.held and number not in c.held)
        if sql_type(shown[0].held[number].field_type) == sql_type(shown[0].kind):
            assert row[shown[0].name] == tables[number].to_pylist()[0]["x"]
