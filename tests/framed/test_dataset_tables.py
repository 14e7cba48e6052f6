"""Records of a dataset as columns: in DuckDB and for everything else that reads Arrow."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from catchment.errors import QueryError
from tests.framed import library
from tests.framed.library import dataset


@pytest.fixture
def home(tmp_path: Path) -> Path:
    library.stock(tmp_path)
    return tmp_path


def test_a_relation_is_read_anew_for_each_query(home: Path) -> None:
    relation = (
        dataset(home).where(doctype="main").select("number", system="os.name").duckdb(types={"number": pa.int64()})
    )
    for _ in range(2):
        assert relation.aggregate("count(*), sum(number), min(system)").fetchall() == [(60, sum(library.MAIN), "Linux")]


def test_a_relation_lives_in_the_callers_connection(home: Path) -> None:
    with duckdb.connect() as connection:
        pings = dataset(home).select("number", "os").duckdb(connection)
        found = connection.sql("SELECT os ->> 'name' AS name, count(*) AS n FROM pings GROUP BY name").fetchall()
        assert found == [("Linux", 120)]
        assert pings.columns == ["number", "os"]


def test_without_a_selection_the_whole_record_is_one_column(home: Path) -> None:
    relation = dataset(home, "shop").duckdb()
    assert relation.project("document ->> '$.meta.docType'").fetchall() == [("mystery",)]


def test_a_value_that_does_not_fit_its_type_is_said(home: Path) -> None:
    table = dataset(home).select("os").table({"os": pa.int64()})
    with pytest.raises(QueryError, match="column os: a value is no int64"):
        table.reader().read_all()
    with pytest.raises(QueryError, match="types name other, which is not selected; selected: os"):
        dataset(home).select("os").table({"other": pa.int64()})


def test_what_records_takes_a_relation_takes_too(home: Path) -> None:
    assert len(dataset(home).select("number").duckdb(limit=7).fetchall()) == 7
    stream = dataset(home).select("number").table(workers=0)
    assert pa.RecordBatchReader.from_stream(stream).read_all().num_rows == 120
