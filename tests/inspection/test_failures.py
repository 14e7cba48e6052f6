"""What was refused: counted, found again, and laid open with the lines that broke."""

from __future__ import annotations

from itertools import pairwise

import orjson
import pytest

from catchment.errors import Missing
from catchment.ingestion.decoder.failure import ERRORS_TABLE
from catchment.ingestion.inspection.failures import Wanted
from catchment.ingestion.inspection.opened import open_failure
from catchment.ingestion.loader.failures import FailureRows
from catchment.ingestion.replay.repeats import Identity, displaced
from tests.inspection.home import CLIENT_ID, Home, body, gzipped
from tests.loader.scene import ADDRESS, START_NS

EVERYTHING = Wanted(0)
SOON_NS = START_NS + 3_600 * 10**9


def test_nothing_is_known_before_a_loader_ran(home: Home) -> None:
    assert home.failures().counts(EVERYTHING, SOON_NS) == []
    with pytest.raises(Missing, match="catchment receipt"):
        home.failures().find("raw/0@0")


def test_failures_are_counted_by_code_and_doctype_with_their_share(home: Home) -> None:
    for _ in range(3):
        home.send(body())
    home.send(body(item=5))
    home.send(b"not json")
    home.send(b"not json", uri="/nowhere")
    home.load()
    counts = home.failures().counts(Wanted(START_NS), SOON_NS)
    assert {(count.code, count.doctype): (count.pings, count.share) for count in counts} == {
        ("json_invalid", "order"): (1, 0.2),
        ("schema_violation", "order"): (1, 0.2),
        ("uri_invalid", ""): (1, None),
    }
    assert {count.per_h for count in counts} == {1.0}
    only = home.failures().counts(Wanted(START_NS, code="json_invalid"), SOON_NS)
    assert [(count.code, count.share) for count in only] == [("json_invalid", 0.2)]


def test_counted_messages_hold_no_values(home: Home) -> None:
    for number in range(3):
        home.send(body(item=number))
    home.load()
    (count,) = home.failures().counts(EVERYTHING, SOON_NS)
    assert (count.pings, count.message.count("Keyword: type")) == (3, 1)
    assert sorted(found.failure.detail for found in home.failures().samples(EVERYTHING, 10)) == [
        f'{number} is not of type "string"' for number in range(3)
    ]


def test_time_is_cut_into_steps_that_hold_all_failures(home: Home) -> None:
    for _ in range(4):
        home.send(b"not json")
    home.load()
    steps = home.failures().over_time(Wanted(START_NS), SOON_NS)
    assert 50 <= len(steps) <= 61
    assert sum(step.pings.get("json_invalid", 0) for step in steps) == 4
    assert {later.begin_ns - step.begin_ns for step, later in pairwise(steps)} == {60 * 10**9}


def test_one_is_found_by_its_document_and_by_its_record_before_and_after_it_is_stored(home: Home) -> None:
    first = home.send(b"not json")
    home.load()
    found = home.failures().find(first.upper())
    assert [(other.name, other.is_stored) for other in found] == [("raw/0@0", True)]
    assert home.failures().find("raw/0@0") == found
    assert found[0].failure.body == b"not json"
    assert ADDRESS not in str(found[0])


def test_a_document_that_was_refused_twice_is_found_twice_the_newest_first(home: Home) -> None:
    document_id = home.send(b"not json")
    home.send(body(item=5), document_id=document_id)
    home.load()
    assert [other.failure.code for other in home.failures().find(document_id)] == ["schema_violation", "json_invalid"]


@pytest.mark.parametrize("name", ["raw/0@7", "raw/9@0", "@", "raw/0@", "x' or 1=1 --", "é" * 500])
def test_what_is_not_there_is_missing(home: Home, name: str) -> None:
    home.send(b"not json")
    home.load()
    with pytest.raises(Missing):
        home.failures().find(name)


