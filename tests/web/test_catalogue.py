"""The catalogue over HTTP: the list of doctypes, one doctype, its fields and pings, and the same as JSON."""

from __future__ import annotations

import html
import re
import time

import orjson
import pytest

from catchment.schemas.registry import BUILTIN, Registry
from catchment.web.catalogue.sending import example_of
from tests.web.scene import CLIENT_ID, Page, Scene
from tests.web.test_error_pages import EVIL
from tests.web.test_ledger_pages import Counted

ORDER = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "An order",
    "x-owner": "shop@example.org",
    "type": "object",
    "required": ["total"],
    "properties": {
        "total": {"type": "number", "minimum": 0, "description": "In the shop's currency"},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
        "extra": {"type": ["string", "integer"]},
    },
}


def text_of(page: Page) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


def add(scene: Scene, schema: object = ORDER, *, name: str = "shop/order/1") -> None:
    namespace, doctype, version = name.split("/")
    scene.add_schema(namespace, doctype, int(version), orjson.dumps(schema))


def rows_of(page: Page) -> list[str]:
    """The names of the doctypes in the list, from the top."""
    return re.findall(r'<td class="place"><a href="/catalogue/[^"]+">([^<]+)</a>', page.text)


def test_every_schema_table_and_doctype_is_listed_once(scene: Scene) -> None:
    Counted(scene).add(10, "new_thing", accepted=4, errors=4)
    scene.rows("telemetry.main_v4", document_id=["a"])
    scene.rows("monitoring.errors", document_id=["a"])
    scene.run()
    page = scene.get("/catalogue?sort=name")
    names = rows_of(page)
    assert page.status == 200
    assert names == sorted(set(names))
    assert {"telemetry.main", "telemetry.event", "firefox-desktop.baseline", "monitoring.errors"} <= set(names)
    assert "telemetry.new-thing no schema 4 100.0 %" in text_of(page)
    assert "monitoring.errors table only" in text_of(page)


def test_the_list_shows_figures_and_is_sorted_by_them(scene: Scene) -> None:
    add(scene)
    counted = Counted(scene)
    counted.add(5, accepted=100, stored=99, errors=1)
    counted.add(3, "order", namespace="shop", accepted=10, stored=5, errors=5)
    scene.run()
    assert rows_of(scene.get("/catalogue"))[:2] == ["telemetry.main", "shop.order"]
    assert rows_of(scene.get("/catalogue?sort=errors"))[:2] == ["shop.order", "telemetry.main"]
    assert rows_of(scene.get("/catalogue?sort=latest"))[0] == "shop.order"
    assert rows_of(scene.get("/catalogue?sort=owner"))[0] == "shop.order"
    assert rows_of(scene.get("/catalogue?sort=nonsense"))[0] == "telemetry.main"
    text = text_of(scene.get("/catalogue"))
    assert re.search(r"shop\.order An order 10 50\.0 % [\d.]+ (s|min) ago shop@example\.org 1", text), text[:1000]


def test_the_list_is_searched_by_name_title_and_owner(scene: Scene) -> None:
    add(scene)
    scene.run()
    for words in ("shop.ord", "an ORDER", "shop@", "order shop"):
        assert rows_of(scene.get(f"/catalogue?q={words.replace(' ', '+')}")) == ["shop.order"]
    assert "No doctype has these words" in scene.get("/catalogue?q=nonsense").text


def test_a_doctype_without_a_version_is_shown_in_its_newest(scene: Scene) -> None:
    add(scene)
    add(scene, {**ORDER, "required": ["total", "coupon"]}, name="shop/order/2")
    scene.run()
    text = text_of(scene.get("/catalogue/shop/order"))
    assert "shop.order version 2 An order Owner shop@example.org" in text
    assert "There is no table yet" in text
    assert "shop.order version 1" in text_of(scene.get("/catalogue/shop/order/1"))
    changes = text_of(scene.get("/catalogue/shop/order/2/from/1"))
    assert "What changed from version 1 to 2" in changes
    assert "coupon" in changes
    assert "Not compatible" in changes


