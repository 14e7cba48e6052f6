"""The editor over HTTP: checking a schema and a ping, and adding the schema to the registry."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from catchment.errors import TooLarge, Unavailable
from catchment.web.catalogue.check import Draft
from catchment.web.catalogue.editor import MAX_BODY_BYTES, MAX_TEXT_BYTES, STARTER, STARTER_PING
from catchment.web.catalogue.worker import Checker
from tests.web.scene import Page, Scene
from tests.web.test_catalogue import text_of

ORDER = """{
  "$schema": "http://json-schema.org/draft-07/schema#",
  "title": "An order",
  "type": "object",
  "required": ["total"],
  "properties": {
    "total": {"type": "number", "description": "Of all lines"}
  },
  "additionalProperties": true
}"""
NAME = {"namespace": "shop", "doctype": "order", "version": 1}
SLOW = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "required": ["x"],
    "properties": {"x": {"$ref": "#/definitions/a40"}},
    "definitions": {"a0": {"type": "string"}}
    | {f"a{n}": {"allOf": [{"$ref": f"#/definitions/a{n - 1}"}] * 2} for n in range(1, 41)},
}
"""Judging one value of x doubles forty times."""


WIDE = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {"x": {"$ref": "#/definitions/a40"}},
    "definitions": {"a0": {"type": "string"}}
    | {
        f"a{n}": {"type": "object", "properties": {side: {"$ref": f"#/definitions/a{n - 1}"} for side in "lr"}}
        for n in range(1, 41)
    },
}
"""Has two to the fortieth fields."""


def draft(schema: str = ORDER, ping: str = "", **more: Any) -> dict[str, Any]:
    return {**NAME, "schema": schema, "ping": ping, **more}


def checked(page: Page) -> Any:
    assert page.status == 200, page.text
    return orjson.loads(page.text)


def test_a_schema_and_a_ping_that_fit_are_told_so(scene: Scene) -> None:
    scene.run()
    found = checked(scene.post("/api/schemas/check", draft(ping='{"total": 12}')))
    assert found["schema"]["is_valid"] is True
    assert found["schema"]["columns"] == {"total": "double"}
    assert found["schema"]["table"] == "shop.order_v1"
    assert found["schema"]["endpoint"] == "/submit/shop/order/1/<document id>"
    assert found["ping"] == {"is_valid": True, "violations": [], "count": 0}
    assert found["schema"]["example"] == '{"total":0}'
    assert found["comparison"] is None


def test_what_a_ping_breaks_has_its_line_in_both_texts(scene: Scene) -> None:
    scene.run()
    found = checked(scene.post("/api/schemas/check", draft(ping='{\n\n  "total": "12"\n}')))
    (violation,) = found["ping"]["violations"]
    assert (violation["line"], violation["pointer"], violation["keyword"]) == (3, "#/total", "type")
    assert (violation["schema_line"], violation["schema_pointer"]) == (7, "#/properties/total/type")
    assert '"12" is not of type "number"' in violation["text"]


def test_a_schema_that_cannot_be_used_is_told_where(scene: Scene) -> None:
    scene.run()
    for schema, line, code in (
        ('{\n"type": "object"\n"title"}', 3, "not_json"),
        (ORDER.replace('"number"', '"nmber"'), 7, "not_a_schema"),
        (ORDER.replace('"type": "number"', '"$ref": "https://example.org/x"'), 7, "reference_remote"),
        ("[" * 1_000_000, 1, "not_json"),
        ("", 1, "not_json"),
    ):
        found = checked(scene.post("/api/schemas/check", draft(schema, '{"total": 1}')))
        first = found["schema"]["findings"][0]
        assert found["schema"]["is_valid"] is False
        assert (first["line"], first["code"], first["severity"]) == (line, code, "error")
        assert found["ping"]["is_valid"] is None


def test_a_ping_that_is_no_json_is_told_where(scene: Scene) -> None:
    scene.run()
    found = checked(scene.post("/api/schemas/check", draft(ping='{\n"total": 1\n"x"}')))
    assert found["ping"]["violations"][0]["line"] == 3
    assert found["ping"]["is_valid"] is False
    deep = checked(scene.post("/api/schemas/check", draft(ping='{"a":' * 100_000)))
    assert deep["ping"]["is_valid"] is False


def test_a_change_of_a_registered_schema_is_compared(scene: Scene) -> None:
    scene.add_schema("shop", "order", 1, ORDER.encode())
    scene.run()
    same = checked(scene.post("/api/schemas/check", draft()))
    assert same["comparison"]["is_same"] is True
    text = ORDER.replace('"number"', '"string"')
    other = checked(scene.post("/api/schemas/check", draft(text)))["comparison"]
    assert (other["is_same"], other["compatible"]) == (False, False)
    assert "total" in {change["path"] for change in other["changes"]}


def test_a_schema_is_added_and_in_use_at_once(scene: Scene) -> None:
    scene.run()
    assert scene.get("/catalogue/shop/order").status == 404
    page = scene.post("/api/schemas", draft())
    assert page.status == 201
    added = orjson.loads(page.text)
    assert (added["table"], added["endpoint"]) == ("shop.order_v1", "/submit/shop/order/1/<document id>")
    assert (added["is_changed"], added["replaced"]) == (True, False)
    assert "curl -d" in added["curl"]
    assert scene.get("/catalogue/shop/order").status == 200
    assert scene.get("/catalogue/shop/order/1/schema.json").text == ORDER


def test_a_registered_schema_is_replaced_only_when_that_is_said(scene: Scene) -> None:
    scene.add_schema("shop", "order", 1, ORDER.encode())
    scene.run()
    wider = ORDER.replace('"title": "An order"', '"title": "An order of today"')
    refused = scene.post("/api/schemas", draft(wider))
    assert (refused.status, orjson.loads(refused.text)["error"]["code"]) == (409, "conflict")
    assert scene.get("/catalogue/shop/order/1/schema.json").text == ORDER
    done = scene.post("/api/schemas", draft(wider, replace=True))
    assert (done.status, orjson.loads(done.text)["replaced"]) == (201, True)
    assert scene.get("/catalogue/shop/order/1/schema.json").text == wider


def test_an_incompatible_change_in_place_is_refused(scene: Scene) -> None:
    scene.add_schema("shop", "order", 1, ORDER.encode())
    scene.run()
    page = scene.post("/api/schemas", draft(ORDER.replace('"number"', '"string"'), replace=True))
    assert page.status == 422
    assert "incompatible" in page.text
    assert scene.get("/catalogue/shop/order/1/schema.json").text == ORDER


def test_a_schema_with_an_error_is_not_added(scene: Scene) -> None:
    scene.run()
    page = scene.post("/api/schemas", draft(ORDER.replace('"number"', '"nmber"')))
    assert page.status == 422
    assert "line 7" in orjson.loads(page.text)["error"]["text"]
    assert scene.get("/catalogue/shop/order").status == 404


def test_a_console_that_adds_no_schemas_says_so(scene: Scene) -> None:
    scene.run(add_schemas=False)
    page = scene.post("/api/schemas", draft())
    assert page.status == 409
    assert "add_schemas" in page.text
    assert "Add to the registry" not in scene.get("/catalogue/editor").text


def test_another_site_may_change_nothing(scene: Scene) -> None:
    scene.run()
    clicked = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "document", "Sec_Fetch_User": "?1"}
    foreign = (clicked, {"Sec_Fetch_Site": "same-site"}, {"Origin": "http://evil.example"}, {"Origin": "null"})
    for path in ("/api/schemas", "/api/schemas/check", "/catalogue/editor"):
        for headers in foreign:
            assert scene.post(path, draft(), **headers).status == 403
        for kind in ("text/plain", "multipart/form-data; boundary=x"):
            assert scene.post(path, orjson.dumps(draft()), Content_Type=kind).status == 400
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert scene.post("/api/schemas", urlencode(draft()).encode(), **form).status == 400
    assert scene.get("/catalogue/shop/order").status == 404
    ours = {"Sec_Fetch_Site": "same-origin", "Origin": scene.url}
    assert scene.post("/api/schemas/check", draft(), **ours).status == 200


def test_names_and_values_that_cannot_be_are_refused(scene: Scene) -> None:
    scene.run()
    wrong: list[dict[str, Any]] = [
        {"namespace": "../etc"},
        {"namespace": ""},
        {"doctype": "a/b"},
        {"doctype": "x" * 101},
        {"version": "01"},
        {"version": -1},
        {"version": "x"},
        {"schema": {"type": "object"}},
        {"ping": 5},
    ]
    for values in wrong:
        for path in ("/api/schemas/check", "/api/schemas"):
            page = scene.post(path, {**draft(), **values})
            assert (page.status, orjson.loads(page.text)["error"]["code"]) == (400, "malformed"), values


def test_texts_and_requests_are_bounded(scene: Scene) -> None:
    scene.run()
    page = scene.post("/api/schemas/check", draft(ping=" " * (MAX_TEXT_BYTES + 1)))
    assert (page.status, orjson.loads(page.text)["error"]["code"]) == (413, "too_large")
    assert scene.post("/api/schemas/check", draft(ping=" " * (MAX_BODY_BYTES + 1))).status == 413
    assert scene.post("/api/schemas/check", b"{").status == 400
    assert scene.post("/api/schemas/check", b"[]").status == 400


def test_a_hostile_schema_is_ended_and_the_console_goes_on(scene: Scene) -> None:
    scene.run(check_s=0.5)
    slow = orjson.dumps(SLOW).decode()
    page = scene.post("/api/schemas/check", draft(slow, '{"x": "y"}'))
    assert (page.status, orjson.loads(page.text)["error"]["code"]) == (413, "too_large")
    assert scene.post("/api/schemas", draft(slow)).status == 413
    assert scene.get("/catalogue").status == 200
    assert checked(scene.post("/api/schemas/check", draft()))["schema"]["is_valid"] is True


def test_a_schema_that_means_trillions_of_fields_does_not_hold_up_the_console(scene: Scene) -> None:
    scene.run()
    page = scene.post("/api/schemas", draft(orjson.dumps(WIDE).decode()))
    assert page.status in (201, 413)
    assert scene.get("/catalogue").status == 200
    assert scene.get("/catalogue/shop/order/1").status == (200 if page.status == 201 else 404)


def test_a_pattern_that_backtracks_does_not_hang() -> None:
    schema = ORDER.replace('"type": "number"', '"type": "string", "pattern": "^(a+)+(b|c)+\\\\1$"')
    checker = Checker(2.0)
    started = time.monotonic()
    try:
        found = checker.check(Draft("shop", "order", 1, schema, orjson.dumps({"total": "a" * 50_000}).decode()))
        assert found["ping"]["is_valid"] is False
    except TooLarge as error:
        assert "took longer" in str(error)
    finally:
        checker.close()
    assert time.monotonic() - started < 30


def test_a_worker_that_was_killed_is_replaced() -> None:
    checker = Checker(5.0)
    try:
        assert checker.check(Draft("shop", "order", 1, ORDER))["schema"]["is_valid"] is True
        worker = checker._worker
        assert worker is not None
        worker.kill()
        worker.wait()
        assert checker.check(Draft("shop", "order", 1, ORDER))["schema"]["is_valid"] is True
    finally:
        checker.close()
    with pytest.raises(Unavailable):
        checker.check(Draft("shop", "order", 1, ORDER))


def test_what_comes_with_the_editor_is_valid(scene: Scene) -> None:
    scene.run()
    found = checked(scene.post("/api/schemas/check", draft(STARTER, STARTER_PING)))
    assert found["schema"]["findings"] == []
    assert found["ping"]["is_valid"] is True


def test_the_form_works_without_scripts(scene: Scene) -> None:
    scene.run()
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    sent = {**draft(ORDER.replace("\n", "\r\n"), '{"total": "12"}'), "do": "check"}
    page = scene.post("/catalogue/editor", urlencode(sent).encode(), **form)
    assert page.status == 200
    assert "The ping would be refused" in text_of(page)
    assert "line 1 type" in text_of(page)
    page = scene.post("/catalogue/editor", urlencode({**sent, "do": "add"}).encode(), **form)
    assert "Added: shop.order version 1" in text_of(page)
    assert scene.get("/catalogue/shop/order/1/schema.json").text == ORDER
    again = scene.post("/catalogue/editor", urlencode({**sent, "do": "add", "version": "x"}).encode(), **form)
    assert again.status == 400
    assert 'value="x"' in again.text


def test_the_editor_opens_a_registered_schema_with_a_ping_that_fits(scene: Scene) -> None:
    scene.run()
    page = scene.get("/catalogue/editor?schema=telemetry/main/4")
    assert 'value="main"' in page.text
    assert '<option value="telemetry/main/4">' in page.text
    assert "clientId" in page.text


def test_our_script_gets_html(scene: Scene) -> None:
    scene.run()
    evil = "<script>alert(1)</script>"
    ping = orjson.dumps({evil: evil, "total": evil}).decode()
    page = scene.post("/api/schemas/check", draft(ping=ping), Accept="text/html")
    assert page.headers["content-type"].startswith("text/html")
    assert "<script>" not in page.text
    assert 'data-text="ping" data-line="1"' in page.text
    refused = scene.post("/api/schemas/check", draft(namespace=evil), Accept="text/html")
    assert refused.status == 400
    assert "<script>" not in refused.text
