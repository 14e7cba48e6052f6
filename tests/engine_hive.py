"""A Hive Metastore over PostgreSQL, run for the tests alone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.engines import engine_folder, engine_home, engine_running, free_port, java
from tests.postgres import running

MAIN = "org.apache.hadoop.hive.metastore.HiveMetaStore"


@pytest.fixture(scope="session")
def hive_server() -> Iterator[str]:
    """`thrift://host:port` of a metastore; one for the session, so tests name namespaces of their own."""
    engine = engine_folder("hive")
    command = java(17)
    with engine_home() as folder, running() as url:
        schema = engine / "scripts/metastore/upgrade/postgres/hive-schema-3.1.0.postgres.sql"
        made = subprocess.run(
            ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", schema, url], capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stderr
        port = free_port()
        _write_site(folder, port, url)
        path = f"{folder}:{engine}/extra/*:{engine}/lib/*"
        opens = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in ("net", "lang")]
        options = ["-Xmx384m", "-XX:+UseSerialGC", f"-Dcatchment={folder}"]
        with engine_running([command, *options, *opens, "-cp", path, MAIN], folder, port):
            yield f"thrift://127.0.0.1:{port}"


def _write_site(folder: Path, port: int, url: str) -> None:
    server = urlsplit(url)
    settings = {
        "metastore.thrift.port": str(port),
        "metastore.thrift.uris": f"thrift://127.0.0.1:{port}",
        "metastore.warehouse.dir": f"file:{folder}/warehouse",
        "javax.jdo.option.ConnectionURL": f"jdbc:postgresql://127.0.0.1:{server.port}{server.path}",
        "javax.jdo.option.ConnectionDriverName": "org.postgresql.Driver",
        "javax.jdo.option.ConnectionUserName": server.username or "",
        "javax.jdo.option.ConnectionPassword": "",
        "metastore.schema.verification": "false",
        "metastore.expression.proxy": "org.apache.hadoop.hive.metastore.DefaultPartitionExpressionProxy",
        "metastore.task.threads.always": "org.apache.hadoop.hive.metastore.events.EventCleanerTask",
    }
    lines = "".join(f"<property><name>{name}</name><value>{settings[name]}</value></property>" for name in settings)
    (folder / "metastore-site.xml").write_text(f"<configuration>{lines}</configuration>")
