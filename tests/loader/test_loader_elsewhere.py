"""Each document once, also where the lake's files are in a bucket and its catalog is a server."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.buckets import Bucket, new_bucket
from tests.engines import Minio
from tests.loader import scene
from tests.loader.test_loader_kills import RECORDS, prepare

POINTS = ("metadata_written", "catalog_updated")
"""Where a kill leaves the catalog and the files at different places."""

FLUSH_BYTES = 20_000
_children = multiprocessing.get_context("spawn")  # Arrow's client of S3 has threads, which a fork would lose

MakeCatalog = Callable[[str], str]


@pytest.fixture
def postgres_catalog(postgres_url: str) -> MakeCatalog:
    """Makes empty databases; by name, their URLs."""

    def make(name: str) -> str:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name}")
            connection.execute(f"CREATE DATABASE {name}")
        return postgres_url.rpartition("/")[0] + f"/{name}"

    return make


def test_a_kill_at_any_point_gives_each_document_once_on_postgresql_and_s3(
    tmp_path: Path, postgres_catalog: MakeCatalog, minio_server: Minio
) -> None:
    """Kill a loader at each point, on a lake of its own, and have another one go on; then ask for the rows."""
    whole, bucket, catalog = tmp_path / "whole", new_bucket(minio_server), postgres_catalog("whole")
    scene.use(whole, catalog, bucket)
    expected = prepare(whole)
    assert run_child(whole, None, whole / "journal") == 0
    scene.check(whole, expected, RECORDS)
    assert not list(whole.rglob("*.parquet"))
    for table, ids in expected.documents.items():
        assert asked(whole, catalog, bucket, f"SELECT document_id FROM {table} ORDER BY 1") == sorted(ids)
    passed = [line.split()[0] for line in (whole / "journal").read_text().splitlines()]
    for point in POINTS:
        home = tmp_path / point
        scene.use(home, postgres_catalog(point), new_bucket(minio_server))
        expected = prepare(home)
        assert run_child(home, passed.index(point) + 1) == -signal.SIGKILL
        assert run_child(home, None) == 0
        scene.check(home, expected, RECORDS)


@pytest.mark.engines
def test_kills_in_a_row_give_each_document_once_on_a_hive_metastore(tmp_path: Path, hive_server: str) -> None:
    home = tmp_path / "home"
    scene.use(home, hive_server, None)
    expected = prepare(home)
    killed = [run_child(home, die_at) for die_at in (16, 18, 20, 21, 22)]
    assert -signal.SIGKILL in killed
    assert run_child(home, None) == 0
    scene.check(home, expected, RECORDS)


def run_child(home: Path, die_at: int | None, journal: Path | None = None) -> int:
    """Run a loader in a process of its own; its exit code (negative: the signal that ended it)."""
    child = _children.Process(target=scene.run_loader, args=(home, die_at, journal, FLUSH_BYTES))
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


def asked(home: Path, catalog: str, bucket: Bucket, query: str) -> list[str]:
    """What `catchment sql` answers, the first column."""
    variables = {"CATCHMENT_HOME__PATH": str(home), "CATCHMENT_CATALOG__URL": catalog, **bucket.variables}
    command = [sys.executable, "-m", "catchment", "sql", query, "--format", "csv"]
    ran = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()[1:]
