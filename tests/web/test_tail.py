"""The page that shows pings as they come: what it holds, what its stream sends, and what a slow browser costs."""

from __future__ import annotations

import asyncio
import http.client
import io
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest

from catchment.errors import Busy
from catchment.events import Events
from catchment.ingestion.inspection.following import Filter, Sight
from catchment.web.watching import KEPT_BYTES, KEPT_SIGHTS, MOST_VIEWERS, Buffer, Hub, Viewer
from tests.web.scene import CLIENT_ID, WITHIN_S, Scene

BODY = b'{"clientId": "%s", "n": 1}' % CLIENT_ID.encode()


@contextmanager
def stream(scene: Scene, query: str = "", **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
    """What the page's stream tells, from its beginning."""
    connection = http.client.HTTPConnection("127.0.0.1", scene.port, timeout=WITHIN_S)
    connection.request("GET", f"/tail/stream?{query}", headers=headers)
    response = connection.getresponse()
    assert response.status == 200
    assert response.headers["Content-Type"].startswith("text/event-stream")

    def told() -> Iterator[dict[str, Any]]:
        for line in response:
            if line.startswith(b"data: "):
                yield orjson.loads(line[6:])

    try:
        yield told()
    finally:
        response.close()
        connection.close()


def until(told: Iterator[dict[str, Any]], text: str) -> str:
    """Rows until a text is in them."""
    rows = ""
    while text not in rows:
        rows += next(told)["rows"]
    return rows


def test_the_page_shows_the_last_pings_with_what_became_of_them(scene: Scene) -> None:
    document_id = scene.ping(body=BODY)
    scene.refuse(detail="the reason")
    scene.run()
    text = scene.get("/tail").text
    assert document_id in text
    assert "the reason" in text
    assert 'href="/errors/raw/0%400"' in text or 'href="/errors/raw/0@0"' in text


def test_no_ping_yet_and_the_page_says_what_to_do(scene: Scene) -> None:
    scene.run()
    assert "catchment simulate" in scene.get("/tail").text
    assert "that fits the filter" in scene.get("/tail?doctype=other").text


def test_the_stream_sends_what_comes(scene: Scene) -> None:
    scene.run()
    with stream(scene) as told:
        first = scene.ping(header_x_debug_id="my-test")
        assert "document" in until(told, first)
        second = scene.ping()
        until(told, second)
        scene.refuse(code="json_invalid", step="json")
        until(told, "json_invalid")


def test_a_filter_in_the_address_holds_for_page_and_stream(scene: Scene) -> None:
    scene.run()
    wanted, other = scene.ping(doctype="event"), scene.ping(doctype="main")
    page = scene.get("/tail?doctype=event").text
    assert wanted in page
    assert other not in page
    with stream(scene, "doctype=event&kind=document") as told:
        rows = until(told, wanted)
        late = scene.ping(doctype="event")
        rows += until(told, late)
    assert other not in rows


def test_pings_with_a_debug_id_are_gathered_and_laid_open(scene: Scene) -> None:
    scene.run()
    wanted, other = scene.ping(header_x_debug_id="my test"), scene.ping()
    page = scene.get("/tail?debug_id=my+test").text
    assert wanted in page
    assert other not in page
    assert "<details open>" in page
    assert 'href="/tail?debug_id=my%20test"' in scene.get("/tail").text
    with stream(scene, "debug_id=nothing") as told:
        scene.ping(header_x_debug_id="nothing")
        assert "my%20test" in next(told)["debug"]


@pytest.mark.parametrize("shows", [False, True])
def test_client_ids_are_cut_unless_a_setting_allows_them(scene: Scene, shows: bool) -> None:
    document_id = scene.ping(body=BODY)
    scene.run(show_client_ids=shows)
    with stream(scene) as told:
        rows = until(told, document_id)
    for text in (rows, scene.get("/tail").text):
        assert (CLIENT_ID in text) == shows
        assert CLIENT_ID[:4] in text


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a\u202eb\u2028c"])
def test_what_came_from_outside_is_text(scene: Scene, evil: str) -> None:
    body = orjson.dumps({evil: evil})
    document_id = scene.ping(doctype=evil, normalized_channel=evil, header_x_debug_id=evil, body=body)
    scene.refuse(doctype=evil, detail=evil, message=evil, uri=evil, body=body)
    scene.run()
    with stream(scene) as told:
        rows = until(told, document_id)
    for text in (rows, scene.get("/tail").text):
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert not set(text) & set("\u202e\u2028")


def test_another_site_may_not_open_a_stream(scene: Scene) -> None:
    scene.run()
    assert scene.get("/tail/stream", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="empty").status == 403


def test_the_console_stops_while_somebody_watches(scene: Scene) -> None:
    scene.run()
    with stream(scene) as told:
        until(told, scene.ping())
        scene.stop()
        assert list(told) == []


def sight(number: int, body: bytes = b"{}", debug_id: str = "") -> Sight:
    document_id = str(uuid.UUID(int=number))
    return Sight("document", number, "a", "b", 1, document_id, "", debug_id, "", f"raw/0@{number}", body)


def test_a_slow_viewer_loses_the_oldest_and_is_told_how_many() -> None:
    async def watch() -> None:
        viewer = Viewer(Filter())
        viewer.offer([sight(number) for number in range(KEPT_SIGHTS + 300)])
        taken, missed = await viewer.take()
        assert [one.time_ns for one in taken] == list(range(300, KEPT_SIGHTS + 300))
        assert missed == 300
        viewer.offer([sight(1)])
        assert (await viewer.take()) == ([sight(1)], 0)

    asyncio.run(watch())


def test_a_buffer_of_large_pings_is_bounded_in_bytes() -> None:
    buffer = Buffer()
    large = bytes(KEPT_BYTES // 4)
    assert buffer.add(sight(number, large) for number in range(10)) == 6
    assert sum(len(one.body) for one in buffer.all()) <= KEPT_BYTES
    assert buffer.add([sight(11, bytes(2 * KEPT_BYTES))]) == 4
    assert len(buffer.take()) == 1


def test_more_viewers_than_allowed_are_refused_as_busy(scene: Scene) -> None:
    async def watch() -> None:
        hub = Hub(scene.log(), Events("test", io.StringIO()))
        viewers = [hub.watch(Filter()) for _ in range(MOST_VIEWERS)]
        with pytest.raises(Busy):
            hub.watch(Filter())
        hub.leave(viewers[0])
        hub.watch(Filter())
        hub.close()

    asyncio.run(watch())
