"""Adding a schema: judged as a part of the whole registry, put whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from catchment.errors import Incompatible
from catchment.schemas.adding import add_schema
from catchment.schemas.live import LiveRegistry, added_folder
from tests.schemas.live_kit import NUMBER, STRING, Scene, accepts, names, put, settle


def added(scene: Scene) -> Path:
    return added_folder(scene.settings, scene.home)


def text(schema: object) -> bytes:
    return json.dumps(schema).encode()


def test_an_added_schema_is_there_at_once_and_in_other_services_soon(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    put(scene.folder, "visit", STRING)
    here, there = scene.start(), scene.start()
    assert names(there) == ["visit.1"]
    done = add_schema(here, added(scene), "shop", "order", 1, text(STRING))
    assert done.is_changed and done.before is None
    assert done.schema.path == added(scene) / "shop" / "order" / "order.1.schema.json"
    assert names(here) == ["order.1", "visit.1"]
    assert settle(there)
    assert names(there) == ["order.1", "visit.1"]
    assert not add_schema(here, added(scene), "shop", "order", 1, text(STRING)).is_changed


def test_an_added_schema_takes_the_place_of_the_folders(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    put(scene.folder, "order", STRING)
    live = scene.start()
    done = add_schema(live, added(scene), "shop", "order", 1, text(NUMBER))
    assert done.before is not None and done.before.path.is_relative_to(scene.folder)
    assert accepts(live, "order", {"a": 5})


@pytest.mark.parametrize(
    ("doctype", "version", "content", "refused"),
    [
        ("order", 1, b"{", "cannot be read"),
        ("order", 1, b'{"$ref": "https://example.org/x"}', "is outside of the file"),
        ("or_der", 1, b"{}", "the name must be"),
        ("order", -1, b"{}", "the name must be"),
        ("../order", 1, b"{}", "letters, digits and -; rename it"),
        ("..", 1, b"{}", "letters, digits and -; rename it"),
        ("VISIT", 1, b"{}", "its table shop.visit_v1 is that of"),
    ],
)
def test_what_the_registry_would_refuse_is_not_added(
    tmp_path: Path, doctype: str, version: int, content: bytes, refused: str
) -> None:
    scene = Scene(tmp_path)
    put(scene.folder, "visit", STRING)
    live = scene.start()
    with pytest.raises(Incompatible, match=refused):
        add_schema(live, added(scene), "shop", doctype, version, content)
    assert not list(tmp_path.rglob("*order*"))
    assert names(live) == ["visit.1"]


def test_what_the_judge_refuses_is_not_added(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    first = scene.start()
    add_schema(first, added(scene), "shop", "order", 1, text(STRING))
    live = LiveRegistry(
        first._sources, first._kept, scene.clock, first._events, judge=lambda old, new: ["order: not compatible"]
    )
    with pytest.raises(Incompatible, match="order: not compatible"):
        add_schema(live, added(scene), "shop", "order", 1, text(NUMBER))
    assert accepts(live, "order", {"a": "x"})
