"""The catalogue and the editor in a real browser: fields open when asked, texts are checked as one types."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.chromium import Browser, chromium, find_chromium
from tests.web.scene import CLIENT_ID, Scene
from tests.web.test_catalogue import add, text_of
from tests.web.test_editor import ORDER


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on this machine; install the package `chromium`")
    with chromium(program, tmp_path / "profile") as opened:
        opened.size(1440, 1000)
        yield opened


def write(browser: Browser, name: str, text: str) -> None:
    """Put a text where one of the form's fields is, as typing does."""
    browser.value(f"document.querySelector('#draft [name={name}]').select()")
    browser.value(f"document.querySelector('#draft [name={name}]').focus()")
    browser.write(text)


def test_fields_open_when_asked_and_pings_come_by_themselves(scene: Scene, browser: Browser) -> None:
    add(scene)
    document_id = scene.ping(namespace="shop", doctype="order", version=1, body=b'{"total": 12}')
    scene.run()
    browser.open(f"{scene.url}/catalogue/shop/order")
    assert "sku" not in browser.text(".fields")
    browser.value("document.querySelector('[data-fields=lines] summary').click()")
    browser.until("document.querySelector('[data-fields=lines]').textContent.includes('lines[].sku')")
    browser.until(f"document.querySelector('#samples').textContent.includes('{document_id}')")
    assert browser.complaints == []


def test_texts_are_checked_as_one_types_and_lines_are_marked(scene: Scene, browser: Browser) -> None:
    scene.run()
    browser.open(f"{scene.url}/catalogue/editor")
    for name, text in (("namespace", "shop"), ("doctype", "order"), ("schema", ORDER)):
        write(browser, name, text)
    browser.until("document.getElementById('schema-said').textContent === 'valid'")
    write(browser, "ping", '{\n  "total": "12"\n}')
    browser.until("document.querySelector('#ping').parentElement.querySelector('.gutter .error')?.value === 2")
    assert browser.text("#ping-said") == "invalid"
    assert "The ping would be refused" in browser.text("#found")
    browser.value("document.querySelector('#found [data-text=schema][data-line=\"7\"]').click()")
    box = "document.getElementById('schema')"
    assert '"total"' in browser.value(f"{box}.value.slice({box}.selectionStart, {box}.selectionEnd)")
    write(browser, "ping", '{"total": 12}')
    browser.until("document.getElementById('ping-said').textContent === 'valid'")
    assert browser.value("document.querySelectorAll('.gutter .error').length") == 0
    assert browser.complaints == []


def test_the_button_adds_the_schema(scene: Scene, browser: Browser) -> None:
    scene.run()
    browser.open(f"{scene.url}/catalogue/editor")
    for name, text in (("namespace", "shop"), ("doctype", "order"), ("schema", ORDER)):
        write(browser, name, text)
    browser.value("document.getElementById('add').click()")
    assert "shop.order_v1" in browser.text(".added")
    assert "An order" in text_of(scene.get("/catalogue/shop/order"))
    assert browser.complaints == []


def test_what_is_typed_is_never_run(scene: Scene, browser: Browser) -> None:
    evil = "<img src=x onerror=alert(1)>"
    add(scene, {"type": "object", "title": evil, "properties": {evil: {"type": "object", "properties": {evil: {}}}}})
    scene.ping(namespace="shop", doctype="order", version=1, body=f'{{"{evil}": "{CLIENT_ID}"}}'.encode())
    scene.run()
    browser.open(f"{scene.url}/catalogue/shop/order/1")
    browser.value("document.querySelector('[data-fields] summary').click()")
    browser.until("document.querySelectorAll('.fields .fields').length === 1")
    browser.until("document.querySelectorAll('.samples li').length === 1")
    assert browser.value("document.querySelectorAll('main img').length") == 0
    browser.open(f"{scene.url}/catalogue/editor?schema=shop/order/1")
    write(browser, "ping", f'{{"{evil}": 5}}')
    browser.until("document.getElementById('ping-said').textContent === 'invalid'")
    assert browser.value("document.querySelectorAll('main img').length") == 0
    assert browser.complaints == []


def test_without_scripts_the_same_is_there(scene: Scene, browser: Browser) -> None:
    add(scene)
    scene.run()
    browser.scripts(on=False)
    browser.open(f"{scene.url}/catalogue/shop/order/1?open=lines")
    browser.scripts(on=True)
    assert "lines[].sku" in browser.value("document.querySelector('.fields').textContent")
    assert browser.complaints == []
