"""The landfill in the browser: what is archived, in lines of several kinds, and when it was last read through."""

from __future__ import annotations

import re

from catchment.ingestion.landfill.checks import KEPT, Check, checks
from catchment.ingestion.landfill.layout import HOUR_NS
from catchment.ingestion.landfill.packing import Pack, look
from catchment.log.port import Record, TopicPartition
from catchment.objects.open import open_objects
from tests.landfill import yard
from tests.web.scene import Page, Scene
from tests.web.test_pages import text_of

SOURCE = TopicPartition("raw", 0)


class Archive:
    """Objects in the scene's landfill, one an hour of the past."""

    def __init__(self, scene: Scene) -> None:
        self.landfill = scene.landfill()
        self.hour_ns = scene.clock.time_ns() // HOUR_NS * HOUR_NS
        self._end = 0

    def add(self, hours_ago: int, *doctypes: str) -> None:
        pack = Pack("edge.0", SOURCE, self._end)
        for number, doctype in enumerate(doctypes, start=self._end):
            payload = yard.raw_record(number, self.hour_ns - hours_ago * HOUR_NS + number, doctype)
            pack.add(Record(number, payload), look(payload))
        self._end = self.landfill.store(pack.seal(), SOURCE, lambda point: None)

    def check(self, at_ns: int, hours_ago: int, problems: int = 0) -> None:
        since_ns = self.hour_ns - hours_ago * HOUR_NS
        self.landfill.keep_check(Check(at_ns, since_ns, self.hour_ns + HOUR_NS, 1, problems))


def cells(answer: Page) -> list[list[str]]:
    """The table's cells as texts."""
    body = answer.text.partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row)]
        for row in body.split("</tr>")[:-1]
    ]


def test_an_empty_landfill_tells_what_fills_it(scene: Scene) -> None:
    scene.run()
    page = text_of(scene.get("/landfill"))
    assert "Nothing is archived of this time" in page
    assert "catchment status" in page


def test_hours_have_their_submissions_objects_and_sizes(scene: Scene) -> None:
    scene.run()
    archive = Archive(scene)
    archive.add(30, "order", "order", "refund")
    archive.add(2, "order")
    archive.add(2, "order")
    page = scene.get("/landfill?by=hour")
    assert "5 submissions in 3 objects, not all of them checked" in page.text
    newest, oldest = cells(page)
    assert newest[1:3] == ["2", "2"]
    assert oldest[1:3] == ["3", "1"]
    assert oldest[3].endswith(" B")
    assert oldest[-1] == "never"
    assert len(cells(scene.get("/landfill?by=hour&period=1d"))) == 1


def test_doctypes_are_counted_apart_and_can_be_asked_for(scene: Scene) -> None:
    scene.run()
    archive = Archive(scene)
    archive.add(3, "order", "order", "refund")
    archive.add(2, "order")
    by_doctype = cells(scene.get("/landfill?by=doctype"))
    assert [row[:3] for row in by_doctype] == [["shop.order", "3", "2"], ["shop.refund", "1", "1"]]
    (only,) = cells(scene.get("/landfill?by=doctype&namespace=shop&doctype=refund"))
    assert only[:3] == ["shop.refund", "1", "1"]
    assert all(row[1] in ("shop.order", "shop.refund") for row in cells(scene.get("/landfill?by=both")))
    assert "Nothing is archived" in text_of(scene.get("/landfill?doctype=%3Cscript%3E"))


def test_each_line_tells_when_all_of_it_was_verified_last(scene: Scene) -> None:
    scene.run()
    archive = Archive(scene)
    archive.add(30, "order")
    archive.add(2, "order")
    now_ns = scene.clock.time_ns()
    archive.check(now_ns - 3 * HOUR_NS, 48)
    page = scene.get("/landfill?by=hour")
    assert [row[-1] for row in cells(page)] == ["3 h ago", "3 h ago"]
    assert "all as archived when they were checked last" in page.text
    archive.check(now_ns - 2 * HOUR_NS, 4, problems=2)
    page = scene.get("/landfill?by=hour")
    assert [row[-1] for row in cells(page)] == ["2 h ago 2 problems", "3 h ago"]
    assert "the last check has found problems" in page.text


def test_only_the_newest_checks_are_kept(scene: Scene) -> None:
    archive = Archive(scene)
    for number in range(KEPT + 3):
        archive.check(1 + number, 1)
    assert [check.at_ns for check in checks(open_objects("file:objects", scene.home))] == list(range(KEPT + 3, 3, -1))


def test_a_state_that_does_not_exist_is_the_usual_one(scene: Scene) -> None:
    scene.run()
    assert scene.get("/landfill?period=9y&by=colour&doctype=" + "x" * 9000).status == 200