def test_a_doctype_shows_its_table_figures_and_refusals(scene: Scene) -> None:
    counted = Counted(scene)
    counted.add(5, accepted=12, stored=9, errors=2, duplicates=1)
    scene.rows("telemetry.main_v4", document_id=["a", "b", "c"])
    scene.run()
    page = scene.get("/catalogue/telemetry/main/4")
    text = text_of(page)
    assert "telemetry.main_v4 Rows 3 9 in 1d" in text
    assert "1 day partition" in text
    assert "Newest row now" in text or re.search(r"Newest row [\d.]+ s ago", text)
    assert "schema_violation 2 100.0 %" in text
    assert "/errors?since=1d&amp;namespace=telemetry&amp;doctype=main&amp;code=schema_violation" in page.text
    assert {"9 stored", "2 errors", "1 duplicates"} <= set(re.findall(r": ([^:<]+)</title>", page.text))
    assert "from+telemetry.main_v4" in page.text or "from%20telemetry.main_v4" in page.text
    assert "Pings, each column 3 h" in text_of(scene.get("/catalogue/telemetry/main/4?span=7d"))
    assert "Pings, each column 1 d" in text_of(scene.get("/catalogue/telemetry/main/4?span=30d"))


def test_the_first_query_runs(scene: Scene) -> None:
    add(scene)
    scene.rows("shop.order_v1", normalized_channel=["x"], normalized_country_code=["y"], total=[12.0])
    scene.run()
    link = re.search(r'class="go" href="/sql\?q=([^"]+)"', scene.get("/catalogue/shop/order/1").text)
    assert link is not None
    assert '<td class="number right">12</td>' in scene.get(f"/sql/result?q={link[1]}").text


def test_fields_say_what_they_are_and_open_level_by_level(scene: Scene) -> None:
    add(scene)
    scene.run()
    page = scene.get("/catalogue/shop/order/1")
    text = text_of(page)
    assert "total required number total double In the shop's currency at least 0" in text
    assert "lines 1 array of object lines list<struct>" in text
    assert "sku" not in text
    assert re.search(r"extra string or integer extra string .*string or integer", text)
    assert "sku string lines[].sku string" in text_of(scene.get("/catalogue/shop/order/1/fields?inside=lines"))
    opened = scene.get("/catalogue/shop/order/1?open=lines")
    assert '<details data-fields="lines" open>' in opened.text
    assert "sku string lines[].sku string" in text_of(opened)
    found = text_of(scene.get("/catalogue/shop/order/1?field=SKU"))
    assert "lines[].sku string lines[].sku string" in found
    assert "No field fits." in scene.get("/catalogue/shop/order/1?field=nonsense").text


def test_the_schema_is_downloaded_as_it_is(scene: Scene) -> None:
    add(scene)
    scene.run()
    page = scene.get("/catalogue/shop/order/1/schema.json")
    assert page.text.encode() == orjson.dumps(ORDER)
    assert page.headers["content-disposition"] == 'attachment; filename="order.1.schema.json"'


def test_a_line_to_try_names_the_running_edge(scene: Scene) -> None:
    add(scene)
    scene.service("edge", port=18_123)
    scene.run()
    page = html.unescape(scene.get("/catalogue/shop/order/1").text)
    assert "POST /submit/shop/order/1/<document id>" in page
    assert re.search(r"curl -d '\{\"total\":0\}' http://127\.0\.0\.1:18123/submit/shop/order/1/[0-9a-f-]{36}<", page)


def test_a_line_to_try_is_found_for_every_schema_that_comes_with_catchment() -> None:
    schemas = Registry.load([BUILTIN]).all()
    found = {schema.doctype: example_of(schema) for schema in schemas}
    assert [doctype for doctype, example in found.items() if example is None] == []
    assert all(schema.violation(orjson.loads(found[schema.doctype] or b"")) is None for schema in schemas)


def test_a_line_to_try_names_a_file_where_no_ping_is_found(scene: Scene) -> None:
    add(scene, {**ORDER, "properties": {"total": {"type": "string", "pattern": "^order [0-9]{7}$"}}})
    scene.run()
    assert "curl --data-binary @ping.json" in scene.get("/catalogue/shop/order/1").text


@pytest.mark.parametrize("shows", [False, True])
def test_sample_pings_hide_client_ids_unless_a_setting_allows_them(scene: Scene, shows: bool) -> None:
    body = orjson.dumps({"version": 4, "clientId": CLIENT_ID})
    document_id = scene.ping(body=body)
    scene.ping(doctype="event")
    scene.rows("firefox_desktop.baseline_v1", client_id=[CLIENT_ID], document_id=["stored"])
    scene.run(show_client_ids=shows)
    page = scene.get("/catalogue/telemetry/main/4/samples")
    assert document_id in page.text
    assert page.text.count("<details>") == 1
    table = scene.get("/catalogue/firefox-desktop/baseline/1/samples")
    assert "rows of firefox_desktop.baseline_v1" in table.text
    for shown in (page, table, scene.get("/catalogue/telemetry/main?samples")):
        assert (CLIENT_ID in shown.text) == shows
    assert "No ping yet" in scene.get("/catalogue/telemetry/crash/4/samples").text


