"""Queries in the console: results, errors with their place, downloads, limits, and the tables to ask about."""

from __future__ import annotations

import csv
import io
import json
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catchment.errors import QueryError
from catchment.query.port import Column
from catchment.web import results
from catchment.web.results import cell, csv_lines, distinct_names, json_lines
from catchment.web.sqlpages import mark_of
from tests.web.scene import WITHIN_S, Scene

SLOW = "select count(*) from range(20000000) a, range(20000000) b where (a.range * b.range) % 7 = 3"


def rows_of(text: str) -> list[list[str]]:
    body = text.partition("<tbody>")[2]
    return [re.findall(r"<td[^>]*>([^<]*)", row) for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)]


@pytest.fixture
def filled(scene: Scene) -> Scene:
    scene.rows("telemetry.main_v4", document_id=["a", "b", "c"], normalized_channel=["beta", "nightly", "beta"])
    scene.run()
    return scene


def test_a_query_over_the_lake_is_answered(filled: Scene) -> None:
    page = filled.ask("select normalized_channel, count(*) n from telemetry.main_v4 group by 1 order by 2 desc")
    assert rows_of(page.text) == [["beta", "2"], ["nightly", "1"]]
    assert "<b>2</b> rows" in page.text
    assert "from 1 file<" in page.text


def test_a_link_holds_the_query_and_works_without_scripts(filled: Scene) -> None:
    page = filled.ask("select 'x < y' as \"a<b\"", "/sql")
    assert page.status == 200
    assert "x &lt; y</td>" in page.text
    assert "a&lt;b" in page.text
    assert "select &#39;x &lt; y&#39; as" in page.text


def test_html_in_a_cell_is_text(filled: Scene) -> None:
    page = filled.ask("select '<script>alert(1)</script>' as c, chr(8238) || 'x' as turned")
    assert "<script>" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "\\u{202e}x" in page.text


def test_a_wide_row_reads_as_a_list_without_its_empty_columns(filled: Scene) -> None:
    columns = ", ".join(f"{n} as c{n}" for n in range(12))
    page = filled.ask(f"select {columns}, null as nothing")
    assert '<th scope="row">c11' in page.text
    assert "nothing" not in page.text.partition("<tbody>")[2].partition("</tbody>")[0]


@pytest.mark.parametrize(
    ("sql", "headline"),
    [
        ("selec 1", "This is not SQL"),
        ("drop table telemetry.main_v4", "This is not allowed"),
        ("select * from telemetry.nothing_v1", "There is no such table"),
        ("select * from read_csv('/etc/passwd')", "This is not allowed"),
        ("select nothing from telemetry.main_v4", "This does not fit the tables"),
    ],
)
def test_a_refused_query_says_why(filled: Scene, sql: str, headline: str) -> None:
    page = filled.ask(sql, "/sql")
    assert page.status == 400
    assert f"<b>{headline}.</b>" in page.text


def test_the_place_of_an_error_is_marked(filled: Scene) -> None:
    page = filled.ask("select document_id,\n       nothing_here\nfrom telemetry.main_v4")
    assert "<mark>nothing_here</mark>" in page.text
    assert 'aria-label="Line 2, column 8"' in page.text


def test_a_mark_stays_inside_the_query() -> None:
    assert mark_of("select", QueryError("", "syntax", 1, 99)) is not None
    assert mark_of("select", QueryError("", "syntax", 7, 1)) is None
    assert mark_of("select", QueryError("", "syntax")) is None
    mark = mark_of("a\nbc de", QueryError("", "syntax", 2, 4))
    assert mark is not None
    assert (mark.before, mark.at, mark.after) == ("a\nbc ", "de", "")


def test_more_rows_than_a_page_shows_are_cut_and_said(scene: Scene) -> None:
    scene.run(shown_rows=10)
    page = scene.ask("select * from range(11)")
    assert len(rows_of(page.text)) == 10
    assert "there are more: the page is cut, a download goes to 100,000" in page.text
    assert "there are more" not in scene.ask("select * from range(10)").text


def test_a_page_of_giant_values_is_cut(scene: Scene) -> None:
    scene.run()
    page = scene.ask("select repeat('x', 100000) from range(1000)")
    assert len(page.text) < 12_000_000
    assert "there are more" in page.text
    assert "cut here; a download has all of it" in page.text


def test_downloads_hold_all_rows_as_they_are(filled: Scene) -> None:
    sql = "select range as n, 'a,\"b\"' as t, null as nothing, [1, 2] as l from range(5000)"
    found = filled.ask(sql, "/sql/result.csv")
    assert found.headers["content-disposition"].startswith('attachment; filename="catchment-')
    rows = list(csv.reader(io.StringIO(found.text, newline="")))
    assert rows[0] == ["n", "t", "nothing", "l"]
    assert rows[5000] == ["4999", 'a,"b"', "", "[1,2]"]
    objects = json.loads(filled.ask(sql, "/sql/result.json").text)
    assert len(objects) == 5000
    assert objects[7] == {"n": 7, "t": 'a,"b"', "nothing": None, "l": [1, 2]}


def test_a_download_of_nothing_is_a_whole_file(filled: Scene) -> None:
    assert filled.ask("select 1 as n where false", "/sql/result.csv").text == "n\r\n"
    assert json.loads(filled.ask("select 1 as n where false", "/sql/result.json").text) == []


