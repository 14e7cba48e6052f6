"""What was deferred comes in by a replay, and leaves `monitoring.deferred`."""

from __future__ import annotations

from pathlib import Path

from catchment.database.database import open_database
from catchment.database.settings import DatabaseSettings
from catchment.ingestion.limits.rows import DEFERRED_TABLE
from catchment.ingestion.limits.settings import LimitSettings
from catchment.ingestion.replay.selection import Selection
from tests.ledger import scene as counting
from tests.loader import scene
from tests.replay import stage

HOUR_NS = 3_600_000_000_000
ALL = Selection(scene.START_NS - HOUR_NS, scene.START_NS + HOUR_NS)


def test_a_replay_loads_what_was_deferred_and_the_ledger_follows(tmp_path: Path) -> None:
    log, lake = scene.open_parts(tmp_path)
    expected = scene.fill(tmp_path, log, 40)
    log.close()
    scene.run_loader(tmp_path, None, limits=LimitSettings(doctypes=("shop/order=0.001:3",)))
    deferred = lake.describe(DEFERRED_TABLE).rows
    database = open_database(DatabaseSettings(), tmp_path)
    clock = counting.clock_after()
    counting.count_all(tmp_path, database, clock)
    assert counting.totals(counting.read(tmp_path, database, clock))["deferred"] == deferred > 15

    told = stage.replay(tmp_path, ALL, is_dry=True).total().tables[DEFERRED_TABLE]
    done = stage.replay(tmp_path, ALL).total()
    assert told.removed + told.replaced == deferred
    assert done.tables[DEFERRED_TABLE].removed + done.tables[DEFERRED_TABLE].replaced == deferred
    assert scene.column(lake, DEFERRED_TABLE, "source_offset") == []
    for table, ids in expected.documents.items():
        assert scene.column(lake, table, "document_id") == sorted(ids), table

    counting.count_all(tmp_path, database, clock)
    after = counting.totals(counting.read(tmp_path, database, clock))
    assert "deferred" not in after
    assert after["stored"] == sum(len(ids) for ids in expected.documents.values())
    repeats = sum(len(offsets) for (topic, _), offsets in expected.outputs.items() if topic == "duplicates")
    assert after["errors"] + after.get("duplicates", 0) == len(expected.errors) + repeats
    clock.advance(counting.LATER_S)
    assert {line.state for line in counting.read(tmp_path, database, clock)} <= {"balanced", "gap"}
    database.close()