def test_a_broken_rule_is_marked_in_the_document_and_in_the_schema(home: Home) -> None:
    home.send(gzipped(body(item=5)))
    home.load()
    failure = home.failures().find("raw/0@0")[0].failure
    opened = open_failure(failure, home.platform.registry(), shows_clients=True)
    assert opened.form == "JSON, gunzipped, one value a line"
    assert [line.text for line in opened.document if line.is_marked] == ['  "item": 5,']
    assert ['"item":{"type":"string"}' in line.text for line in opened.schema if line.is_marked] == [True]
    assert opened.today == "Today's schema refuses it too: type at #/item"


def test_a_schema_that_was_mended_says_so(home: Home) -> None:
    home.send(body(item=5))
    home.load()
    path = home.path / "schemas/shop/order/order.1.schema.json"
    path.write_bytes(path.read_bytes().replace(b'"item":{"type":"string"}', b'"item":{"type":"integer"}'))
    failure = home.failures().find("raw/0@0")[0].failure
    opened = open_failure(failure, home.platform.registry(), shows_clients=True)
    assert opened.today == "Today's schema accepts this ping."


def test_client_ids_are_cut_unless_they_are_asked_for(home: Home) -> None:
    home.send(body(item=5))
    home.send(body() + b"}")
    home.send(b" " * 140 + body() + b"}")  # where a long line is folded
    home.send(orjson.dumps({"item": 5, "inner": body().decode()}))
    home.load()
    for found in home.failures().samples(EVERYTHING, 4):
        hidden = open_failure(found.failure, home.platform.registry(), shows_clients=False)
        assert CLIENT_ID not in str(hidden)
        assert CLIENT_ID[-12:] not in str(hidden)
        assert f"{CLIENT_ID[:4]}…" in str(hidden)
        shown = open_failure(found.failure, home.platform.registry(), shows_clients=True)
        assert CLIENT_ID in "".join(line.text for line in shown.document)


@pytest.mark.parametrize(
    ("sent", "marked"),
    [
        (b'{"item": "a",\n "count": ?}', ' "count": ?}'),
        (b'{"item": 1,\n "item": 2}', ' "item": 2}'),
        (b'{"item": "\xff"}', '{"item": "\ufffd"}'),
        (b"", None),
        (b"\x1f\x8bbroken", None),
        (bytes(range(128, 256)) * 20, None),
        (b'{"item":' + b"[" * 5000, None),
        (b"[" * 200_000, None),
    ],
)
def test_any_bytes_can_be_laid_open(home: Home, sent: bytes, marked: str | None) -> None:
    home.send(sent)
    home.load()
    failure = home.failures().find("raw/0@0")[0].failure
    opened = open_failure(failure, home.platform.registry(), shows_clients=True)
    assert opened.document or not sent
    assert [line.text for line in opened.document if line.is_marked] == ([marked] if marked else [])


@pytest.mark.parametrize("shows_clients", [True, False])
def test_bytes_that_cannot_be_read_show_no_client_id_unless_that_is_allowed(home: Home, shows_clients: bool) -> None:
    sent = [b"\xff" * 600 + body(), gzipped(body())[:-9] + b"damaged!!"]
    for text in sent:
        home.send(text)
    home.load()
    for found in home.failures().samples(Wanted(0), 9):
        opened = open_failure(found.failure, home.platform.registry(), shows_clients=shows_clients)
        assert opened.form.startswith("bytes")
        shown = "\n".join(line.text for line in opened.document)
        assert ("show_client_ids" in shown) is not shows_clients
        assert (found.failure.body[:9].hex(" ") in shown) is shows_clients


def test_a_row_that_a_replay_displaced_is_found_by_its_document_id(home: Home) -> None:
    home.send(b"not json")
    home.load()
    document_id = "00000000-0000-4000-8000-000000000001"
    rows = FailureRows()
    rows.append(displaced(Identity("shop", "order", 1, document_id, START_NS)), None, None)
    home.platform.lake().commit(ERRORS_TABLE, rows.take(), {})
    (found,) = home.failures().find(document_id)
    assert (found.name, found.failure.code) == (document_id, "repeat")
    assert document_id in [sample.name for sample in home.failures().samples(Wanted(0), 9)]
    assert open_failure(found.failure, home.platform.registry(), shows_clients=False).form == "text"
    ((receipt,), _) = home.receipts().find(document_id)
    assert (receipt.outcome, receipt.stage, receipt.is_archived) == ("error", "stored", None)