def test_a_download_that_fails_at_once_says_why(filled: Scene) -> None:
    page = filled.ask("select nothing from telemetry.main_v4", "/sql/result.csv")
    assert page.status == 400
    assert "nothing" in page.text


def test_a_query_that_takes_too_long_is_stopped(scene: Scene) -> None:
    scene.run(query_s=0.3)
    page = scene.ask(SLOW, "/sql")
    assert page.status == 503
    assert "This took too long" in page.text


def hang_up_while_running(scene: Scene, path: str) -> None:
    """Ask a query that takes minutes, and leave as soon as it runs."""
    with socket.create_connection(("127.0.0.1", scene.port)) as connection:
        query = SLOW.replace(" ", "+").replace("%", "%25")
        connection.sendall(f"GET {path}?q={query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        scene.until(lambda: running(scene) == "1")


def running(scene: Scene) -> str:
    found = re.search(r'id="stage-sql".*?<b>(\d+)</b>', scene.get("/live").text, re.DOTALL)
    assert found
    return found[1]


@pytest.mark.parametrize("path", ["/sql/result", "/sql/result.csv"])
def test_a_query_ends_when_its_browser_leaves(scene: Scene, path: str) -> None:
    scene.run()
    hang_up_while_running(scene, path)
    scene.until(lambda: running(scene) == "0")
    assert ">2</td>" in scene.ask("select 1 + 1").text


def test_stopping_the_console_ends_its_queries(scene: Scene) -> None:
    scene.run()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(scene.ask, SLOW)
        scene.until(lambda: running(scene) == "1")
        scene.stop()
        assert asked.exception(WITHIN_S) or "Cancelled" in asked.result().text


def test_more_queries_than_may_run_wait_and_more_than_may_wait_are_refused(scene: Scene) -> None:
    scene.run(running_queries=1, waiting_queries=1, query_s=2.0)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(scene.ask, SLOW)
        scene.until(lambda: running(scene) == "1")
        others = [pool.submit(scene.ask, "select 40 + 2"), pool.submit(scene.ask, "select 40 + 2")]
        texts = [other.result(WITHIN_S).text for other in others]
    assert "This took too long" in first.result().text
    assert sorted(">42</td>" in text for text in texts) == [False, True]
    assert any("Too many queries at once" in text for text in texts)


def test_many_at_once_all_get_their_own_answer(scene: Scene) -> None:
    scene.run(waiting_queries=32)
    barrier = threading.Barrier(12)

    def ask(number: int) -> bool:
        barrier.wait(WITHIN_S)
        return f">{number}</td>" in scene.ask(f"select {number}").text

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(ask, range(100, 112)))


@pytest.mark.parametrize("sql", ["", "   \n"])
def test_an_empty_box_is_not_an_error(scene: Scene, sql: str) -> None:
    scene.run()
    assert "The box is empty" in scene.ask(sql).text
    assert scene.ask(sql, "/sql").status == 200


def test_a_query_of_a_novels_length_is_refused(scene: Scene) -> None:
    scene.run()
    assert "must have at most 16,000" in scene.ask("select " + "1+" * 9000 + "1").text


def test_tables_are_listed_and_described_when_asked(filled: Scene) -> None:
    assert "telemetry.main_v4" in filled.get("/sql").text
    columns = filled.get("/sql/tables?table=telemetry.main_v4")
    assert 'data-insert="normalized_channel"' in columns.text
    assert "3 rows" in columns.text
    assert 'data-insert="document_id"' in filled.get("/sql?table=telemetry.main_v4").text


def test_a_lake_without_tables_says_when_there_will_be_some(scene: Scene) -> None:
    scene.run()
    assert "No tables yet." in scene.get("/sql").text


def test_a_table_that_is_not_there_is_said(scene: Scene) -> None:
    scene.run()
    assert scene.get("/sql/tables?table=a.b").status == 404


VALUES: list[tuple[Any, str]] = [
    (1234567, "1,234,567"),
    (Decimal(2**100), f"{2**100:,}"),
    (0.1, "0.1"),
    (1e300, "1e+300"),
    (float("nan"), "nan"),
    (True, "true"),
    (b"text", "text"),
    (b"\xff\x00", "0xff00"),
    ([1, {"a": None}], '[1,{"a":null}]'),
    (None, "null"),
]


@pytest.mark.parametrize(("value", "shown"), VALUES)
def test_values_are_shown_as_what_they_are(value: Any, shown: str) -> None:
    assert cell(value).text == shown


def test_sums_stay_numbers_in_json_where_they_fit() -> None:
    line = json_lines(["a", "b", "c"], [[Decimal(7), Decimal(2**80), float("nan")]])
    assert json.loads(line) == {"a": 7, "b": str(2**80), "c": None}


def test_columns_of_one_name_are_told_apart_in_json() -> None:
    assert distinct_names([Column("a", ""), Column("a", ""), Column("a_2", "")]) == ["a", "a_2", "a_2_2"]


@given(st.lists(st.lists(st.one_of(st.none(), st.text(st.characters(codec="utf-8"))), min_size=2, max_size=2)))
def test_csv_reads_back(rows: list[list[str | None]]) -> None:
    read = list(csv.reader(io.StringIO(csv_lines(rows).decode(), newline="")))
    assert read == [[value or "" for value in row] for row in rows]


def test_a_cell_holds_no_more_than_its_share() -> None:
    found = cell("x" * (results.CELL_CHARS + 1))
    assert found.is_cut
    assert len(found.text) == results.CELL_CHARS
