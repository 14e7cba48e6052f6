"""A PostgreSQL server of the operating system's packages, run for the tests alone: its own folder, socket and port."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy

WITHIN_S = 60.0
USER = "postgres"


def binaries() -> Path | None:
    """The folder of the newest server on this machine."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def absent() -> str:
    """Why no server can be run here, empty when one can."""
    if binaries() is None:
        return "PostgreSQL's server is not installed (scripts/system-packages)"
    if os.getuid() == 0 and USER not in {entry.pw_name for entry in pwd.getpwall()}:
        return f"PostgreSQL does not run as root, and there is no user {USER}"
    return ""


@contextmanager
def running() -> Iterator[str]:
    """A server with an empty database; gives its URL."""
    place = binaries()
    assert place is not None
    folder = Path(tempfile.mkdtemp(prefix="catchment-postgres-"))
    as_user: list[str] = []
    name = pwd.getpwuid(os.getuid()).pw_name
    if os.getuid() == 0:
        shutil.chown(folder, USER, USER)
        as_user, name = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"], USER
    try:
        subprocess.run(
            [*as_user, place / "initdb", "-D", folder / "data", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"],
            check=True,
            capture_output=True,
            cwd="/",
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [*as_user, place / "postgres", "-D", folder / "data", *options], stdout=log, stderr=log, cwd="/"
            )
        try:
            _await(server, port, folder / "log")
            yield f"postgresql://{name}@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # a fast end, which does not wait for its clients
            server.wait()
    finally:
        shutil.rmtree(folder)


def _await(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends_at = time.monotonic() + WITHIN_S
    ready = ["-h", "127.0.0.1", "-p", str(port), "-t", "1", "-q"]
    place = binaries()
    assert place is not None
    while subprocess.run([place / "pg_isready", *ready], check=False, cwd="/").returncode != 0:
        assert server.poll() is None and time.monotonic() < ends_at, log.read_text(errors="replace")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server; one for the session."""
    if reason := absent():
        pytest.skip(reason)
    with running() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """URL of a PostgreSQL database that is empty."""
    engine = sqlalchemy.create_engine(sqlalchemy.make_url(postgres_server).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP SCHEMA public CASCADE"))
        connection.execute(sqlalchemy.text("CREATE SCHEMA public"))
    engine.dispose()
    return postgres_server
