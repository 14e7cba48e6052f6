"""What a query answers, and how it fails."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from catchment.errors import BadConfig, Closed, QueryError
from catchment.lake.tables import Lake
from catchment.query.open import open_engine
from catchment.query.port import REASONS, Limits, QueryEngine
from catchment.query.settings import SqlSettings

NO_LIMITS = Limits()
ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range + b.range = -1"


def answer(engine: QueryEngine, sql: str, limits: Limits = NO_LIMITS) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in engine.run(sql, limits).read_all().to_pylist()]


def refused(engine: QueryEngine, sql: str, limits: Limits = NO_LIMITS) -> QueryError:
    with pytest.raises(QueryError) as caught:
        engine.run(sql, limits).read_all()
    assert caught.value.reason in REASONS
    assert "\n" not in str(caught.value)
    return caught.value


def test_tables_are_found_by_namespace_and_name_in_any_case(engine: QueryEngine, pings: str) -> None:
    assert answer(engine, "SELECT count(*) FROM telemetry.main_v4") == [(144,)]
    assert answer(engine, 'SELECT count(*) FROM Telemetry."MAIN_V4" t') == [(144,)]
    assert answer(engine, "WITH main AS (FROM telemetry.main_v4) SELECT max(hour) FROM main") == [(23,)]
    assert answer(engine, "SELECT (SELECT min(hour) FROM telemetry.main_v4), 1 UNION ALL VALUES (2, 3)") == [
        (0, 1),
        (2, 3),
    ]


def test_show_describe_and_explain_answer(engine: QueryEngine, pings: str) -> None:
    assert ("telemetry.main_v4",) in answer(engine, "SHOW TABLES")
    columns = {row[0]: row[1] for row in answer(engine, "DESCRIBE telemetry.main_v4")}
    assert columns["submission_timestamp"] == "TIMESTAMP WITH TIME ZONE"
    assert answer(engine, "EXPLAIN SELECT * FROM telemetry.main_v4")
    assert answer(engine, "EXPLAIN ANALYZE SELECT count(*) FROM telemetry.main_v4")
    assert answer(engine, "SUMMARIZE telemetry.main_v4")


def test_columns_are_known_before_the_query_runs(engine: QueryEngine, pings: str) -> None:
    result = engine.run("SELECT hour, client_id AS who FROM telemetry.main_v4", Limits())
    assert [(column.name, column.type) for column in result.columns] == [("hour", "BIGINT"), ("who", "VARCHAR")]
    result.close()
    with pytest.raises(Closed):
        result.batches()


def test_a_table_without_rows_has_its_columns(engine: QueryEngine, lake: Lake) -> None:
    lake.ensure("empty.nested_v1", pa.schema([pa.field("s", pa.struct([("a", pa.map_(pa.string(), pa.int64()))]))]))
    assert answer(engine, "SELECT count(*), max(s.a['x']) FROM empty.nested_v1") == [(0, None)]
    assert answer(engine, "SELECT s FROM empty.nested_v1") == []


def test_older_files_read_as_null_where_they_lack_columns_and_nested_fields(
    engine: QueryEngine, put: Callable[[str, pa.Table], None]
) -> None:
    one = pa.struct([("x", pa.int32())])
    put(
        "grown.ping_v1",
        pa.table(
            {
                "id": pa.array([1, 2], pa.int32()),
                "s": pa.array([{"x": 10}, None], one),
                "l": pa.array([[{"x": 1}], []], pa.list_(one)),
                "m": pa.array([[("k", {"x": 1})], None], pa.map_(pa.string(), one)),
            }
        ),
    )
    two = pa.struct([("y", pa.string()), ("x", pa.int64()), ("z", pa.struct([("k", pa.int64())]))])
    put(
        "grown.ping_v1",
        pa.table(
            {
                "new": ["n"],
                "m": pa.array([[("k", {"x": 5, "y": "m", "z": {"k": 6}})]], pa.map_(pa.string(), two)),
                "l": pa.array([[{"x": 2, "y": "l", "z": {"k": 4}}]], pa.list_(two)),
                "s": pa.array([{"x": 30, "y": "s", "z": {"k": 3}}], two),
                "id": pa.array([3], pa.int64()),
            }
        ),
    )
    table = "grown.ping_v1"
    assert answer(engine, f"SELECT id, s.x, s.y, s.z.k, new FROM {table} ORDER BY id") == [
        (1, 10, None, None, None),
        (2, None, None, None, None),
        (3, 30, "s", 3, "n"),
    ]
    assert answer(engine, f"SELECT id, l[1].y, l[1].x, m['k'].z.k FROM {table} WHERE s.x > 5 ORDER BY id") == [
        (1, None, 1, None),
        (3, "l", 2, 6),
    ]
    assert answer(engine, f"SELECT s.z.k FROM {table} WHERE s.y IS NULL ORDER BY id") == [(None,), (None,)]
    assert answer(engine, f"SELECT count(s.z), count(s), count(new) FROM {table}") == [(1, 2, 1)]
    assert answer(engine, f"SELECT sum(e.x) FROM (SELECT unnest(l) AS e FROM {table})") == [(3,)]


def test_the_engine_sees_each_commit_at_once(engine: QueryEngine, put: Callable[[str, pa.Table], None]) -> None:
    for number in range(3):
        put("live.ping_v1", pa.table({"n": [number]}))
        assert answer(engine, "SELECT count(*) FROM live.ping_v1") == [(number + 1,)]


@pytest.mark.parametrize(
    ("sql", "reason", "place", "said"),
    [
        ("SELECT * FROM telemetry.main_v5", "unknown_table", (1, 15), "did you mean telemetry.main_v4"),
        ("SELECT *\nFROM main_v4", "unknown_table", (2, 6), "did you mean telemetry.main_v4"),
        ("SELECT *\n  FROM ü, telemetry.x", "unknown_table", (2, 8), "catchment tables"),
        ("SELECT hour,\n  nothing FROM telemetry.main_v4", "invalid", (2, 3), "nothing"),
        ("SELECT nofunc(hour) FROM telemetry.main_v4", "invalid", (1, 8), "nofunc"),
        ("SELECT hour FORM telemetry.main_v4 WHERE", "syntax", (1, 18), "syntax error"),
        ("SELECT client_id::INT FROM telemetry.main_v4", "failed", None, "client-0"),
        ("", "syntax", None, "empty"),
        ("SELECT 1; SELECT 2", "not_allowed", None, "one at a time"),
    ],
)
def test_an_error_has_a_reason_and_a_place(
    engine: QueryEngine, pings: str, sql: str, reason: str, place: tuple[int, int] | None, said: str
) -> None:
    error = refused(engine, sql)
    assert (error.reason, said in str(error)) == (reason, True), str(error)
    if place is not None:
        assert (error.line, error.column) == place


def test_a_query_over_its_time_is_stopped(engine: QueryEngine) -> None:
    started = time.monotonic()
    assert refused(engine, ENDLESS, Limits(timeout_s=0.3)).reason == "timeout"
    assert time.monotonic() - started < 10


def test_a_query_over_its_memory_is_stopped(engine: QueryEngine) -> None:
    sql = "SELECT list(range ORDER BY hash(range)) FROM range(100000000)"
    assert refused(engine, sql, Limits(memory_bytes=64 * 1024**2)).reason == "memory"


def test_another_thread_can_cancel(engine: QueryEngine) -> None:
    result = engine.run(ENDLESS, Limits())
    threading.Timer(0.2, result.cancel).start()
    with pytest.raises(QueryError) as caught:
        result.read_all()
    assert caught.value.reason == "cancelled"
    result.cancel()


def test_a_row_limit_cuts_and_says_so(engine: QueryEngine) -> None:
    cut = engine.run("SELECT * FROM range(100000) ORDER BY 1", Limits(rows=20_000))
    assert cut.read_all().column(0).to_pylist() == list(range(20_000))
    assert cut.is_cut
    whole = engine.run("SELECT * FROM range(5)", Limits(rows=5))
    assert whole.read_all().num_rows == 5
    assert not whole.is_cut


def test_nothing_is_left_in_the_scratch_folder(engine: QueryEngine, home: Path, pings: str) -> None:
    answer(engine, "SELECT * FROM telemetry.main_v4")
    refused(engine, "SELECT * FROM telemetry.nothing")
    for _ in engine.run("SELECT * FROM range(100000)", Limits()).batches():
        break
    assert list((home / "query-scratch").iterdir()) == []


def test_a_sort_larger_than_memory_uses_the_scratch_folder(engine: QueryEngine) -> None:
    ranked = "SELECT hash(range)::VARCHAR AS x, row_number() OVER (ORDER BY hash(range)) FROM range(3000000)"
    sql = f"SELECT max(x) FROM ({ranked})"
    assert len(answer(engine, sql, Limits(memory_bytes=96 * 1024**2))) == 1


def test_times_are_utc(engine: QueryEngine, pings: str) -> None:
    found = answer(engine, "SELECT min(submission_timestamp), min(date(submission_timestamp)) FROM telemetry.main_v4")
    assert found == [(dt.datetime(2026, 11, 20, tzinfo=dt.UTC), dt.date(2026, 11, 20))]


def test_an_unknown_engine_is_refused(lake: Lake, home: Path) -> None:
    with pytest.raises(BadConfig, match="must be `duckdb:`"):
        open_engine(SqlSettings(url="mysql://x"), lake, home)
