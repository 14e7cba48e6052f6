"""What the front page shows: the flow, the last pings and errors, and the next step when there is nothing to show."""

from __future__ import annotations

import html
import re

import pytest

from catchment.health import ERROR, Finding
from catchment.ingestion.edge import meters
from tests.web.scene import CLIENT_ID, Page, Scene

EVIL = "<script>alert(1)</script>"
TURNED = "a\u202eb\u0000c\u2028d\x1b[31m"


def text_of(page: Page) -> str:
    """The words of a page, tags away and spaces single."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


def test_nothing_runs_and_the_page_tells_how_to_start(scene: Scene) -> None:
    scene.run()
    page = scene.get("/")
    assert page.status == 200
    assert "Nothing runs yet." in page.text
    assert "<code>catchment up</code>" in page.text


def test_no_ping_yet_and_the_page_gives_a_command_that_sends_one(scene: Scene) -> None:
    scene.service("edge", port=8123)
    scene.service("loader")
    scene.run()
    text = text_of(scene.get("/"))
    assert "All is ready. No ping has come yet." in text
    assert 'curl -i "http://127.0.0.1:8123/submit/telemetry/' in text
    assert "catchment simulate" in text
    assert "No errors." in text


def test_the_flow_shows_live_rates_and_what_waits(scene: Scene) -> None:
    scene.service("edge", port=8123)
    scene.service("loader")
    scene.run()
    meters.REQUESTS.labels("200").inc(40)
    scene.append("raw", *[b"ping"] * 40)
    page = scene.until(lambda: (found := scene.get("/live")) and "39" < stage(found, "log") < "41" and found)
    assert re.search(r"\d+ pings a second arrive", text_of(page)) or "behind" in text_of(page)
    assert float(stage(page, "edge")) > 0
    scene.load()
    loaded = scene.until(lambda: (found := scene.get("/live")) and stage(found, "log") == "0" and found)
    assert float(stage(loaded, "loader")) > 0
    assert "can be queried within a second" in text_of(loaded)
    assert 'class="stroke"' in loaded.text


def stage(page: Page, key: str) -> str:
    """The number that stands at a stage of the flow."""
    found = re.search(rf'id="stage-{key}".*?<b>([^<]*)</b>', page.text, re.DOTALL)
    assert found, page.text
    return found[1].replace(",", "")


def test_a_finding_of_a_service_is_the_first_thing_to_read(scene: Scene) -> None:
    scene.service("edge", Finding("disk_low", ERROR, "no room <b>left</b>"))
    scene.service("loader")
    scene.run()
    page = scene.get("/")
    assert "Edge-0 is unhealthy." in page.text
    assert "no room &lt;b&gt;left&lt;/b&gt;" in page.text


def test_a_loader_that_does_not_run_is_said_with_what_it_means(scene: Scene) -> None:
    scene.service("edge")
    scene.run()
    assert "The loader does not run. Pings wait in the log; none is lost." in text_of(scene.get("/"))


def test_the_last_pings_stand_newest_first_and_lead_to_their_rows(scene: Scene) -> None:
    older = scene.ping(submission_ns=scene.clock.time_ns() - 90_000_000_000)
    newer = scene.ping(doctype="new-profile")
    scene.run()
    page = scene.get("/")
    text = text_of(page)
    assert text.index("telemetry.new-profile.v4") < text.index("telemetry.main.v4")
    assert "90 s ago" in text
    assert "nightly CZ Firefox 140.0 14 B" in text
    assert f"telemetry.new_profile_v4%0Awhere%20document_id%20%3D%20%27{newer}%27" in page.text
    assert older[:8] in text


def test_client_ids_are_not_on_the_page(scene: Scene) -> None:
    scene.ping()
    scene.run()
    page = scene.get("/")
    assert CLIENT_ID not in page.text
    assert f"{CLIENT_ID[:4]}…" in page.text


def test_the_last_errors_tell_their_reason(scene: Scene) -> None:
    scene.refuse()
    scene.run()
    text = text_of(scene.get("/"))
    assert "schema_violation telemetry.main.v4 validation error: type" in text
    assert 'Reason "clientId" is 5, must be a text' in text
    assert "Rule at /properties/clientId/type Value at /clientId" in text
    assert "monitoring.errors" in text


def test_a_record_that_was_no_message_is_an_error_without_a_time(scene: Scene) -> None:
    scene.refuse(step="unwrap", code="message_malformed", uuid=b"", submission_ns=0, namespace=None, doctype=None)
    scene.run()
    assert "time unknown message_malformed" in text_of(scene.get("/"))


def test_only_the_newest_of_many_are_shown(scene: Scene) -> None:
    for number in range(30):
        scene.ping(app_version=f"v{number}.")
    scene.run(tail_rows=5)
    text = text_of(scene.get("/"))
    assert [number for number in range(30) if f"v{number}." in text] == [25, 26, 27, 28, 29]
    scene.ping(app_version="v30.")
    scene.until(lambda: "v30." in scene.get("/live").text and "v25." not in scene.get("/live").text)


@pytest.mark.parametrize("evil", [EVIL, '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", TURNED])
def test_what_came_from_outside_is_text(scene: Scene, evil: str) -> None:
    scene.ping(namespace=evil, doctype=evil, normalized_channel=evil, app_name=evil, geo_country=evil)
    scene.refuse(namespace=evil, doctype=evil, detail=evil, message=evil, uri=evil, pointers=(evil, evil))
    scene.run()
    page = scene.get("/")
    assert page.status == 200
    assert "<script>alert" not in page.text
    assert "<img src=x" not in page.text
    assert not set(page.text) & set("\u202e\u0000\u2028\x1b")
    if evil == TURNED:
        assert "a\\u{202e}b\\u{0}c" in page.text
    if evil == EVIL:
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text


def test_a_record_that_cannot_be_read_does_not_hide_the_others(scene: Scene) -> None:
    scene.ping()
    scene.append("decoded", b"\xff\xff not a message")
    scene.run()
    assert "telemetry.main.v4" in scene.get("/").text
    assert "record_malformed source=decoded/0 offset=1" in scene.told.getvalue()


def test_the_numbers_of_both_charts_are_one_click_away(scene: Scene) -> None:
    scene.run()
    page = scene.until(lambda: (found := scene.get("/")) and found.text.count("data-key=") >= 2 and found)
    assert page.text.count("<summary>The numbers, in") == 2
    assert "The numbers, in pings/s" in page.text


@pytest.mark.parametrize("path", ["/__heartbeat__", "/__lbheartbeat__", "/__version__"])
def test_operational_paths_are_answered(scene: Scene, path: str) -> None:
    scene.run()
    assert scene.get(path).status == 200


def test_metrics_are_for_the_admin_port_only(scene: Scene) -> None:
    scene.run()
    assert scene.get("/metrics").status == 404


def test_a_stranger_page_is_answered_kindly(scene: Scene) -> None:
    scene.run()
    page = scene.get(f"/{EVIL}")
    assert page.status == 404
    assert "There is no such page." in page.text
    assert EVIL not in page.text


def test_the_chosen_theme_is_in_the_page_from_the_start(scene: Scene) -> None:
    scene.run()
    assert 'data-theme="dark"' in scene.get("/", Cookie="theme=dark").text
    assert "data-theme=" not in scene.get("/", Cookie='theme="><script>').text


def test_looking_does_not_wake_the_engine(scene: Scene) -> None:
    scene.ping()
    scene.run()
    scene.get("/")
    scene.get("/live")
    assert not scene.has_engine
