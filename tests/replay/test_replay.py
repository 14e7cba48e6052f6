"""What a replay promises: today's decoder and schemas, each document once, the same rows however often."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from catchment.errors import QueryError
from catchment.ingestion.limits.rows import DEFERRED_TABLE, Deferral, DeferralRows
from catchment.ingestion.limits.rows import SCHEMA as DEFERRED_SCHEMA
from catchment.ingestion.replay.selection import DAY_NS
from catchment.log.port import TopicPartition
from tests.loader import scene
from tests.replay import stage

COUNT = 120


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("loaded") / "home"
    home.mkdir()
    stage.prepare(home, COUNT, unshipped=10)
    return home


@pytest.fixture
def home(loaded: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the loaded home: tables name their files by absolute paths, so the copy takes the original's place."""
    kept = tmp_path / "kept"
    shutil.copytree(loaded, kept)
    yield loaded
    shutil.rmtree(loaded)
    shutil.copytree(kept, loaded)


def test_a_replay_under_the_same_schemas_changes_no_row(home: Path) -> None:
    before, offsets = stage.rows(home), stage.offsets(home)
    total = stage.replay(home).total()
    assert stage.rows(home) == before
    assert stage.offsets(home) == offsets
    assert total.deliveries == 2 * COUNT
    assert total.documents + total.repeats + sum(total.failures.values()) == total.deliveries
    assert all(table.added == table.removed == 0 for table in total.tables.values())


def test_what_failed_comes_in_once_its_schema_is_mended(home: Path) -> None:
    before = stage.rows(home)
    stage.mend(home)
    total = stage.replay(home).total()
    after = stage.rows(home)
    mended = [n for n in range(COUNT) if n % 5 == 2 and n % 7 != 6 and n % 9 != 8 and n % 4 != 3]
    expected = {str(uuid.UUID(int=(partition << 64) + n)) for partition in range(2) for n in mended}
    ids = stage.ids(home, "shop.order_v1")
    assert expected <= set(ids)
    assert len(ids) == len(set(ids))
    came, went = (total.tables[table] for table in ("shop.order_v1", "monitoring.errors"))
    assert came.added - came.removed == len(after["shop.order_v1"]) - len(before["shop.order_v1"]) > 0
    assert went.removed - went.added == len(before["monitoring.errors"]) - len(after["monitoring.errors"]) > 0
    assert sum(map(len, after.values())) == sum(map(len, before.values()))  # as the ledger counts
    assert "'code': 'repeat'" in repr(after["monitoring.errors"])
    assert set(total.failures) == {"json_invalid", "message_malformed", "schema_violation"}
    stage.replay(home)
    assert stage.rows(home) == after


def test_errors_alone_give_the_same_rows_but_for_the_place(home: Path) -> None:
    stage.mend(home)
    selection = replace(stage.ALL, errors_only=True, codes=("schema_violation",), doctype="order")
    assert stage.replay(home, selection).total().deliveries > 0
    by_errors, ids = stage.rows(home), stage.ids(home, "shop.order_v1")
    stage.replay(home, selection)
    assert stage.rows(home) == by_errors
    stage.replay(home)
    assert stage.ids(home, "shop.order_v1") == ids


def test_what_fails_today_leaves_its_table(home: Path) -> None:
    strict = {**scene.ORDER, "required": ["item", "color"]}
    (home / "schemas" / "shop" / "refund" / "refund.1.schema.json").write_bytes(orjson.dumps(strict))
    before = stage.rows(home)
    total = stage.replay(home, replace(stage.ALL, doctype="refund")).total()
    after = stage.rows(home)
    assert after["shop.refund_v1"] == []
    assert total.tables["shop.refund_v1"].removed == len(before["shop.refund_v1"]) > 0
    assert after["shop.order_v1"] == before["shop.order_v1"]
    gained = len(after["monitoring.errors"]) - len(before["monitoring.errors"])
    assert gained == len(before["shop.refund_v1"])


def test_a_dry_run_tells_what_the_run_then_does_and_changes_nothing(home: Path) -> None:
    stage.mend(home)
    before = stage.rows(home)
    dry = stage.replay(home, is_dry=True).total()
    assert stage.rows(home) == before
    assert not [path for path in (home / "replays").iterdir() if path.name != "lock"]
    run = stage.replay(home).total()
    for table, report in run.tables.items():
        told = dry.tables[table]
        assert (told.added, told.replaced, told.removed) == (report.added, report.replaced, report.removed), table
    assert dry.failures == run.failures
    assert set(dry.tables["shop.order_v1"].changed) == {"count", "count__json"}  # see stage.MENDED


