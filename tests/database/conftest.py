"""The databases that the suite runs over: SQLite always, PostgreSQL where it can be run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from catchment.database.database import Database, open_database
from catchment.database.settings import DatabaseSettings
from tests.postgres import postgres_server, postgres_url  # noqa: F401  fixtures


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest) -> DatabaseSettings:
    if request.param == "sqlite":
        return DatabaseSettings()
    return DatabaseSettings(url=request.getfixturevalue("postgres_url"))


@pytest.fixture
def database(settings: DatabaseSettings, tmp_path: Path) -> Iterator[Database]:
    found = open_database(settings, tmp_path)
    yield found
    found.close()
