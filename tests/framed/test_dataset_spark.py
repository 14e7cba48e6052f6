"""A dataset on Spark: the same records as in plain Python, read by its executors."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catchment.errors import QueryError
from tests.framed import library
from tests.framed.library import dataset


def test_what_is_no_spark_session_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"must be a SparkSession or SparkContext; pip install"):
        dataset(tmp_path).records("local[2]")


@pytest.fixture
def spark(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed: pip install 'pyspark>=4.0'")
    root = Path(__file__).parent.parent.parent
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    folder = tmp_path_factory.mktemp("spark")
    session = (
        sql.SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", "512m")
        .config("spark.local.dir", str(folder))
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .getOrCreate()
    )
    yield session
    session.stop()
    gateway = session.sparkContext._gateway
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()


@pytest.mark.engines
@pytest.mark.filterwarnings("ignore::Warning:pyspark", "ignore:.*:ResourceWarning")
def test_sparks_executors_read_the_same_records(tmp_path: Path, spark: Any) -> None:
    library.stock(tmp_path)
    found = dataset(tmp_path).where(doctype="main").select("number", system="os.name")
    records = found.records(spark)
    assert records.getNumPartitions() == 6
    assert sorted(record["number"] for record in records.collect()) == library.MAIN
    assert spark.createDataFrame(records, "number long, system string").where("system = 'Linux'").count() == 60
    assert found.records(spark, sample=0.5, group_by="equal_size").count() == 30
    assert dataset(tmp_path).where(doctype="none").records(spark).count() == 0