def test_a_doctype_without_a_schema_says_where_its_pings_are(scene: Scene) -> None:
    Counted(scene).add(10, "new_thing", accepted=4, stored=4)
    scene.run()
    page = scene.get("/catalogue/telemetry/new-thing")
    assert "they stand whole in telemetry.unregistered" in text_of(page)
    assert "/catalogue/editor?namespace=telemetry&amp;doctype=new-thing" in page.text


def test_what_is_not_there_is_404(scene: Scene) -> None:
    scene.run()
    for path in (
        "/nothing/here",
        "/telemetry/main/9",
        "/telemetry/main/4/from/9",
        "/telemetry/main/99999999999999999999",
        "/telemetry/main/nonsense",
        "/telemetry/main/9/schema.json",
        "/editor?schema=a/b/1",
        "/%3Cscript%3E/x",
    ):
        page = scene.get(f"/catalogue{path}")
        assert page.status == 404, path
        assert "<script>" not in page.text.partition("<main")[2]


def test_what_a_schema_says_is_text(scene: Scene) -> None:
    evil = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        **dict.fromkeys(("title", "description", "x-owner"), EVIL),
        "properties": {EVIL: {"type": "object", "description": EVIL, "properties": {EVIL: {"enum": [EVIL]}}}},
    }
    add(scene, evil, name="shop/evil/1")
    scene.ping(namespace="shop", doctype="evil", version=1, body=orjson.dumps({EVIL: EVIL}))
    scene.run()
    for path in ("", "/shop/evil", "/shop/evil/1/fields", "/shop/evil/1?field=a", "/shop/evil/1/samples"):
        page = scene.get(f"/catalogue{path}")
        assert page.status == 200
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;" in page.text
    assert "<script>alert" not in scene.get("/catalogue/editor?schema=shop/evil/1").text


def test_another_site_may_not_look_at_pings(scene: Scene) -> None:
    scene.run()
    for path in ("/catalogue/telemetry/main/4/samples", "/catalogue/telemetry/main?samples"):
        assert scene.get(path, Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="image").status == 403


def test_programs_get_the_same_as_json(scene: Scene) -> None:
    add(scene)
    Counted(scene).add(3, "order", namespace="shop", accepted=10, stored=5, errors=5)
    scene.rows("shop.order_v1", total=[12.0])
    scene.run()
    everything = orjson.loads(scene.get("/api/catalogue").text)
    (order,) = [one for one in everything["doctypes"] if one["namespace"] == "shop"]
    assert (order["doctype"], order["owner"], order["versions"]) == ("order", "shop@example.org", [1])
    assert order["last_day"] == {"accepted": 10, "stored": 5, "errors": 5, "error_share": 0.5}
    one = orjson.loads(scene.get("/api/catalogue/shop/order?fields").text)
    (schema,) = one["schemas"]
    assert schema["endpoint"] == "/submit/shop/order/1/<document id>"
    assert schema["stored"]["rows"] == 1
    assert [field["path"] for field in schema["fields"]] == ["total", "lines", "lines[].sku", "extra"]
    assert one["errors"] == {"schema_violation": 5}
    unknown = scene.get("/api/catalogue/shop/nothing")
    assert (unknown.status, orjson.loads(unknown.text)["error"]["code"]) == (404, "missing")


def test_a_schema_of_thousands_of_fields_is_a_small_page(scene: Scene) -> None:
    leaf = {"type": "integer", "description": "One of many"}
    group = {"type": "object", "properties": {f"leaf{number}": leaf for number in range(40)}}
    wide = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {f"group{number}": group for number in range(100)} | {f"flat{n}": leaf for n in range(300)},
    }
    add(scene, wide, name="shop/wide/1")
    scene.run()
    scene.get("/catalogue")
    started = time.monotonic()
    page = scene.get("/catalogue/shop/wide/1")
    assert time.monotonic() - started < 5  # 0.3 s on a quiet machine
    assert len(page.text) < 200_000
    assert "4,400 fields" in text_of(page)
    more = re.search(r'href="([^"]+)" data-more>200 more', page.text)
    assert more is not None
    assert "flat299" in scene.get(html.unescape(more[1])).text
