"""A home that is loaded, and the databases that the ledger's tests run over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from catchment.database.database import Database, open_database
from catchment.database.settings import DatabaseSettings
from tests.loader import scene as loading
from tests.postgres import postgres_server, postgres_url  # noqa: F401  fixtures

RECORDS = 40


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = open_database(DatabaseSettings(), tmp_path)
    yield found
    found.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def each_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """The test runs over each database."""
    url = "sqlite:each.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    found = open_database(DatabaseSettings(url=url), tmp_path)
    yield found
    found.close()


@pytest.fixture
def expected(tmp_path: Path) -> loading.Expected:
    """What must come of the records of `home`."""
    log, _ = loading.open_parts(tmp_path)
    wanted = loading.fill(tmp_path, log, RECORDS)
    log.close()
    return wanted


@pytest.fixture
def home(tmp_path: Path, expected: loading.Expected) -> Path:
    """A home whose records the loader has loaded."""
    loading.run_loader(tmp_path, None, flush_bytes=4096)
    return tmp_path
