"""A live registry over one folder of a home, and files to change in it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from catchment.clock import ManualClock
from catchment.events import Events
from catchment.objects.open import open_objects
from catchment.schemas.live import LiveRegistry, open_live
from catchment.schemas.settings import SchemaSettings

STRING: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
NUMBER: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}


def put(root: Path, doctype: str, schema: object, version: int = 1) -> Path:
    """The schema file `shop/<doctype>/…` below `root`; a text is written as it is."""
    path = root / "shop" / doctype / f"{doctype}.{version}.schema.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(schema if isinstance(schema, str) else json.dumps(schema))
    return path


class Scene:
    """A home with sources; `start` is what a service does at its start."""

    def __init__(self, tmp_path: Path, *paths: str, allowed: tuple[str, ...] = ("shop.order",)) -> None:
        self.home = tmp_path / "home"
        self.folder = tmp_path / "schemas"
        self.folder.mkdir(exist_ok=True)
        self.settings = SchemaSettings(paths=paths or (str(self.folder),), builtin=False, allow_incompatible=allowed)
        self.clock = ManualClock()
        self.told = io.StringIO()

    def start(self) -> LiveRegistry:
        events = Events("schemas", self.told)
        return open_live(self.settings, self.home, lambda: open_objects("file:objects", self.home), self.clock, events)

    def events(self, name: str) -> list[str]:
        return [line for line in self.told.getvalue().splitlines() if f" {name} " in f"{line} "]


def names(live: LiveRegistry) -> list[str]:
    return [f"{schema.doctype}.{schema.version}" for schema in live.current.all()]


def settle(live: LiveRegistry) -> bool:
    """The looks after which a change is taken."""
    return any([live.look(), live.look()])


def accepts(live: LiveRegistry, doctype: str, content: object) -> bool:
    schema = live.current.find("shop", doctype, 1)
    assert schema is not None
    return schema.violation(content) is None


Change = Callable[[Scene], object]
