"""Column and table names."""

from __future__ import annotations

import re

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catchment.schemas.names import beside, column_names, is_sql_word, primary, snake_case, table_name

NAMED = {
    "clientId": "client_id",
    "geoSubdivision1": "geo_subdivision1",
    "X-PingSender-Version": "x_ping_sender_version",
    "URLBar": "url_bar",
    "l2cacheKB": "l2cache_kb",
    "creationDate": "creation_date",
    "UIMeasurements": "ui_measurements",
    "x-debug": "x_debug",
    "snake_case": "snake_case",
    "a..b": "a_b",
    "__x": "x",
    "2nd": "_2nd",
    "": "_",
    "___": "_",
    "ключ": "_",
}


@pytest.mark.parametrize(("name", "column"), NAMED.items())
def test_a_column_is_called(name: str, column: str) -> None:
    assert snake_case(name) == column


@given(st.text(max_size=30))
def test_every_name_gives_an_identifier_that_stays_as_it_is(name: str) -> None:
    column = snake_case(name)
    assert re.fullmatch(r"[a-z_][a-z0-9_]*", column)
    assert snake_case(column) == column


def test_of_names_that_collide_the_one_spelled_so_keeps_it() -> None:
    assert column_names(["fooBar", "foo-bar", "foo_bar"]) == {
        "foo_bar": "foo_bar",
        "foo-bar": "foo_bar_2",
        "fooBar": "foo_bar_3",
    }
    assert column_names(["a-b", "a_b_2"]) == {"a_b_2": "a_b_2", "a-b": "a_b"}
    assert column_names(["documentId"], ["document_id"]) == {"documentId": "document_id_2"}


@given(st.sets(st.text("aAbB1_- ", max_size=4), max_size=12), st.randoms())
def test_columns_differ_and_do_not_depend_on_the_order_of_properties(names: set[str], random: object) -> None:
    forward = column_names(sorted(names))
    assert forward == column_names(sorted(names, reverse=True))
    assert len(set(forward.values())) == len(names)


def test_a_table_has_namespace_doctype_and_version() -> None:
    assert table_name("telemetry", "new-profile", 4) == "telemetry.new_profile_v4"
    assert table_name("activity-stream", "impressionStats", 1) == "activity_stream.impression_stats_v1"


def test_every_word_that_duckdb_reserves_is_known() -> None:
    """A word of category type_function is taken for a column only with quotes, too."""
    query = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category IN ('reserved', 'type_function')"
    reserved = duckdb.sql(query).fetchall()
    assert [word for (word,) in reserved if not is_sql_word(word)] == []
    assert len(reserved) > 50
    assert not is_sql_word("submission_timestamp") and not is_sql_word("order_2")


def test_a_column_beside_is_told_from_every_property() -> None:
    columns = column_names(["a", "A", "", "ключ", "\0", "_", "a__long", "2nd"])
    for column in columns.values():
        assert primary(column) == column
        for number in (1, 2):
            assert primary(beside(column, "long", number)) == column
            assert beside(column, "long", number) not in columns.values()
