"""The pages of refused pings: counts and rate over time with all filters in the address, and one whole."""

from __future__ import annotations

import html
import re
import uuid
from typing import Any

import orjson
import pytest

from catchment.ingestion.decoder.failure import ERRORS_TABLE, Failure
from catchment.ingestion.loader.failures import SCHEMA, FailureRows
from catchment.lake.commit import Span
from tests.web.scene import CLIENT_ID, RAW, Page, Scene

EVIL = "<script>alert(1)</script>"


def stored(scene: Scene, *changes: dict[str, Any]) -> None:
    """Failures in the table `monitoring.errors`, as a loader commits them; each is a record of topic raw."""
    rows = FailureRows()
    scene.lake().ensure(ERRORS_TABLE, SCHEMA)
    begin = scene.lake().offsets(ERRORS_TABLE).get(str(RAW))
    for number, change in enumerate(changes):
        values: dict[str, Any] = {
            "step": "schema",
            "code": "schema_violation",
            "message": "schema: main version: 4 validation error: SchemaURI: #/properties/clientId Keyword: pattern",
            "detail": '"no-uuid" does not match',
            "pointers": ("#/properties/clientId", "#/clientId"),
            "submission_ns": scene.clock.time_ns(),
            "uuid": uuid.uuid4().bytes,
            "hostname": "edge",
            "uri": "/submit/telemetry/x/main/Firefox/140.0/nightly/20261101000000",
            "args": "v=4",
            "body": orjson.dumps({"version": 4, "clientId": CLIENT_ID}),
            "namespace": "telemetry",
            "doctype": "main",
            "version": 4,
            "document_id": str(uuid.uuid4()),
            **change,
        }
        rows.append(Failure(**values), RAW, (begin or 0) + number)
    scene.lake().commit(ERRORS_TABLE, rows.take(), {str(RAW): Span(begin, (begin or 0) + len(changes))})


def text_of(page: Page) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


def test_no_errors_and_the_page_says_where_they_would_be(scene: Scene) -> None:
    scene.run()
    page = scene.get("/errors")
    assert page.status == 200
    assert "No ping was refused in this time." in text_of(page)


def test_errors_are_counted_by_code_and_doctype(scene: Scene) -> None:
    stored(scene, {}, {}, {"code": "json_invalid", "step": "json"}, {"doctype": "event"})
    scene.rows("telemetry.main_v4", document_id=["a", "b"])
    scene.run()
    page = scene.get("/errors?since=1h")
    text = text_of(page)
    assert "schema_violation telemetry.main 2 40.0 % 2.0" in text
    assert "json_invalid telemetry.main 1 20.0 %" in text
    assert "schema_violation telemetry.event 1 100.0 %" in text
    assert page.text.count('<rect class="bar') >= 2
    assert "3 schema_violation" in page.text or page.text.count("schema_violation</title>") >= 1


def test_the_address_holds_all_filters(scene: Scene) -> None:
    stored(scene, {}, {"doctype": "event"}, {"code": "json_invalid"})
    scene.run()
    page = scene.get("/errors?since=6h&namespace=telemetry&doctype=main&code=schema_violation")
    assert "1 refused" in text_of(page)
    assert "<option selected>6h</option>" in page.text
    assert 'name="doctype" value="main"' in page.text
    assert "No ping was refused" in text_of(scene.get("/errors?namespace=other"))


def test_a_bad_time_is_refused_with_advice(scene: Scene) -> None:
    scene.run()
    page = scene.get("/errors?since=yesterday")
    assert page.status == 400
    assert "30m, 6h or 7d" in page.text


def test_one_ping_stands_beside_its_schema_with_both_lines_marked(scene: Scene) -> None:
    stored(scene, {"headers": {"User-Agent": "Firefox"}, "body": b'{"version": 4, "clientId": "no-uuid"}'})
    scene.run()
    page = scene.get("/errors/raw/0@0")
    marked = [html.unescape(line) for line in re.findall(r'class="marked">([^<]*)<', page.text)]
    assert [line.strip().partition(":")[0] for line in marked] == ['"clientId"', '"pattern"']
    assert "User-Agent Firefox" in text_of(page)
    assert "main.4.schema.json" in page.text
    assert "Today's schema refuses it too" in text_of(page)


