"""Receipts: where a document is, whatever became of it."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest

from catchment.clock import ManualClock, SystemClock
from catchment.errors import Malformed
from catchment.ingestion.deduplication import DIRECTORY, DeduplicationSettings, Deduplicator, Sighting, doctype_hash
from catchment.ingestion.limits.settings import LimitSettings
from catchment.query.port import Limits
from tests.inspection.home import Home, body
from tests.loader.scene import START_NS

HOUR_NS = 3_600 * 10**9


def test_a_stored_document_is_found_with_its_row(home: Home) -> None:
    document_id = home.send(body())
    home.load()
    ((receipt,), searched) = home.receipts().find(document_id.upper())
    assert (receipt.stage, receipt.outcome, receipt.table) == ("stored", "document", "shop.order_v1")
    assert (receipt.accepted_ns, receipt.edge, receipt.source) == (START_NS + 1_000_000, "edge", "raw/0@0")
    assert searched.is_whole
    result = home.platform.engine().run(receipt.query, Limits())
    assert result.files == 1
    assert result.read_all().column("document_id").to_pylist() == [document_id]


def test_a_document_without_a_schema_is_found_in_the_table_of_such(home: Home) -> None:
    document_id = str(uuid.uuid4())
    home.send(body(), document_id=document_id, uri=f"/submit/telemetry/{document_id}/mystery/App/1.0/release/2026")
    home.load()
    ((receipt,), _) = home.receipts().find(document_id)
    assert (receipt.stage, receipt.table) == ("stored", "telemetry.unregistered")


def test_a_submission_that_waits_for_the_loader_is_accepted(home: Home) -> None:
    home.send(body())
    home.load()
    document_id = home.send(body())
    home.send(body(other=document_id))
    ((receipt,), searched) = home.receipts().find(document_id)
    assert (receipt.stage, receipt.outcome, receipt.source) == ("accepted", "waiting", "raw/0@1")
    assert searched.waiting_records == 2


@pytest.mark.parametrize("length", [1, 60, 90])
def test_an_id_is_found_in_a_path_of_any_length_and_in_capitals(home: Home, length: int) -> None:
    document_id = str(uuid.uuid4())
    uri = f"/submit/{'a' * length}/order/1/{document_id.upper()}"
    home.send(body(), uri=uri)
    ((receipt,), _) = home.receipts().find(document_id)
    assert receipt.doctype == "order"


def test_a_submission_is_found_before_any_loader_ran(home: Home) -> None:
    document_id = home.send(body())
    ((receipt,), searched) = home.receipts().find(document_id)
    assert (receipt.stage, searched.window_from_ns) == ("accepted", None)


def test_a_refused_document_tells_its_error(home: Home) -> None:
    document_id = home.send(b"not json")
    home.load()
    ((receipt,), _) = home.receipts().find(document_id)
    assert receipt.error is not None
    assert (receipt.stage, receipt.outcome, receipt.error.code) == ("stored", "error", "json_invalid")
    assert receipt.query
    assert home.platform.engine().run(receipt.query, Limits()).read_all().num_rows == 1


def test_what_came_over_a_limit_is_deferred(home: Home) -> None:
    sent = [home.send(body()) for _ in range(3)]
    home.load(LimitSettings(rate=0.001, burst=1))
    ((receipt,), _) = home.receipts().find(sent[2])
    assert (receipt.outcome, receipt.stage, receipt.source) == ("deferred", "accepted", "raw/0@2")
    assert home.platform.engine().run(receipt.query, Limits()).read_all().num_rows == 1
    ((kept,), _) = home.receipts().find(sent[0])
    assert kept.outcome == "document"


def test_a_repeat_is_told_with_the_first(home: Home) -> None:
    document_id = home.send(body())
    home.send(body(), document_id=document_id)
    home.load()
    ((receipt,), _) = home.receipts().find(document_id)
    assert receipt.source == "raw/0@0"
    assert receipt.again_ns == START_NS + 2_000_000


def test_a_document_that_came_right_after_it_was_refused_has_both_receipts(home: Home) -> None:
    document_id = home.send(b"not json")
    home.send(body(), document_id=document_id)
    home.load()
    receipts, _ = home.receipts().find(document_id)
    assert [(receipt.outcome, receipt.source) for receipt in receipts] == [
        ("error", "raw/0@0"),
        ("document", "raw/0@1"),
    ]


def test_one_id_in_two_doctypes_is_two_documents(home: Home) -> None:
    document_id = home.send(body())
    home.send(body(), doctype="refund", document_id=document_id)
    home.load()
    receipts, _ = home.receipts().find(document_id)
    assert [receipt.table for receipt in receipts] == ["shop.order_v1", "shop.refund_v1"]


def test_a_document_that_the_window_has_forgotten_is_found_everywhere(home: Home) -> None:
    document_id = home.send(body())
    home.load()
    (known, _) = home.receipts().find(document_id, everywhere=True)
    assert [receipt.source for receipt in known] == ["raw/0@0"]
    shutil.rmtree(home.path / DIRECTORY)
    assert home.receipts().find(document_id)[0] == []
    ((receipt,), searched) = home.receipts().find(document_id, everywhere=True)
    assert (receipt.doctype, receipt.stage, receipt.table) == ("order", "stored", "shop.order_v1")
    assert receipt.accepted_ns == START_NS + 1_000_000
    assert "all rows of all tables" in str(searched)
    assert home.platform.engine().run(receipt.query, Limits()).read_all().num_rows == 1


def test_an_unknown_id_tells_what_was_searched(home: Home) -> None:
    home.send(body())
    home.load()
    receipts, searched = home.receipts().find(str(uuid.uuid4()))
    assert receipts == []
    assert "the ids of all documents since 2026-" in str(searched)
    assert "all of monitoring.errors" in str(searched)


@pytest.mark.parametrize("text", ["", "x", "' or 1=1 --", "5c1ade7f-1111-4222-8333-44445555666g"])
def test_what_is_no_id_is_refused(home: Home, text: str) -> None:
    with pytest.raises(Malformed, match="must be a UUID"):
        home.receipts().find(text)


@pytest.fixture
def lenient(tmp_path: Path) -> Home:
    return Home(tmp_path / "lenient", CATCHMENT_DECODER__LENIENT_NAMESPACES="shop")


@pytest.mark.parametrize(
    ("document_id", "path"),
    [("order-17", "order-17"), ("Bestellung Nr. 17 – é", "Bestellung%20Nr.%2017%20%E2%80%93%20%C3%A9")],
)
def test_an_id_of_a_lenient_namespace_is_found_at_every_stage(lenient: Home, document_id: str, path: str) -> None:
    lenient.send(body(), uri=f"/submit/shop/order/1/{path}")
    ((receipt,), _) = lenient.receipts().find(document_id)
    assert (receipt.doctype, receipt.stage, receipt.outcome) == ("order", "accepted", "waiting")
    lenient.load()
    ((receipt,), _) = lenient.receipts().find(document_id)
    assert (receipt.stage, receipt.outcome, receipt.table) == ("stored", "document", "shop.order_v1")
    assert lenient.receipts().find(document_id.swapcase())[0] == []


def test_a_uuid_in_capitals_is_found_where_ids_may_be_any_text(lenient: Home) -> None:
    document_id = lenient.send(body())
    lenient.load()
    ((receipt,), _) = lenient.receipts().find(document_id.upper())
    assert receipt.stage == "stored"


@pytest.mark.parametrize("text", ["", "a/b", "..", "x" * 257, "a\nb", "\x1b[31m"])
def test_what_no_lenient_path_can_hold_is_refused_with_the_rule(lenient: Home, text: str) -> None:
    with pytest.raises(Malformed, match="1 to 256 printable characters without /"):
        lenient.receipts().find(text)


def test_a_search_tells_how_far_it_is(home: Home) -> None:
    home.send(body())
    home.load()
    home.send(body())
    told: list[tuple[str, int, int]] = []
    home.receipts().find(str(uuid.uuid4()), everywhere=True, say=lambda *step: told.append(step))
    assert told[0] == ("submissions that wait", 1, 1)
    assert told[-1][0] == "tables"
    assert told[-1][1] == told[-1][2] > 1


def test_a_schema_that_came_later_does_not_hide_the_row(home: Home) -> None:
    document_id = str(uuid.uuid4())
    home.send(body(), document_id=document_id, uri=f"/submit/telemetry/{document_id}/mystery/App/1.0/release/2026")
    home.load()
    folder = home.path / "schemas/telemetry/mystery"
    folder.mkdir(parents=True)
    (folder / "mystery.1.schema.json").write_text('{"type": "object", "required": ["nothing"]}')
    ((receipt,), _) = home.receipts().find(document_id)
    assert (receipt.outcome, receipt.stage, receipt.table) == ("document", "stored", "telemetry.unregistered")


def sighting(document_id: str, time_ns: int, offset: int) -> Sighting:
    return Sighting(uuid.UUID(document_id).bytes + doctype_hash("shop", "order"), time_ns, 0, 0, offset)


def test_a_document_whose_raw_record_has_gone_is_found_by_its_schema(home: Home) -> None:
    document_id = home.send(body())
    home.load()
    window = Deduplicator(home.path / DIRECTORY, DeduplicationSettings(), SystemClock(), home.platform.events("test"))
    gone = str(uuid.uuid4())
    window.mark([sighting(gone, START_NS, 999)])
    window.close()
    ((receipt,), _) = home.receipts().find(gone)
    assert (receipt.namespace, receipt.doctype, receipt.stage, receipt.source) == (
        "shop",
        "order",
        "decoded",
        "raw/0@999",
    )
    assert document_id != gone


def test_a_repeat_whose_first_delivery_left_the_window_is_a_duplicate(home: Home) -> None:
    document_id = str(uuid.uuid4())
    window = Deduplicator(home.path / DIRECTORY, DeduplicationSettings(), SystemClock(), home.platform.events("test"))
    outcomes = window.mark([sighting(document_id, START_NS, 1), sighting(document_id, START_NS + 20 * HOUR_NS, 2)])
    assert outcomes[1] is not None
    window.close()
    first = min(path for path in (home.path / DIRECTORY).iterdir() if path.is_dir())
    shutil.rmtree(first)
    ((receipt,), _) = home.receipts().find(document_id)
    assert (receipt.outcome, receipt.source, receipt.accepted_ns) == ("duplicate", "", START_NS + 20 * HOUR_NS)


def test_a_document_that_a_replay_noted_and_brought_in_is_no_duplicate(home: Home) -> None:
    home.send(body())
    home.load()
    document_id = home.send(body())
    home.load()
    shutil.rmtree(home.path / DIRECTORY)
    window = Deduplicator(
        home.path / DIRECTORY, DeduplicationSettings(), ManualClock(START_NS), home.platform.events("test")
    )
    assert window.note([sighting(document_id, START_NS + 2_000_000, 1)]) == [None]
    window.close()
    ((receipt,), _) = home.receipts().find(document_id)
    assert (receipt.outcome, receipt.stage, receipt.table) == ("document", "stored", "shop.order_v1")
