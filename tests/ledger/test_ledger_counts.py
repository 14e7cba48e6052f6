"""The ledger counts what came and what became of it, each once, and both sides agree."""

from __future__ import annotations

import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import sqlalchemy as sa

from catchment.database.database import Database
from catchment.database.tables import ledger_gaps
from catchment.ingestion.decoder.failure import Failure
from catchment.ingestion.ledger.balance import Query, details, summed
from catchment.ingestion.loader.failures import FailureRows
from catchment.log.port import TopicPartition
from tests.ledger import scene
from tests.ledger.conftest import RECORDS
from tests.loader import scene as loading


def test_everything_accepted_is_accounted_for(home: Path, expected: loading.Expected, each_database: Database) -> None:
    clock = scene.clock_after()
    scene.count_all(home, each_database, clock)
    found = scene.read(home, each_database, clock)
    documents = sum(len(ids) for ids in expected.documents.values())
    duplicates = sum(len(offsets) for (topic, _), offsets in expected.outputs.items() if topic == "duplicates")
    assert scene.totals(found) == {
        "accepted": RECORDS,
        "decoded": documents,
        "stored": documents,
        "errors": len(expected.errors),
        "duplicates": duplicates,
        "balance": 0,
    }
    assert {line.state for line in found} == {"balanced"}


def test_rows_are_told_by_table_and_errors_by_code(home: Path, expected: loading.Expected, database: Database) -> None:
    scene.count_all(home, database, scene.clock_after())
    found = details(database, scene.EVER)
    stored = {row["detail"]: row["records"] for row in found if row["kind"] == "stored"}
    assert stored == {table: len(ids) for table, ids in expected.documents.items()}
    errors = [row for row in found if row["kind"] == "errors"]
    assert {row["detail"] for row in errors} == {"json_invalid", "schema_violation"}
    assert sum(row["records"] for row in errors) == len(expected.errors)


def test_what_the_loader_has_not_read_waits_and_then_balances(
    tmp_path: Path, expected: loading.Expected, database: Database
) -> None:
    clock = scene.clock_after(0)
    scene.count_all(tmp_path, database, clock)
    assert {line.state for line in scene.read(tmp_path, database, clock)} == {"open"}
    clock.advance(scene.LATER_S)
    assert {line.state for line in scene.read(tmp_path, database, clock)} == {"waiting"}
    loading.run_loader(tmp_path, None)
    scene.count_all(tmp_path, database, clock)
    assert {line.state for line in scene.read(tmp_path, database, clock)} == {"balanced"}


def test_a_row_that_vanishes_is_missed_and_one_too_many_is_told(
    home: Path, expected: loading.Expected, database: Database
) -> None:
    _, lake = loading.open_parts(home)
    scene.rewrite(lake, "shop.order_v1", lambda rows: rows.slice(1))
    clock = scene.clock_after()
    scene.count_all(home, database, clock)
    (missed,) = [line for line in scene.read(home, database, clock) if line.balance]
    assert (missed.namespace, missed.doctype, missed.balance) == ("shop", "order", 1)
    assert missed.state == "open"  # it has just changed
    clock.advance(scene.LATER_S)
    (missed,) = [line for line in scene.read(home, database, clock) if line.balance]
    assert missed.state == "unbalanced"

    scene.rewrite(lake, "shop.refund_v1", lambda rows: pa.concat_tables([rows, rows.slice(0, 2)]))
    scene.count_all(home, database, clock)
    clock.advance(scene.LATER_S)
    doubled = [line for line in scene.read(home, database, clock) if line.balance < 0]
    assert {(line.doctype, line.state) for line in doubled} == {("refund", "unbalanced")}
    assert sum(line.balance for line in doubled) == -2


def test_a_submission_whose_path_is_not_understood_balances_without_a_name(tmp_path: Path, database: Database) -> None:
    log, _ = loading.open_parts(tmp_path)
    loading.write_schemas(tmp_path)
    log.create("raw", 2)
    writer = log.open_writer(TopicPartition("raw", 0))
    paths = ("/submit/nonsense", "/submit/shop/order/1/not-a-uuid", "/submit/Shop/newOrder/1/" + "0" * 36)
    writer.append([*(loading.raw_record(path, b"{}", number) for number, path in enumerate(paths)), b"no message"])
    writer.close()
    log.close()
    loading.run_loader(tmp_path, None)
    clock = scene.clock_after()
    scene.count_all(tmp_path, database, clock)
    found = scene.read(tmp_path, database, clock)
    errors = [(line.begins_s > 0, line.namespace, line.doctype, line.counts["errors"], line.state) for line in found]
    assert sorted(errors) == [
        (False, "", "", 1, "balanced"),
        (True, "", "", 1, "balanced"),
        (True, "shop", "new_order", 1, "balanced"),
        (True, "shop", "order", 1, "balanced"),
    ]


def test_names_are_asked_for_as_they_were_sent(home: Path, database: Database) -> None:
    clock = scene.clock_after()
    scene.count_all(home, database, clock)
    found = scene.read(home, database, clock, Query(0, 1 << 40, namespace="Shop", doctype="order"))
    assert {(line.namespace, line.doctype) for line in found} == {("shop", "order")}
    assert scene.read(home, database, clock, Query(0, 1 << 40, namespace="nobody")) == []
    assert scene.read(home, database, clock, Query(0, found[-1].begins_s)) == []


