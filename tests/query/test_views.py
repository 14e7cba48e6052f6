"""Views over all versions of a doctype: every value is there, in one type, and only the files that are needed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from catchment.lake.tables import Lake
from catchment.lake.versions import views_of
from catchment.query.port import Limits, QueryEngine

Put = Callable[[str, pa.Table], None]
START = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)


def ask(engine: QueryEngine, sql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = engine.run(sql, Limits()).read_all().to_pylist()
    return rows


def files(engine: QueryEngine, sql: str) -> int:
    result = engine.run(sql, Limits())
    result.read_all()
    return result.files


def rows_of(day: int, document_id: str, **columns: pa.Array) -> pa.Table:
    """One row, with what every table has."""
    base = {
        "submission_timestamp": pa.array([START + dt.timedelta(days=day)], pa.timestamp("us", "UTC")),
        "document_id": pa.array([document_id]),
        "sample_id": pa.array([day], pa.int32()),
    }
    return pa.table({**base, **columns})


def one(value: Any, kind: pa.DataType | None = None) -> pa.Array:
    return pa.array([value], kind)


V1 = {
    "count": one(1, pa.int64()),
    "ratio": one(2, pa.int64()),
    "name": one(7, pa.int64()),
    "flag": one("yes"),
    "note": one({"a": [1, 2]}),
    "tags": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
    "list": one([1, 2], pa.list_(pa.int64())),
    "items": one([{"sku": "old", "count": 1}]),
    "mixed": one([1], pa.list_(pa.int64())),
    "info": one({"reason": "old", "size": "big", "inner": {"x": 1, "old": True}}),
    "gone": one("only in 1"),
}
V2 = {
    "count": one(3, pa.int64()),
    "ratio": one(0.5),
    "name": one("seven"),
    "flag": one(True),
    "note": one("text"),
    "tags": pa.array([[("k", 1.5)]], pa.map_(pa.string(), pa.float64())),
    "list": one([0.5]),
    "items": one([{"sku": "new", "price": 1.5}]),
    "mixed": one(["a"]),
    "info": one({"reason": "new", "size": 5, "inner": {"x": 1.5, "new": "n"}}),
    "fresh": one("only in 2"),
}


@pytest.fixture(scope="module")
def order(put: Put) -> str:
    """Two versions with every kind of difference, one row each."""
    put("shop.order_v1", rows_of(0, "one", **V1))
    put("shop.order_v2", rows_of(1, "two", **V2))
    return "shop.order"


@pytest.fixture(scope="module")
def visit(put: Put) -> str:
    """Versions 1, 2 and 10, three days each, a file a day."""
    for version in (1, 2, 10):
        for day in range(3):
            put(f"shop.visit_v{version}", rows_of(day, f"{version}-{day}"))
    return "shop.visit"


def test_a_view_has_the_rows_and_columns_of_all_versions(engine: QueryEngine, order: str) -> None:
    rows = ask(engine, f"SELECT * FROM {order} ORDER BY document_version")
    assert list(rows[0])[:4] == ["submission_timestamp", "document_id", "document_version", "sample_id"]
    assert [(row["document_id"], row["document_version"]) for row in rows] == [("one", 1), ("two", 2)]
    assert [row["gone"] for row in rows] == ["only in 1", None]
    assert [row["fresh"] for row in rows] == [None, "only in 2"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("count", [1, 3]),
        ("ratio", [2.0, 0.5]),
        ("name", ["7", "seven"]),
        ("flag", [None, True]),
        ("flag_v1", ["yes", None]),
        ("note", ['{"a":[1,2]}', "text"]),
        ("tags['k']", [1.0, 1.5]),
        ("list", [[1.0, 2.0], [0.5]]),
        ("items", [[{"sku": "old", "price": None, "count": 1}], [{"sku": "new", "price": 1.5, "count": None}]]),
        ("mixed", [["1"], ["a"]]),
        ("info.reason", ["old", "new"]),
        ("info.size", [None, 5]),
        ("info.size_v1", ["big", None]),
        ("info.inner.x", [1.0, 1.5]),
        ("info.inner.old", [True, None]),
        ('info.inner."new"', [None, "n"]),
    ],
)
def test_each_value_is_found_again(engine: QueryEngine, order: str, columns: str, expected: list[Any]) -> None:
    rows = ask(engine, f"SELECT {columns} AS v FROM {order} ORDER BY document_version")
    assert [row["v"] for row in rows] == expected


def test_a_struct_that_is_null_stays_null(engine: QueryEngine, put: Put, order: str) -> None:
    old = pa.struct([("a", pa.string()), ("b", pa.int64())])
    new = pa.struct([("a", pa.bool_()), ("b", pa.int64())])
    put("shop.empty_v1", rows_of(0, "one", s=one(None, old)))
    put("shop.empty_v2", rows_of(0, "two", s=one({"a": True, "b": 1}, new)))
    rows = ask(engine, "SELECT s IS NULL AS is_null FROM shop.empty ORDER BY document_version")
    assert [row["is_null"] for row in rows] == [True, False]


def test_a_view_of_one_version_is_its_table_and_the_version(engine: QueryEngine, pings: str) -> None:
    [row] = ask(engine, "SELECT min(document_version) low, max(document_version) high, count(*) n FROM telemetry.main")
    [table] = ask(engine, "SELECT count(*) n FROM telemetry.main_v4")
    assert row == {"low": 4, "high": 4, "n": table["n"]}


@pytest.mark.parametrize(
    ("where", "expected_files", "expected_rows"),
    [
        ("", 9, 9),
        ("WHERE date(submission_timestamp) = '2026-11-21'", 3, 3),
        ("WHERE submission_timestamp >= '2026-11-21' AND document_version = 10", 2, 2),
        ("WHERE document_version IN (1, 2)", 6, 6),
        ("WHERE document_version > 2", 3, 3),
        ("WHERE document_version = 7", 0, 0),
        ("WHERE document_version = 1 OR sample_id = 0", 9, 5),
        ("WHERE sample_id = 2", 3, 3),
        ("v WHERE v.sample_id = 2 AND v.document_version = 2", 1, 1),
    ],
)
def test_only_the_files_that_are_needed_are_read(
    engine: QueryEngine, visit: str, where: str, expected_files: int, expected_rows: int
) -> None:
    query = f"SELECT document_id FROM {visit} {where}"
    assert len(ask(engine, query)) == expected_rows
    assert files(engine, query) == expected_files


def test_a_view_and_one_of_its_tables_in_one_query_see_what_they_ask_for(engine: QueryEngine, visit: str) -> None:
    query = (
        "SELECT (SELECT count(*) FROM shop.visit WHERE document_version = 2) AS viewed, "
        "(SELECT count(*) FROM shop.visit_v10 WHERE sample_id = 1) AS tabled, (SELECT count(*) FROM shop.visit_v2) AS n"
    )
    assert ask(engine, query) == [{"viewed": 3, "tabled": 1, "n": 3}]
    assert files(engine, query) == 4


def test_a_section_of_a_view_goes_over_all_versions(engine: QueryEngine, order: str) -> None:
    rows = ask(engine, f"SELECT reason, size, size_v1 FROM {order}__info ORDER BY submission_timestamp")
    assert rows == [
        {"reason": "old", "size": None, "size_v1": "big"},
        {"reason": "new", "size": 5, "size_v1": None},
    ]


def test_a_column_called_like_the_version_keeps_its_name(engine: QueryEngine, put: Put) -> None:
    put("shop.named_v1", rows_of(0, "one", document_version=one("theirs")))
    rows = ask(engine, "SELECT document_version, document_version_2 FROM shop.named WHERE document_version = 'theirs'")
    assert rows == [{"document_version": "theirs", "document_version_2": 1}]


def test_a_table_that_is_called_like_a_view_is_the_table(engine: QueryEngine, put: Put) -> None:
    put("shop.study_v4", rows_of(0, "version 4 of study"))
    put("shop.study_v4_v1", rows_of(0, "version 1 of study-v4"))
    assert ask(engine, "SELECT document_id FROM shop.study_v4") == [{"document_id": "version 4 of study"}]
    assert ask(engine, "SELECT document_id FROM shop.study_v4_v1") == [{"document_id": "version 1 of study-v4"}]
    assert set(views_of(["shop.study_v4", "shop.study_v4_v1"])) == {"shop.study"}


def test_versions_are_ordered_by_number() -> None:
    views = views_of(["a.b_v10", "a.b_v9", "a.b", "a.c_v2", "a.c_v11", "a.d_vx", "a.e_v01"])
    assert {name: [version.number for version in versions] for name, versions in views.items()} == {"a.c": [11, 2]}


def test_a_view_is_described_and_listed_with_its_tables(lake: Lake, engine: QueryEngine, order: str) -> None:
    described = lake.describe(order)
    types = {column.name: column.type for column in described.columns}
    assert (types["document_version"], types["ratio"], types["flag_v1"]) == ("int", "double", "string")
    assert described.rows == 2 and described.files == 2
    assert [version.table for version in lake.views()[order]] == ["shop.order_v2", "shop.order_v1"]
    assert {"name": order} not in ask(engine, "SHOW TABLES")  # who goes through all tables meets each row once
    queried = {row["column_name"] for row in ask(engine, f"DESCRIBE {order}")}
    assert queried == set(types)