def test_a_dry_run_counts_changes_by_column(home: Path) -> None:
    added = {**scene.ORDER, "properties": {**scene.ORDER["properties"], "count": {"type": "number"}}}
    less = {**added, "properties": {"item": {"type": "string"}, "clientId": {"type": "string"}}}
    (home / "schemas" / "shop" / "refund" / "refund.1.schema.json").write_bytes(orjson.dumps(less))
    total = stage.replay(home, replace(stage.ALL, doctype="refund"), is_dry=True).total()
    report = total.tables["shop.refund_v1"]
    assert report.replaced > 0
    assert set(report.changed) == {"count", "additional_properties"}


def test_only_the_selected_part_is_replayed(home: Path) -> None:
    stage.mend(home)
    day = replace(stage.ALL, since_ns=stage.FIRST_NS + DAY_NS, until_ns=stage.FIRST_NS + 2 * DAY_NS)
    assert list(stage.replay(home, day).days) == ["2026-09-22"]
    noon = replace(day, until_ns=day.since_ns + DAY_NS // 2, namespace="shop", doctype="order")
    some = stage.replay(home, noon).total()
    assert 0 < some.deliveries < COUNT // 3
    one = str(uuid.UUID(int=40))
    total = stage.replay(
        home, replace(stage.ALL, where=f"document_id = '{one}' AND map_contains(headers, 'User-Agent')")
    )
    assert total.total().deliveries == 1


def test_a_condition_that_is_none_is_refused_before_anything_is_read(home: Path) -> None:
    with pytest.raises(QueryError, match="the columns are submission_timestamp"):
        stage.replay(home, replace(stage.ALL, where="colour = 'red'"))


def test_an_earlier_row_outside_of_the_replay_wins(home: Path) -> None:
    """Of two deliveries only the second is replayed: the first one's row stays, and the second stays a repeat."""
    _, lake = scene.open_parts(home)
    lake.close()
    before = stage.rows(home)
    partition, number = 0, 8  # a repeat of number 5
    received_ns = stage.FIRST_NS + (number * stage.DAYS * DAY_NS) // COUNT + partition
    total = stage.replay(home, replace(stage.ALL, since_ns=received_ns, until_ns=received_ns + 1)).total()
    assert (total.deliveries, total.documents, total.repeats) == (1, 0, 1)
    assert stage.rows(home) == before


def test_records_that_the_loader_has_not_committed_are_left_to_it(home: Path) -> None:
    log, _ = scene.open_parts(home)
    late = stage.record(7_000_000, stage.FIRST_NS + 5, "order", str(uuid.UUID(int=7_000_000)), b'{"item": "late"}')
    stage.append(log, 0, [late])
    log.close()
    assert stage.replay(home).total().deliveries == 2 * COUNT
    scene.run_loader(home, None)
    assert stage.ids(home, "shop.order_v1").count(str(uuid.UUID(int=7_000_000))) == 1
    assert stage.replay(home).total().deliveries == 2 * COUNT + 1
    assert stage.ids(home, "shop.order_v1").count(str(uuid.UUID(int=7_000_000))) == 1


def test_a_home_without_anything_has_nothing_to_replay(tmp_path: Path) -> None:
    scene.write_schemas(tmp_path)
    assert stage.replay(tmp_path).total().deliveries == 0


def test_what_was_deferred_is_so_no_more(home: Path) -> None:
    _, lake = scene.open_parts(home)
    rows = DeferralRows()
    for offset, number in ((40, 40), (COUNT + 7, 41)):  # one of the landfill's, and one that was never received
        received_ns = stage.FIRST_NS + number * stage.DAYS * DAY_NS // COUNT
        document_id = str(uuid.UUID(int=number))
        deferral = Deferral(offset, b"", received_ns, "shop", "order", 1, document_id, "", "1/s", 9, "edge")
        rows.append(deferral, TopicPartition("raw", 0))
    lake.ensure(DEFERRED_TABLE, DEFERRED_SCHEMA)
    lake.commit(DEFERRED_TABLE, rows.take(), {})
    lake.close()
    assert stage.replay(home).total().tables[DEFERRED_TABLE].removed == 1
    assert len(stage.rows(home)[DEFERRED_TABLE]) == 1


def test_no_row_that_a_replay_writes_holds_an_address(home: Path) -> None:
    stage.mend(home)
    stage.replay(home)
    assert scene.ADDRESS not in repr(stage.rows(home))
