"""The commands on a terminal's other side: what they print, and their exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from asking import GROUP, Folder
from click.testing import CliRunner, Result

ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range + b.range = -1"


def run(home: Path, *arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(GROUP, arguments, input=given, obj=Folder(home), catch_exceptions=False)


def test_sql_writes_csv_when_nobody_looks(home: Path, pings: str) -> None:
    ran = run(home, "sql", "SELECT hour, client_id, [1, 2] AS l FROM telemetry.main_v4 ORDER BY 1, 2 LIMIT 2")
    assert (ran.exit_code, ran.stdout) == (0, 'hour,client_id,l\n0,client-0,"[1,2]"\n0,client-0,"[1,2]"\n')


def test_sql_prints_a_table_with_its_size_and_time(home: Path, pings: str) -> None:
    ran = run(home, "sql", "SELECT hour FROM telemetry.main_v4", "--format", "table", "--limit", "3")
    assert "hour" in ran.stdout
    assert "first 3 rows" in ran.stdout
    assert "6 files" in ran.stdout
    assert "--limit N shows more" in ran.stdout


def test_sql_writes_every_format_with_the_same_rows(home: Path, pings: str, tmp_path: Path) -> None:
    query = (
        "SELECT submission_timestamp AS t, hour, MAP {'a': 1.5} AS m, sum(hour) OVER () AS s, NULL AS n "
        "FROM telemetry.main_v4 ORDER BY document_id LIMIT 2"
    )
    first = {"t": "2026-11-20T00:00:00+00:00", "hour": 0, "m": {"a": "1.5"}, "s": 1656, "n": None}
    assert json.loads(run(home, "sql", query, "--format", "json").stdout)[0] == first
    assert json.loads(run(home, "sql", query, "--format", "ndjson").stdout.splitlines()[0]) == first
    parquet, arrow = tmp_path / "out.parquet", tmp_path / "out.arrow"
    assert "2 rows in" in run(home, "sql", query, "--output", str(parquet)).stderr
    run(home, "sql", query, "--output", str(arrow))
    held = pq.read_table(parquet).to_pylist()
    assert [row["hour"] for row in held] == [0, 1]
    with pa.ipc.open_stream(arrow) as reader:
        assert [row["hour"] for row in reader.read_all().to_pylist()] == [0, 1]


@pytest.mark.parametrize("kind", ["csv", "json", "ndjson", "parquet", "arrow"])
def test_no_rows_are_a_valid_file(home: Path, pings: str, tmp_path: Path, kind: str) -> None:
    out = tmp_path / f"out.{kind}"
    assert run(home, "sql", "SELECT hour FROM telemetry.main_v4 WHERE false", "-o", str(out)).exit_code == 0
    expected = {"csv": b"hour\n", "json": b"[]\n", "ndjson": b""}
    if kind in expected:
        assert out.read_bytes() == expected[kind]
    elif kind == "parquet":
        assert pq.read_table(out).num_rows == 0
    else:
        with pa.ipc.open_stream(out) as reader:
            assert reader.read_all().num_rows == 0


def test_sql_reads_a_file_or_standard_input(home: Path, tmp_path: Path) -> None:
    script = tmp_path / "query.sql"
    script.write_text("SELECT 1 AS a")
    assert run(home, "sql", "--file", str(script)).stdout == "a\n1\n"
    assert run(home, "sql", "--file", "-", given="SELECT 2 AS a").stdout == "a\n2\n"
    assert run(home, "sql").exit_code == 2


def test_an_error_is_one_line_with_its_place_marked(home: Path, pings: str, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    ran = run(home, "sql", "SELECT *\n FROM telemetry.man_v4", "-o", str(out))
    assert ran.exit_code == 1
    said = ran.stderr.splitlines()
    assert said[0].startswith("catchment: line 2, column 7: table telemetry.man_v4 is not in the lake; did you mean")
    assert said[1:] == ["     FROM telemetry.man_v4", "          ^"]
    assert not list(tmp_path.iterdir())


def test_a_timeout_ends_with_one_line(home: Path) -> None:
    ran = run(home, "sql", ENDLESS, "--timeout", "0.2")
    assert (ran.exit_code, ran.stderr.count("\n")) == (1, 1)
    assert "stopped after 0.2 s" in ran.stderr


def test_control_c_cancels_with_130(home: Path) -> None:
    script = Path(__file__).parent / "asking.py"
    process = subprocess.Popen(
        [sys.executable, str(script), str(home), "sql", f"SELECT 1 AS begun UNION ALL {ENDLESS}", "--format", "ndjson"],
        stderr=subprocess.PIPE,
        text=True,
    )
    scratch = home / "query-scratch"
    while not (scratch.is_dir() and list(scratch.iterdir())):
        assert process.poll() is None
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said


def test_tables_and_describe_tell_what_there_is(home: Path, pings: str) -> None:
    listed = json.loads(run(home, "tables", "--format", "json").stdout)
    main = next(table for table in listed if table["name"] == "telemetry.main_v4")
    assert (main["rows"], main["files"]) == (144, 6)
    assert "telemetry.main_v4" in run(home, "tables").stdout
    described = json.loads(run(home, "describe", "telemetry.main_v4", "--format", "json").stdout)
    assert described["columns"][0] == {"name": "submission_timestamp", "type": "timestamptz", "comment": ""}
    assert described["offsets"] == {"raw/0": 144}
    shown = run(home, "describe", "telemetry.main_v4").stdout
    assert "sample_id" in shown
    assert "144 rows in 6 files" in shown


def test_tables_without_rows_are_counted_and_listed_when_asked_for(home: Path, pings: str) -> None:
    Folder(home).lake().ensure("shop.order_v1", pa.schema([("total", pa.int64())]))
    shown = run(home, "tables").stdout
    assert "shop.order" not in shown
    assert "1 without rows; `catchment tables --all` lists them too." in shown
    assert "shop.order_v1" in run(home, "tables", "--all").stdout


def test_an_empty_lake_tells_the_next_step(tmp_path: Path) -> None:
    assert "has no tables yet" in run(tmp_path, "tables").stdout
