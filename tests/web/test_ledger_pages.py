"""The ledger in the browser: the strip on the front page, and the page whose address holds its state."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from catchment.ingestion.ledger.book import Book, Page
from catchment.ingestion.ledger.headings import Heading
from catchment.ingestion.ledger.settings import LedgerSettings
from tests.web.scene import Scene
from tests.web.test_pages import text_of


class Counted:
    """Counts in the scene's database, some minutes ago."""

    def __init__(self, scene: Scene) -> None:
        self.book = Book(scene.database())
        self.now_s = scene.clock.time_ns() // 1_000_000_000
        self.pages = 0

    def minute(self, minutes_ago: int) -> int:
        return (self.now_s // 60 - minutes_ago) * 60

    def add(self, minutes_ago: int, doctype: str = "main", *, namespace: str = "telemetry", **counts: int) -> None:
        heading = Heading(self.minute(minutes_ago), namespace, doctype)
        entries = Counter(
            {
                (heading, kind, f"{namespace}.{doctype}_v4" if kind == "stored" else "schema_violation"): number
                for kind, number in counts.items()
            }
        )
        before = self.pages or None
        self.pages += 1
        page = Page(entries, {"raw/0": (before, self.pages)})
        self.book.add(page, self.now_s - round(LedgerSettings().grace_s) - 1)


def cells(text: str) -> list[str]:
    """The levels of the strip's minutes, the oldest first."""
    return re.findall(r'<li data-key="\d+"><a class="(\w+)" href="/ledger\?by=both', text)


def test_the_strip_shows_each_minute_of_the_last_hour(scene: Scene) -> None:
    counted = Counted(scene)
    counted.add(40, accepted=10, stored=10)
    counted.add(30, accepted=10, stored=7, errors=1)
    counted.add(0, accepted=5)
    scene.run()
    page = scene.get("/")
    shown = cells(page.text)
    assert len(shown) == 60
    assert [(59 - index, level) for index, level in enumerate(shown) if level != "off"] == [
        (40, "ok"),
        (30, "bad"),
        (0, "open"),
    ]
    text = text_of(page)
    assert "Is everything there? Of the accepted pings 2 are missing." in text
    assert "accepted 25 stored 17 errors 1 duplicates 0 balance +7" in text
    assert cells(scene.get("/live").text) == shown


def test_pings_that_the_loader_has_not_read_wait(scene: Scene) -> None:
    from tests.loader.scene import raw_record

    Counted(scene).add(30, accepted=3)
    scene.append("raw", raw_record("/submit/telemetry/main/4/x", b"", 0))
    scene.run()
    page = scene.get("/")
    assert "warning" in cells(page.text)
    assert "Of the accepted pings 3 wait for the loader." in text_of(page)


def test_nothing_counted_tells_the_next_step(scene: Scene) -> None:
    scene.run()
    text = text_of(scene.get("/ledger"))
    assert "Nothing was counted for this time." in text
    assert "The service ledger counts" in text
    assert "catchment simulate" in text


def test_a_line_leads_to_its_minutes_and_these_to_where_they_went(scene: Scene) -> None:
    counted = Counted(scene)
    counted.add(30, accepted=1234, stored=1000, errors=234)
    counted.add(20, "event", accepted=1, stored=2)
    scene.run()
    page = scene.get("/ledger")
    text = text_of(page)
    assert "Of the accepted pings 1 are too many." in text
    assert "telemetry.main 1,234 1,000 234 0 all accounted for" in text
    assert "telemetry.event 1 2 0 -1 does not balance" in text
    assert "stored telemetry.main_v4 1,000" in text
    assert "errors schema_violation telemetry.main 234" in text
    link = "/ledger?period=1h&amp;by=both&amp;namespace=telemetry&amp;doctype=main"
    assert f'href="{link}"' in page.text
    closer = text_of(scene.get(link.replace("&amp;", "&")))
    assert "telemetry.event" not in closer
    assert "1,234" in closer


def test_the_address_holds_the_whole_state(scene: Scene) -> None:
    counted = Counted(scene)
    counted.add(30, accepted=1, stored=1)
    counted.add(20, accepted=2, stored=2)
    scene.run()
    since, until = counted.minute(30), counted.minute(29)
    page = scene.get(f"/ledger?by=minute&since={since}&until={until}&namespace=Telemetry")
    assert page.text.count('<span class="state ok">') == 1
    assert f'name="since" value="{since}"' in page.text
    assert 'name="namespace" value="Telemetry"' in page.text
    assert 'name="by" value="minute"' in page.text


@pytest.mark.parametrize(
    "query",
    ["period=99y", "by=nothing", "since=x&until=-1", "since=99999999999999", "namespace=%00%ff", "doctype=%22%3E"],
)
def test_an_address_that_makes_no_sense_shows_the_page(scene: Scene, query: str) -> None:
    Counted(scene).add(5, "<script>", namespace="<b>", accepted=1)
    scene.run()
    page = scene.get(f"/ledger?{query}")
    assert page.status == 200
    assert "<script>" not in page.text.replace('<script type="module"', "")
    assert "<b>." not in page.text


def test_a_database_that_does_not_answer_leaves_the_rest_of_the_front_page(scene: Scene) -> None:
    scene.run()
    with scene.database().write() as connection:
        connection.exec_driver_sql("DROP TABLE ledger")
    page = scene.until(lambda: (found := scene.get("/")) and "no such table" in found.text and found)
    assert page.status == 200
    assert "Last pings" in page.text
    assert scene.get("/ledger").status == 503