def test_sums_are_in_the_worst_state_of_their_parts(home: Path, database: Database) -> None:
    _, lake = loading.open_parts(home)
    scene.rewrite(lake, "shop.order_v1", lambda rows: rows.slice(5))
    clock = scene.clock_after()
    scene.count_all(home, database, clock)
    clock.advance(scene.LATER_S)
    found = scene.read(home, database, clock)
    by_doctype = {line.doctype: line.state for line in summed(found, "doctype")}
    assert by_doctype == {"order": "unbalanced", "refund": "balanced", "mystery": "balanced"}
    by_minute = summed(found, "minute")
    assert sum(line.counts["accepted"] for line in by_minute) == RECORDS
    assert {line.doctype for line in by_minute} == {"*"}


def test_only_what_the_archiver_is_behind_is_archived(home: Path, database: Database) -> None:
    clock = scene.clock_after()
    log, _ = loading.open_parts(home)
    for archived in ({0: 7, 1: 0}, {0: 7, 1: 12}, {0: 20, 1: 20}):
        archiver = log.open_consumer("archiver", ["raw"])
        archiver.poll(1, 1, 0)
        archiver.commit({TopicPartition("raw", number): end for number, end in archived.items()})
        archiver.close()
        scene.count_all(home, database, clock)
        assert scene.totals(scene.read(home, database, clock)).get("archived", 0) == sum(archived.values())
    log.close()


def write_more(home: Path, records: int) -> list[Path]:
    """Write more raw records into small segments; all segments of the partition."""
    settings = loading.LogSettings(min_free_bytes=0, segment_bytes=4096)
    log = loading.open_log(settings, home, loading.SystemClock(), loading.Events("test"))
    writer = log.open_writer(TopicPartition("raw", 0))
    for number in range(records):
        path = f"/submit/shop/order/1/{uuid.UUID(int=number + (9 << 64))}"
        writer.append([loading.raw_record(path, b'{"item": "%s"}' % (b"x" * 500), number)])
    writer.close()
    log.close()
    return sorted((home / "log" / "raw" / "0").glob("*.log"))


def lose(home: Path, after: int) -> tuple[int, int]:
    """Write `after` more raw records and move one of their segments away, as docs/log.md tells; the offsets lost."""
    lost, later = write_more(home, after)[2:4]
    lost.rename(home / "moved-away")
    return int(lost.stem), int(later.stem)


def name_lost(home: Path, first: int, next_: int, found_ns: int = loading.START_NS) -> None:
    """Errors that name the lost records, as the loader writes them."""
    _, lake = loading.open_parts(home)
    rows = FailureRows()
    for offset in range(first, next_):
        failure = Failure("read", "record_lost", "", "", (), found_ns, b"", None, None, None, b"")
        rows.append(failure, TopicPartition("raw", 0), offset)
    lake.commit("monitoring.errors", rows.take(), {})


def test_records_that_nobody_can_read_are_accepted_and_dropped_by_name(home: Path, database: Database) -> None:
    clock = scene.clock_after()
    scene.count_all(home, database, clock)
    first, next_ = lose(home, 40)
    loading.run_loader(home, None)
    scene.count_all(home, database, clock)
    clock.advance(scene.LATER_S)
    with database.read() as connection:
        gaps = connection.execute(sa.select(ledger_gaps).order_by(ledger_gaps.c.source)).all()
    assert [gap[:4] for gap in gaps] == [
        ("lost raw/0", first, next_, "record_lost"),
        ("raw/0", first, next_, "damaged"),
    ]
    found = scene.totals(scene.read(home, database, clock))
    assert (found["accepted"], found["dropped"], found["balance"]) == (RECORDS + 40, next_ - first, 0)
    assert {row["detail"] for row in details(database, scene.EVER) if row["kind"] == "dropped"} == {"record_lost"}


@pytest.mark.parametrize("clock_set_back_s", [0, 12 * 3600])
def test_records_that_only_the_loader_missed_are_not_taken_for_an_imbalance(
    home: Path, expected: loading.Expected, database: Database, clock_set_back_s: int
) -> None:
    """The ledger has counted them where they belong, the loader at no time: only together they balance; also when they
    were missed at an earlier time than they came."""
    clock = scene.clock_after()
    scene.count_all(home, database, clock)
    _, lake = loading.open_parts(home)
    gone = pa.array(expected.documents["shop.order_v1"][:2])
    scene.rewrite(
        lake, "shop.order_v1", lambda rows: rows.filter(pc.invert(pc.is_in(rows.column("document_id"), gone)))
    )
    name_lost(home, 18, 20, loading.START_NS - clock_set_back_s * 10**9)
    scene.count_all(home, database, clock)
    clock.advance(scene.LATER_S)
    found = scene.read(home, database, clock)
    assert scene.totals(found)["balance"] == 0
    assert sorted((line.balance, line.state) for line in found if line.balance) == [(-2, "gap"), (2, "gap")]


def test_what_retention_took_before_the_ledger_came_is_not_judged(home: Path, database: Database) -> None:
    segments = write_more(home, 40)
    loading.run_loader(home, None)
    for segment in segments[:2]:
        segment.unlink()
    clock = scene.clock_after()
    scene.count_all(home, database, clock)
    clock.advance(scene.LATER_S)
    with database.read() as connection:
        (gap,) = connection.execute(sa.select(ledger_gaps)).all()
    assert (gap.source, gap.first, gap.reason, gap.since_s) == ("raw/0", 0, "uncounted", 0)
    assert "unbalanced" not in {line.state for line in scene.read(home, database, clock)}
