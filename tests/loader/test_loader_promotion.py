"""Promotion beside loading: paced, one table at a time, started by a changed schema, told as events."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import orjson

from catchment.clock import ManualClock
from catchment.document import Document
from catchment.events import Events
from catchment.ingestion.loader.promoting import Promoting
from catchment.ingestion.loader.upkeep import Upkeep
from catchment.lake.columns import Columns
from catchment.lake.open import open_lake
from catchment.lake.settings import CatalogSettings, LakeSettings, ObjectsSettings
from catchment.lake.tables import Lake
from catchment.log.open import open_log
from catchment.log.settings import LogSettings
from catchment.schemas.registry import Registry

TABLE = "shop.order_v1"
OLD: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
NEW: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}, "n": {"type": "integer"}}}


def registry(home: Path, document: Any) -> Registry:
    path = home / "schemas" / "shop" / "order" / "order.1.schema.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(document))
    found = Registry.load([home / "schemas"])
    assert found.check() == []
    return found


class Stepping(ManualClock):
    """A clock that goes on by a tenth of a second each time it is read."""

    def monotonic_s(self) -> float:
        self.advance(0.1)
        return super().monotonic_s()


class Stage:
    def __init__(self, home: Path, clock: ManualClock) -> None:
        self.home = home
        self.clock = clock
        self.told = io.StringIO()
        self.events = Events("loader", self.told)
        self.lake: Lake = open_lake(CatalogSettings(), ObjectsSettings(), home, clock, self.events)
        old = registry(home, OLD).find("shop", "order", 1)
        assert old is not None
        for number in range(3):
            columns = Columns(old.shape)
            content = {"a": "x", "n": number}
            body = orjson.dumps(content)
            columns.append(Document("shop", "order", 1, "id", clock.time_ns(), body, content))
            rows = columns.take()
            self.lake.ensure(TABLE, rows.schema)
            self.lake.commit(TABLE, rows, {})

    def values(self) -> list[int]:
        arrow = self.lake.load(TABLE).scan().to_arrow()
        return (
            sorted(filter(lambda n: n is not None, arrow.column("n").to_pylist())) if "n" in arrow.column_names else []
        )


def test_a_changed_schema_is_promoted_by_the_loaders_upkeep(tmp_path: Path) -> None:
    clock = ManualClock(1_900_000_000_000_000_000)
    stage = Stage(tmp_path, clock)
    log = open_log(LogSettings(min_free_bytes=0), tmp_path, clock, stage.events)
    upkeep = Upkeep(600.0, log, stage.lake, LakeSettings(), clock, stage.events)
    upkeep.adopt(registry(tmp_path, OLD))
    for _ in range(4):
        upkeep.turn()
    assert upkeep.wait_s() is None
    assert stage.values() == []
    upkeep.adopt(registry(tmp_path, NEW))
    assert upkeep.wait_s() == 0.0
    for _ in range(4):
        upkeep.turn()
    assert stage.values() == [0, 1, 2]
    assert upkeep.wait_s() is None
    told = stage.told.getvalue()
    assert f"promotion_started table={TABLE}" in told
    assert f"table_promoted table={TABLE} rows=3 files=3" in told
    log.close()


def test_the_work_rests_as_its_share_says(tmp_path: Path) -> None:
    clock = Stepping(1_900_000_000_000_000_000)
    stage = Stage(tmp_path, clock)
    promoting = Promoting(0.25, stage.lake, clock, stage.events)
    promoting.adopt(registry(tmp_path, NEW))
    promoting.turn()
    wait_s = promoting.wait_s()
    assert wait_s is not None
    assert 0.5 < wait_s < 2.0
    promoting.turn()
    assert stage.values() == []
    for _ in range(100):
        promoting.turn()
        clock.advance(1.0)
    assert stage.values() == [0, 1, 2]
    promoting.close()


def test_a_share_of_nothing_promotes_nothing(tmp_path: Path) -> None:
    clock = ManualClock(1_900_000_000_000_000_000)
    stage = Stage(tmp_path, clock)
    promoting = Promoting(0.0, stage.lake, clock, stage.events)
    promoting.adopt(registry(tmp_path, NEW))
    assert promoting.wait_s() is None
    promoting.turn()
    assert stage.values() == []


def test_a_failure_is_told_and_the_next_table_goes_on(tmp_path: Path) -> None:
    clock = ManualClock(1_900_000_000_000_000_000)
    stage = Stage(tmp_path, clock)
    next(iter((tmp_path / "objects").rglob("*.parquet"))).unlink()
    promoting = Promoting(0.25, stage.lake, clock, stage.events)
    promoting.adopt(registry(tmp_path, NEW))
    promoting.turn()
    assert f"promotion_failed table={TABLE}" in stage.told.getvalue()
    assert "is lost" in stage.told.getvalue()
    assert promoting.wait_s() is None
