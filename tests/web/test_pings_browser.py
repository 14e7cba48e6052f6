"""The pages of single pings in a real browser: they live, pause, and open at the line that they are about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.web.chromium import Browser, chromium, find_chromium
from tests.web.scene import Scene


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on this machine; install the package `chromium`")
    with chromium(program, tmp_path / "profile") as opened:
        opened.size(1440, 1000)
        yield opened


def shown(browser: Browser) -> list[str]:
    """Keys of the pings in the list, from the top."""
    return list(browser.value("[...document.querySelectorAll('#sights > li')].map(row => row.dataset.key)"))


def test_pings_appear_on_top_as_they_come_and_once(scene: Scene, browser: Browser) -> None:
    first = scene.ping()
    scene.run()
    browser.open(f"{scene.url}/tail")
    browser.until("document.getElementById('pulse').classList.contains('on')")
    second = scene.ping(app_version="141.5", header_x_debug_id="my-test")
    browser.until(f"document.querySelector('#sights').innerHTML.includes('{second}')")
    assert browser.value("document.querySelector('#sights').innerHTML.match(/data-key/g).length") == len(shown(browser))
    assert second in str(browser.value("document.querySelector('#sights > li').innerHTML"))
    assert first in str(browser.value("document.querySelector('#sights').innerHTML"))
    assert "my-test" in browser.text("#debug")
    assert browser.complaints == []


def test_space_pauses_and_what_came_meanwhile_is_shown_afterwards(scene: Scene, browser: Browser) -> None:
    scene.run()
    browser.open(f"{scene.url}/tail")
    browser.until("document.getElementById('pulse').classList.contains('on')")
    browser.press(" ")
    scene.refuse()
    browser.until("document.getElementById('pulse').textContent === 'paused, 1 waiting'")
    assert shown(browser) == []
    browser.press(" ")
    browser.until("document.querySelectorAll('#sights > li').length === 1")
    assert browser.text("#pulse") == "live"


def test_without_scripts_the_page_shows_the_last_pings(scene: Scene, browser: Browser) -> None:
    document_id = scene.ping()
    scene.run()
    browser.scripts(on=False)
    browser.open(f"{scene.url}/tail")
    assert document_id[:8] in scene.get("/tail").text
    browser.scripts(on=True)
    assert len(shown(browser)) == 1
    assert browser.complaints == []


def test_a_refused_ping_opens_at_the_line_that_it_broke(scene: Scene, browser: Browser) -> None:
    content = {f"field{number}": number for number in range(300)} | {"clientId": 5}
    scene.refuse(
        message="schema: main version: 4 validation error: SchemaURI: #/properties/clientId Keyword: type",
        pointers=("#/properties/clientId", "#/clientId"),
        body=orjson.dumps(content),
    )
    scene.run()
    browser.open(f"{scene.url}/errors/raw/0@0")
    assert browser.text(".sheet .marked") == '  "clientId": 5'
    for number in (0, 1):
        assert browser.value(
            f"(s => {{ const m = s.querySelector('.marked').getBoundingClientRect(), b = s.getBoundingClientRect();"
            f" return m.top >= b.top && m.bottom <= b.bottom }})(document.querySelectorAll('.sheet')[{number}])"
        )
    assert browser.complaints == []
