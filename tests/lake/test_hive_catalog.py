"""The catalog in a real Hive Metastore: each commit once, beside others, and after a kill."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from numbered import SCHEMA, make_rows, numbers

from catchment.clock import SystemClock
from catchment.errors import Fenced, Unavailable
from catchment.events import Events
from catchment.lake.commit import Span
from catchment.lake.open import open_lake
from catchment.lake.pointers import CatalogAway
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.lake.tables import Lake
from tests.engine_hive import hive_server  # noqa: F401  fixtures

TABLE = "telemetry.main_v4"
pytestmark = pytest.mark.engines


def opened(home: Path, url: str, told: io.StringIO) -> Lake:
    return open_lake(CatalogSettings(url), ObjectsSettings(), home, SystemClock(), Events("test", told))


def test_commits_beside_each_other_and_one_whose_answer_is_lost(tmp_path: Path, hive_server: str) -> None:  # noqa: F811
    told = io.StringIO()
    one, two = opened(tmp_path, hive_server, told), opened(tmp_path, hive_server, told)
    one.ensure(TABLE, SCHEMA)

    def overtake(point: str) -> None:
        if point == "manifests_written" and "raw/1" not in two.offsets(TABLE):
            two.commit(TABLE, make_rows(100, 5), {"raw/1": Span(None, 5)})

    one.commit(TABLE, make_rows(0, 5), {"raw/0": Span(None, 5)}, at=overtake)
    assert one.offsets(TABLE) == two.offsets(TABLE) == {"raw/0": 5, "raw/1": 5}
    with pytest.raises(Fenced):
        two.commit(TABLE, make_rows(0, 5), {"raw/0": Span(None, 5)})

    def cut(point: str) -> None:
        if point == "catalog_updated":
            raise CatalogAway("cut")

    assert one.commit(TABLE, make_rows(5, 5), {"raw/0": Span(5, 10)}, at=cut).rows == 5
    assert "lake_commit_found" in told.getvalue()
    assert numbers(two, TABLE) == [*range(10), *range(100, 105)]
    assert two.tables() == [TABLE]


def test_a_metastore_that_is_away_is_unavailable(tmp_path: Path) -> None:
    lake = opened(tmp_path, "thrift://127.0.0.1:9", io.StringIO())
    with pytest.raises(Unavailable, match="cannot be read"):
        lake.load(TABLE)