def test_a_ping_that_is_not_stored_yet_is_shown(scene: Scene) -> None:
    document_id = str(uuid.uuid4())
    scene.refuse(document_id=document_id, body=b"{}")
    scene.run()
    assert "schema_violation" in scene.get(f"/errors/{document_id}").text
    assert scene.get("/errors/raw/0@0").status == 200


def test_a_ping_that_is_not_there_is_404(scene: Scene) -> None:
    scene.run()
    assert scene.get("/errors/raw/0@17").status == 404
    assert scene.get("/errors/%27%20or%201=1").status == 404


@pytest.mark.parametrize("shows", [False, True])
def test_client_ids_are_cut_unless_a_setting_allows_them(scene: Scene, shows: bool) -> None:
    detail = f'{{"clientId":"{CLIENT_ID}"}} is not valid'
    stored(scene, {"detail": detail})
    scene.refuse(detail=detail, body=orjson.dumps({"clientId": CLIENT_ID}))
    scene.run(show_client_ids=shows)
    for path in ("/errors", "/errors/raw/0@0"):
        assert (CLIENT_ID in scene.get(path).text) == shows
    assert CLIENT_ID not in scene.get("/").text


def test_what_came_from_outside_is_text(scene: Scene) -> None:
    evil = dict.fromkeys(("detail", "message", "uri", "args", "namespace", "doctype", "hostname"), EVIL)
    stored(scene, {**evil, "headers": {EVIL: EVIL}, "body": orjson.dumps({EVIL: EVIL}), "pointers": (EVIL, EVIL)})
    scene.run()
    for path in ("/errors", "/errors/raw/0@0"):
        page = scene.get(path)
        assert page.status == 200
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;" in page.text


def test_another_site_may_not_make_the_console_work(scene: Scene) -> None:
    scene.run()
    for path in ("/errors", "/errors/raw/0@0"):
        assert scene.get(path, Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="image").status == 403


def test_a_receipt_is_answered_as_json(scene: Scene) -> None:
    document_id = str(uuid.uuid4())
    stored(scene, {"document_id": document_id})
    scene.run()
    page = scene.get(f"/api/receipts/{document_id}")
    (receipt,) = orjson.loads(page.text)["receipts"]
    assert (page.status, page.headers["content-type"]) == (200, "application/json")
    assert (receipt["outcome"], receipt["error"]["code"]) == ("error", "schema_violation")
    unknown = scene.get(f"/api/receipts/{uuid.uuid4()}")
    assert unknown.status == 404
    assert orjson.loads(unknown.text)["searched"]["is_whole"] is True
    assert orjson.loads(scene.get("/api/receipts/x").text)["error"]["code"] == "malformed"


def test_a_receipt_as_a_page_leads_to_what_was_broken(scene: Scene) -> None:
    document_id = str(uuid.uuid4())
    stored(scene, {"document_id": document_id, "detail": f'{{"clientId":"{CLIENT_ID}"}} is not valid'})
    scene.run()
    page = scene.get(f"/receipts?document_id={document_id}")
    assert page.status == 200
    assert 'href="/errors/raw/0%400"' in page.text
    assert CLIENT_ID not in page.text
    assert page.text.count('class="done"') == 3
    unknown = scene.get(f"/receipts?document_id={uuid.uuid4()}")
    assert unknown.status == 404
    assert "all of monitoring.errors" in unknown.text
    assert scene.get("/receipts").status == 200
    refused = scene.get("/receipts?document_id=%3Cscript%3E")
    assert refused.status == 400
    assert "<script>" not in refused.text.partition("<main")[2]
    assert scene.get("/receipts?document_id=x", Sec_Fetch_Site="cross-site").status == 403
