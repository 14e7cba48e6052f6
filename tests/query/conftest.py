"""A lake with a few days of pings, and the engine over it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from catchment.clock import SystemClock
from catchment.events import Events
from catchment.lake.commit import Span
from catchment.lake.open import open_lake
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.lake.tables import Lake
from catchment.query.open import open_engine
from catchment.query.port import QueryEngine
from catchment.query.settings import SqlSettings


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def lake(home: Path) -> Iterator[Lake]:
    lake = open_lake(CatalogSettings(), ObjectsSettings(), home, SystemClock(), Events("test"))
    yield lake
    lake.close()


@pytest.fixture(scope="module")
def engine(lake: Lake, home: Path) -> QueryEngine:
    return open_engine(SqlSettings(), lake, home)


@pytest.fixture(scope="module")
def put(lake: Lake) -> Callable[[str, pa.Table], None]:
    """Adds rows to a table, which grows to hold them."""

    def add(table: str, rows: pa.Table) -> None:
        lake.ensure(table, rows.schema)
        recorded = lake.offsets(table).get("raw/0")
        lake.commit(table, rows, {"raw/0": Span(recorded, (recorded or 0) + rows.num_rows)})

    return add


@pytest.fixture(scope="module")
def pings(put: Callable[[str, pa.Table], None]) -> str:
    """A table of three days, one file a day and sample range."""
    start = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
    for day in range(3):
        for first in (0, 50):
            put(
                "telemetry.main_v4",
                pa.table(
                    {
                        "submission_timestamp": pa.array(
                            [start + dt.timedelta(days=day, hours=hour) for hour in range(24)],
                            pa.timestamp("us", "UTC"),
                        ),
                        "document_id": [f"{day}-{first}-{hour:02d}" for hour in range(24)],
                        "client_id": [f"client-{hour % 4}" for hour in range(24)],
                        "sample_id": pa.array([first + hour for hour in range(24)], pa.int64()),
                        "normalized_channel": ["nightly" if first else "release"] * 24,
                        "hour": pa.array(range(24), pa.int64()),
                    }
                ),
            )
    return "telemetry.main_v4"
