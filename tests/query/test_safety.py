"""A query reads the lake's tables and nothing else, whatever its text tries."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catchment.errors import QueryError
from catchment.query.port import Limits, QueryEngine

ESCAPES = [
    "SELECT * FROM read_csv('{secret}')",
    "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM read_blob('{secret}')",
    "SELECT * FROM read_json('{secret}')",
    "SELECT * FROM read_parquet('{folder}/*.parquet')",
    "SELECT * FROM parquet_metadata('{folder}/x.parquet')",
    "SELECT * FROM sniff_csv('{secret}')",
    "SELECT * FROM '{secret}'",
    'SELECT * FROM "{folder}/x.parquet"',
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM query('SELECT * FROM read_text(''{secret}'')')",
    "SELECT * FROM query_table('{secret}')",
    "WITH x AS (SELECT * FROM read_text('{secret}')) SELECT * FROM x, telemetry.main_v4",
    "SELECT (SELECT content FROM read_text('{secret}')) FROM telemetry.main_v4",
    "COPY (SELECT 42) TO '{folder}/out.csv'",
    "COPY telemetry.main_v4 TO '{folder}/out.parquet'",
    "EXPLAIN ANALYZE COPY (SELECT 42) TO '{folder}/out.csv'",
    "EXPLAIN (ANALYZE) COPY (SELECT 42) TO '{folder}/out.csv'",
    "/* hi */ EXPLAIN ANALYZE COPY (SELECT 42) TO '{folder}/out.csv'",
    "EXPORT DATABASE '{folder}/out'",
    "IMPORT DATABASE '{folder}'",
    "ATTACH '{folder}/out.db' AS other",
    "DETACH memory",
    "USE memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{folder}/evil.duckdb_extension'",
    "SET enable_external_access = true",
    "SET allowed_paths = ['{secret}']",
    "SET GLOBAL lock_configuration = false",
    "RESET lock_configuration",
    "PRAGMA enable_profiling",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "CALL enable_logging()",
    "CREATE TABLE t AS SELECT 1",
    "CREATE TABLE telemetry.t (a INT)",
    "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "CREATE MACRO f() AS TABLE SELECT * FROM read_text('{secret}')",
    "DROP VIEW telemetry.main_v4",
    "DELETE FROM telemetry.main_v4",
    "INSERT INTO telemetry.main_v4 VALUES (1)",
    "UPDATE telemetry.main_v4 SET hour = 1",
    "MERGE INTO telemetry.main_v4 USING telemetry.main_v4 m ON (true) WHEN MATCHED THEN DELETE",
    "TRUNCATE telemetry.main_v4",
    "ALTER TABLE telemetry.main_v4 RENAME TO x",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "CHECKPOINT",
    "VACUUM",
    "SELECT 1; COPY (SELECT 42) TO '{folder}/out.csv'",
    "SELECT 1; SET enable_external_access = true",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM read_csv('https://example.com/x.csv')",
    "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "SELECT getenv('HOME')",
    "SELECT * FROM rows_of_the_test",
    "SELECT * FROM memory.telemetry.main_v4",
    "SELECT * FROM telemetry.main_v4 WHERE $1 = 1",
]


@pytest.mark.parametrize("sql", ESCAPES)
def test_an_escape_is_refused(engine: QueryEngine, pings: str, tmp_path: Path, sql: str) -> None:
    rows_of_the_test = pa.table({"secret": [1]})
    secret = tmp_path / "secret.csv"
    secret.write_text("secret\n1\n")
    pq.write_table(rows_of_the_test, tmp_path / "x.parquet")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(QueryError) as caught:
        engine.run(sql.format(secret=secret, folder=tmp_path), Limits()).read_all()
    assert caught.value.reason in {"not_allowed", "unknown_table", "invalid", "syntax", "failed"}
    assert sorted(tmp_path.iterdir()) == before


def test_a_query_cannot_read_the_files_of_a_table_that_it_does_not_name(
    engine: QueryEngine, pings: str, home: Path
) -> None:
    file = next(home.rglob("*.parquet"))
    with pytest.raises(QueryError, match="disabled by configuration"):
        engine.run(f"SELECT * FROM read_parquet('{file}')", Limits()).read_all()


def test_the_lake_is_unchanged_by_all_of_this(engine: QueryEngine, pings: str) -> None:
    assert engine.run("SELECT count(*) FROM telemetry.main_v4", Limits()).read_all().to_pylist() == [
        {"count_star()": 144}
    ]
