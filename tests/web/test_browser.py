"""The pages in a real browser: what a person sees and does, with scripts and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from catchment.ingestion.edge import meters
from tests.web.chromium import Browser, chromium, find_chromium
from tests.web.scene import Scene

CHANNELS = "select normalized_channel, count(*) n from telemetry.main_v4 group by 1 order by 2 desc"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on this machine; install the package `chromium`")
    with chromium(program, tmp_path / "profile") as opened:
        opened.size(1440, 1000)
        yield opened


@pytest.fixture
def busy(scene: Scene) -> Scene:
    """A platform with pings under way, an error, and a table."""
    scene.service("edge", port=8000)
    scene.service("loader")
    for _ in range(5):
        scene.ping()
    scene.refuse(detail="<script>document.title = 'stolen'</script>")
    scene.rows("telemetry.main_v4", document_id=["a", "b", "c"], normalized_channel=["beta", "nightly", "beta"])
    scene.run()
    meters.REQUESTS.labels("200").inc(30)
    scene.append("raw", *[b"ping"] * 30)
    return scene


def test_the_front_page_lives(busy: Scene, browser: Browser) -> None:
    browser.open(busy.url)
    assert float(browser.until("Number(document.querySelector('#stage-edge b').textContent)")) > 0
    assert browser.text("#stage-log b") == "30"
    assert "telemetry.main.v4" in browser.text(".pings tbody")
    assert "schema_violation" in browser.text(".errors")
    assert browser.until("document.querySelectorAll('.spark .stroke').length >= 3")
    fresh = busy.ping(app_version="141.5")
    assert "141.5" in browser.until(
        "[...document.querySelectorAll('.pings tr')].find(r => r.innerText.includes('141.5'))?.innerText"
    )
    assert browser.value("document.title").startswith("All is well.")
    assert fresh
    assert browser.complaints == []


def test_what_a_person_opened_stays_open_while_the_page_renews(busy: Scene, browser: Browser) -> None:
    browser.open(busy.url)
    browser.value("document.querySelector('.errors details').open = true")
    busy.refuse(code="json_invalid", step="json")
    browser.until("document.querySelectorAll('.errors li').length === 2")
    assert browser.value("[...document.querySelectorAll('.errors details')].map(d => d.open)") == [False, True]


def test_a_paused_page_stands_still(busy: Scene, browser: Browser) -> None:
    browser.open(busy.url)
    browser.value("document.getElementById('pause').click()")
    busy.ping(app_version="141.5")
    assert browser.text("#pulse") == "paused"
    busy.until(lambda: "141.5" in busy.get("/live").text)
    assert not browser.value("document.querySelector('.pings').innerText.includes('141.5')")
    browser.value("document.getElementById('pause').click()")
    browser.until("document.querySelector('.pings').innerText.includes('141.5')")


def test_a_lost_console_is_said_and_found_again(busy: Scene, browser: Browser) -> None:
    browser.open(busy.url)
    port = busy.port
    busy.stop()
    browser.until("document.getElementById('pulse').classList.contains('lost')")
    busy.run(port=port)
    browser.until("document.getElementById('pulse').textContent === 'live'")
    assert not browser.value("document.getElementById('pulse').classList.contains('lost')")


def test_a_query_is_written_run_and_kept_in_the_address(busy: Scene, browser: Browser) -> None:
    browser.open(f"{busy.url}/sql")
    browser.value("document.getElementById('sql').focus()")
    browser.write(CHANNELS)
    browser.press("Enter", ctrl=True)
    browser.until("!!document.querySelector('#result tbody')")
    assert browser.text("#result tbody").split() == ["beta", "2", "nightly", "1"]
    assert browser.value("new URLSearchParams(location.search).get('q')") == CHANNELS
    browser.open(str(browser.value("location.href")))
    assert browser.text("#result tbody").split() == ["beta", "2", "nightly", "1"]
    assert browser.complaints == []


def test_a_query_can_be_asked_from_the_front_page(busy: Scene, browser: Browser) -> None:
    browser.open(busy.url)
    browser.value("[...document.querySelectorAll('[data-sql]')].find(a => a.textContent === 'All tables').click()")
    assert "main_v4" in browser.text("#result tbody")
    assert browser.value("document.getElementById('sql').value") == "show tables"


def test_going_back_brings_the_query_before(busy: Scene, browser: Browser) -> None:
    browser.open(f"{busy.url}/sql?q=select+1")
    browser.value("document.getElementById('sql').value = 'select 2'; document.getElementById('query').requestSubmit()")
    browser.until("document.querySelector('#result td')?.textContent === '2'")
    browser.value("history.back()")
    browser.until("document.querySelector('#result td')?.textContent === '1'")
    assert browser.value("document.getElementById('sql').value") == "select 1"


def test_an_error_is_marked_at_its_place(busy: Scene, browser: Browser) -> None:
    browser.open(f"{busy.url}/sql?q=select%20nothing_here%20from%20telemetry.main_v4")
    assert browser.text("#result mark") == "nothing_here"


def test_a_running_query_can_be_cancelled(busy: Scene, browser: Browser) -> None:
    browser.open(f"{busy.url}/sql")
    slow = "select count(*) from range(20000000) a, range(20000000) b where (a.range * b.range) % 7 = 3"
    browser.value(f"document.getElementById('sql').value = '{slow}'; document.getElementById('query').requestSubmit()")
    browser.until("document.getElementById('ticking').textContent")
    browser.value("document.getElementById('cancel').click()")
    browser.until("document.getElementById('result').textContent.includes('Cancelled.')")
    assert browser.value("document.getElementById('cancel').hidden")


def test_columns_of_a_table_go_into_the_box(busy: Scene, browser: Browser) -> None:
    browser.open(f"{busy.url}/sql")
    browser.value("document.querySelector('#tables summary').click()")
    browser.until("!!document.querySelector('[data-insert=\"normalized_channel\"]')")
    browser.value("document.querySelector('[data-insert=\"normalized_channel\"]').click()")
    assert browser.value("document.getElementById('sql').value") == "normalized_channel"


def test_everything_is_readable_without_scripts(busy: Scene, browser: Browser) -> None:
    browser.scripts(on=False)
    browser.open(busy.url)
    assert "pings/s" in browser.text("#stage-edge")
    assert "telemetry.main.v4" in browser.text(".pings tbody")
    assert not browser.value("document.getElementById('pause').offsetParent")
    browser.open(f"{busy.url}/sql?q=select+40+%2B+2")
    assert browser.text("#result td") == "42"


def test_the_theme_is_chosen_and_remembered(busy: Scene, browser: Browser) -> None:
    browser.size(1440, 1000, dark=True)
    browser.open(busy.url)
    background = "getComputedStyle(document.body).backgroundColor"
    dark = browser.value(background)
    browser.value("document.getElementById('theme').click()")
    light = browser.value(background)
    assert dark != light
    browser.open(f"{busy.url}/sql")
    assert browser.value(background) == light
    assert browser.value("document.documentElement.dataset.theme") == "light"


@pytest.mark.parametrize("width", [400, 768, 1440])
def test_no_page_is_wider_than_the_window(busy: Scene, browser: Browser, width: int) -> None:
    browser.size(width, 900)
    for path in (
        "/",
        "/sql?q=select+*+from+telemetry.main_v4",
        "/sql?q=selec",
        "/tail",
        "/errors",
        "/errors/raw/0@0",
        "/receipts",
        "/landfill",
        "/landfill?by=both",
        "/catalogue",
        "/catalogue/telemetry/main?open=payload",
        "/catalogue/editor?schema=telemetry/main/4",
    ):
        browser.open(busy.url + path)
        assert browser.value("document.documentElement.scrollWidth") <= width, path


def test_the_keyboard_reaches_the_content_first(busy: Scene, browser: Browser) -> None:
    browser.open(f"{busy.url}/sql")
    browser.press("Tab")
    assert browser.value("document.activeElement.textContent") == "Skip to the content"
    named = "e => e.textContent.trim() || e.labels?.length || e.getAttribute('aria-label')"
    reachable = "[...document.querySelectorAll('button, a, textarea, summary')]"
    assert browser.value(f"{reachable}.every(e => !!({named})(e))")
