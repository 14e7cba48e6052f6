"""Schemas that change under a running service: taken whole, taken once they are still, and never a bad one."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from catchment.clock import ManualClock
from catchment.errors import BadConfig, Incompatible
from catchment.schemas import kept
from catchment.schemas.live import LiveRegistry
from catchment.schemas.registry import Registry
from tests.schemas.live_kit import NUMBER, STRING, Scene, accepts, names, put, settle

BROKEN = {
    "half a file": '{"type": "object", "prop',
    "no schema": '{"type": 5}',
    "a reference to the network": '{"$ref": "https://example.org/x.json"}',
    "a reference to nothing": '{"$ref": "#/definitions/none"}',
}


def test_what_is_added_changed_and_removed_is_taken_by_the_second_look(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    path = put(scene.folder, "order", STRING)
    live = scene.start()
    assert names(live) == ["order.1"]
    put(scene.folder, "visit", STRING)
    assert not live.look()
    assert names(live) == ["order.1"]
    assert live.look()
    assert names(live) == ["order.1", "visit.1"]
    path.write_text('{"type": "object", "required": ["b"]}')
    assert settle(live)
    assert accepts(live, "order", {"b": 1})
    path.unlink()
    assert settle(live)
    assert names(live) == ["visit.1"]
    assert live.problems == ()


def test_a_registry_is_a_snapshot_and_keeps_what_has_not_changed(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    path = put(scene.folder, "order", STRING)
    put(scene.folder, "visit", STRING)
    live = scene.start()
    before = live.current
    order, visit = before.find("shop", "order", 1), before.find("shop", "visit", 1)
    assert order is not None
    path.write_text('{"type": "object", "required": ["b"]}')
    assert settle(live)
    assert order.violation({"a": "x"}) is None
    assert live.current.find("shop", "visit", 1) is visit
    assert live.current.find("shop", "order", 1) is not order
    assert live.current.identity != before.identity


def test_a_touched_file_is_no_other_registry(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    path = put(scene.folder, "order", STRING)
    live = scene.start()
    before = live.current
    path.write_bytes(path.read_bytes())
    assert not settle(live)
    assert live.current is before


def test_a_file_that_is_still_being_written_is_not_taken(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    live = scene.start()
    assert names(live) == []
    path = put(scene.folder, "order", "{}")
    for length in range(5):
        assert not live.look()
        path.write_text('{"title": "' + "x" * length + '"}')
    assert names(live) == []
    assert settle(live)
    assert names(live) == ["order.1"]


def test_a_file_that_changes_while_it_is_read_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path)
    live = scene.start()
    assert names(live) == []
    path = put(scene.folder, "order", STRING)
    source = live._sources[0]
    read = source.read

    def read_while_written() -> object:
        tree = read()
        path.write_text("{}")
        monkeypatch.undo()
        return tree

    monkeypatch.setattr(source, "read", read_while_written)
    assert not settle(live)
    assert names(live) == []
    assert settle(live)
    assert accepts(live, "order", {"a": 5})


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_schema_is_told_and_the_last_good_registry_stays(tmp_path: Path, text: str) -> None:
    scene = Scene(tmp_path)
    path = put(scene.folder, "order", STRING)
    live = scene.start()
    before = live.current
    path.write_text(text)
    put(scene.folder, "visit", STRING)
    assert not settle(live)
    assert live.current is before
    assert accepts(live, "order", {"a": "x"})
    assert names(live) == ["order.1"]
    [problem] = live.problems
    assert str(path) in problem
    [finding] = live.check()
    assert str(path) in finding.text and "going on with the schemas of 2017-07-14 02:40:00 UTC" in finding.text
    assert len(scene.events("schema_refused")) == len(scene.events("schemas_refused")) == 1
    assert not settle(live)
    assert len(scene.events("schema_refused")) == 1
    path.write_text('{"type": "object"}')
    assert settle(live)
    assert names(live) == ["order.1", "visit.1"]
    assert live.problems == () and live.check() == []


def test_a_bad_change_that_is_taken_back_leaves_no_complaint(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    path = put(scene.folder, "order", STRING)
    live = scene.start()
    before, text = live.current, path.read_text()
    path.write_text("{")
    settle(live)
    path.write_text(text)
    assert not settle(live)
    assert live.current is before and live.check() == []
    assert scene.events("schemas_mended")


def test_a_restart_with_broken_sources_goes_on_with_the_last_good_ones(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    path = put(scene.folder, "order", STRING)
    before = scene.start().current
    path.write_text("{")
    scene.clock.advance(3600)
    live = scene.start()
    assert live.current.identity == before.identity
    assert accepts(live, "order", {"a": "x"}) and not accepts(live, "order", {})
    assert str(path) in live.problems[0]
    assert "of 2017-07-14 02:40:00 UTC" in live.check()[0].text
    path.write_text("{}")
    assert settle(live)
    assert accepts(live, "order", {}) and live.check() == []


def test_a_restart_without_the_folder_goes_on_with_the_last_good_ones(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    put(scene.folder, "order", STRING)
    assert names(scene.start()) == ["order.1"]
    away = scene.folder.rename(tmp_path / "away")
    live = scene.start()
    assert names(live) == ["order.1"]
    assert "is not a folder" in live.check()[0].text
    assert len(scene.events("schemas_unreadable")) == 1
    settle(live)
    assert len(scene.events("schemas_unreadable")) == 1
    away.rename(scene.folder)
    put(scene.folder, "visit", STRING)
    assert settle(live)
    assert names(live) == ["order.1", "visit.1"] and live.check() == []


def test_a_folder_that_goes_away_changes_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    put(scene.folder, "order", STRING)
    live = scene.start()
    before = live.current
    scene.folder.rename(tmp_path / "away")
    assert not settle(live)
    assert live.current is before
    assert "is not a folder" in live.problems[0]


def test_what_was_good_for_other_sources_does_not_count(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    put(scene.folder, "order", STRING)
    assert names(scene.start()) == ["order.1"]
    with pytest.raises(BadConfig, match="is not a folder"):
        _ = Scene(tmp_path, str(tmp_path / "typo")).start().current


@pytest.mark.parametrize("damage", [b"", b"rubbish", None], ids=["empty", "rubbish", "half"])
def test_a_damaged_copy_is_told_and_does_not_stop_the_start(tmp_path: Path, damage: bytes | None) -> None:
    scene = Scene(tmp_path)
    put(scene.folder, "order", STRING)
    assert names(scene.start()) == ["order.1"]
    copy = scene.home / kept.FILE
    copy.write_bytes(copy.read_bytes()[:40] if damage is None else damage)
    assert names(scene.start()) == ["order.1"]
    assert str(copy) in scene.events("schemas_not_kept")[0]
    assert names(scene.start()) == ["order.1"]
    assert len(scene.events("schemas_not_kept")) == 1


def test_a_new_home_uses_what_is_usable(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    put(scene.folder, "order", STRING)
    put(scene.folder, "broken", "{")
    live = scene.start()
    assert accepts(live, "order", {"a": "x"})
    broken = live.current.find("shop", "broken", 1)
    assert broken is not None
    with pytest.raises(Incompatible, match="cannot be read"):
        broken.violation({})
    assert "its documents are refused" in live.check()[0].text
    put(scene.folder, "visit", STRING)
    assert settle(live)
    assert names(live) == ["broken.1", "order.1", "visit.1"]


def test_an_incompatible_change_in_place_is_refused_with_the_way_out(tmp_path: Path) -> None:
    scene = Scene(tmp_path, allowed=())
    put(scene.folder, "order", STRING)
    live = scene.start()
    before = live.current
    put(scene.folder, "order", NUMBER)
    assert not settle(live)
    [problem] = live.problems
    assert "incompatible change" in problem and 'allow_incompatible = ["shop.order"]' in problem
    assert live.current is before
    assert scene.start().current.identity == before.identity
    put(scene.folder, "order", {**STRING, "properties": {"a": {"type": "string"}, "b": {"type": "string"}}})
    assert settle(live)
    put(scene.folder, "order", NUMBER)
    live = Scene(tmp_path).start()
    assert accepts(live, "order", {"a": 5}) and live.problems == ()


def test_a_change_that_the_judge_refuses_is_told_and_does_not_come_in(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    path = put(scene.folder, "order", STRING)
    seen: list[tuple[str, str]] = []

    def judge(old: Registry, new: Registry) -> list[str]:
        seen.append((old.identity, new.identity))
        return ["order: a text may not become a number"]

    first = scene.start()
    live = LiveRegistry(first._sources, first._kept, ManualClock(), first._events, judge=judge)
    before = live.current
    path.write_text('{"type": "object"}')
    assert not settle(live)
    assert live.current is before and live.problems == ("order: a text may not become a number",)
    assert [old for old, _ in seen] == [before.identity]
    put(scene.folder, "order", NUMBER)
    again = LiveRegistry(first._sources, first._kept, ManualClock(), first._events, judge=judge)
    assert again.current.identity == before.identity and again.problems == live.problems


def test_a_watched_registry_follows_its_folder_and_tells_its_followers(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    live = scene.start()
    changed = threading.Event()
    live.follow(changed.set)
    live.watch()
    try:
        assert names(live) == []
        put(scene.folder, "order", STRING)
        assert changed.wait(5.0)
        assert names(live) == ["order.1"]
    finally:
        live.close()
    assert len(scene.events("schemas_loaded")) == 2


def test_services_of_one_home_come_to_the_same_registry(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    loader, console = scene.start(), scene.start()
    assert names(loader) == names(console) == []
    put(scene.folder, "order", STRING)
    assert settle(loader) and settle(console)
    assert loader.current.identity == console.current.identity
    assert loader.current.identity == scene.start().current.identity


def test_an_incompatible_change_in_place_is_told_and_the_form_before_stays(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    put(scene.folder, "refund", STRING)
    live = scene.start()
    assert accepts(live, "refund", {"a": "x"})
    put(scene.folder, "refund", NUMBER)
    assert not settle(live)
    assert accepts(live, "refund", {"a": "x"})
    [problem] = live.problems
    assert "a: its type was string and is double" in problem
    assert "refund.2.schema.json" in problem
    again = scene.start()
    assert accepts(again, "refund", {"a": "x"}), "the home remembers it over a restart"
    put(scene.folder, "refund", NUMBER, version=2)
    put(scene.folder, "refund", STRING)
    assert settle(again)
    assert names(again) == ["refund.1", "refund.2"]
