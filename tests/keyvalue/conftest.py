"""The backends of the key-value port: a SQLite file, and a DynamoDB of moto's, started as a server of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catchment.clock import ManualClock
from catchment.keyvalue.open import open_keyvalue
from catchment.keyvalue.port import KeyValue
from catchment.keyvalue.settings import KeyValueSettings

STARTS_WITHIN_S = 60.0
MAIN = """
import sys
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[2]), DomainDispatcherApplication(create_backend_app), threaded=False)
"""
"""One request at a time: on threads moto looks and puts in two steps, where DynamoDB does both in one."""

Opener = Callable[[], KeyValue]


@pytest.fixture(scope="session")
def dynamodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a DynamoDB server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = (tmp_path_factory.mktemp("moto") / "log").open("w+")
    server = subprocess.Popen(
        [sys.executable, "-c", MAIN, "catchment-engine-moto", str(port)],
        stdout=told,
        stderr=told,
    )
    try:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                told.seek(0)
                assert server.poll() is None and time.monotonic() < deadline, told.read()
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()
        told.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_790_000_000_000_000_000)


@pytest.fixture(params=["sqlite", "dynamodb"])
def settings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> KeyValueSettings:
    if request.param == "sqlite":
        return KeyValueSettings()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "for-tests")
    return KeyValueSettings(
        url=f"dynamodb://t-{uuid.uuid4()}", region="eu-central-1", endpoint=request.getfixturevalue("dynamodb")
    )


@pytest.fixture
def opener(settings: KeyValueSettings, tmp_path: Path, clock: ManualClock) -> Iterator[Opener]:
    """Opens the same store again and again."""
    opened: list[KeyValue] = []

    def open_one() -> KeyValue:
        opened.append(open_keyvalue(settings, tmp_path, clock))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(opener: Opener) -> KeyValue:
    return opener()
