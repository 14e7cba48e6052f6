"""Fields that are sent and that a schema does not name: counted, with the types that they have.

A document is followed beside the shape of its table (`schemas/shape.py`): below a struct, every key that has no place
is unnamed, with all that is inside it. An object with many different keys is taken for a map, `counters{}`, so that
names made of data do not become fields. Values are looked at and not kept. Memory is bounded by MOST_FIELDS places.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from catchment.ingestion.preview.report import Unnamed
from catchment.schemas.nodes import kind_of
from catchment.schemas.shape import ListOf, MapOf, Shape, Struct

MOST_FIELDS = 2_000
MOST_KEYS = 50
"""More different unnamed keys of one object than this are keys of a map."""
MOST_DEPTH = 8
MOST_ITEMS = 20
"""Items of an array, and values of a map, that are followed in one document."""
_FORMATS = {
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
    "uuid": re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
}
_ORDER = ("object", "array", "string", "integer", "number", "boolean", "null")


@dataclass(slots=True)
class _Place:
    """A field, and what is inside it; `pings` is 0 for one that the schema names. `unnamed` counts the fields inside
    that it does not; `rest` is a map's values, `item` an array's items."""

    pings: int = 0
    unnamed: int = 0
    last: int = -1
    kinds: Counter[str] = field(default_factory=Counter)
    formats: set[str] | None = None
    fields: dict[str, _Place] = field(default_factory=dict)
    rest: _Place | None = None
    item: _Place | None = None


class Sightings:
    """Gathers the unnamed fields of documents of one shape."""

    def __init__(self, shape: Struct) -> None:
        self._shape = shape
        self._top = _Place()
        self._number = -1
        self._places = 0
        self.left_out = 0

    def add(self, content: dict[str, Any]) -> None:
        """Look at a document. It is not kept, nor changed."""
        self._number += 1
        self._beside(content, self._shape, self._top)

    def unnamed(self) -> list[Unnamed]:
        """Every unnamed field, those of most pings first."""
        found: list[Unnamed] = []

        def walk(place: _Place, path: str) -> None:
            if place.pings:
                found.append(Unnamed(path, place.pings, _types(place), _format(place)))
            for name, inner in place.fields.items():
                walk(inner, f"{path}.{name}" if path else name)
            if place.item is not None:
                walk(place.item, f"{path}[]")
            if place.rest is not None:
                walk(place.rest, f"{path}{{}}")

        walk(self._top, "")
        return sorted(found, key=lambda unnamed: (-unnamed.pings, unnamed.path))

    def proposal(self) -> dict[str, Any]:
        """The unnamed fields as a JSON Schema."""
        return _schema(self._top)

    def _beside(self, value: Any, shape: Shape, place: _Place) -> None:
        """Follow a value that the shape has a place for."""
        if isinstance(shape, Struct) and isinstance(value, dict) and not shape.is_tuple:
            named = {member.name: member.shape for member in shape.properties}
            for name, inner in value.items():
                if name not in named:
                    if name != shape.client_id:
                        self._count(inner, place, name, 0)
                elif isinstance(inner, dict | list):
                    self._beside(inner, named[name], place.fields.setdefault(name, _Place()))
        elif isinstance(shape, ListOf) and isinstance(value, list):
            for inner in value[:MOST_ITEMS]:
                place.item = place.item or _Place()
                self._beside(inner, shape.item, place.item)
        elif isinstance(shape, MapOf) and isinstance(value, dict):
            for inner in list(value.values())[:MOST_ITEMS]:
                place.rest = place.rest or _Place()
                self._beside(inner, shape.value, place.rest)

    def _count(self, value: Any, outer: _Place, name: str, depth: int) -> None:
        """Count an unnamed field of an object, and follow what is inside."""
        place = outer.fields.get(name)
        if place is None:
            if outer.rest is None and outer.unnamed >= MOST_KEYS:
                self._become_map(outer)
            if outer.rest is not None:
                place = outer.rest
            elif self._places >= MOST_FIELDS:
                self.left_out += 1
                return
            else:
                place = outer.fields[name] = _Place()
                outer.unnamed += 1
                self._places += 1
        self._see(value, place, depth)

    def _see(self, value: Any, place: _Place, depth: int) -> None:
        if place.last != self._number:
            place.last = self._number
            place.pings += 1
        kind = kind_of(value)
        place.kinds[kind] += 1
        if kind == "string":
            fitting = {name for name, form in _FORMATS.items() if form.fullmatch(value)}
            place.formats = fitting if place.formats is None else place.formats & fitting
        if depth >= MOST_DEPTH:
            return
        if kind == "object":
            for name, inner in value.items():
                self._count(inner, place, name, depth + 1)
        elif kind == "array":
            for inner in value[:MOST_ITEMS]:
                place.item = place.item or _Place()
                self._see(inner, place.item, depth + 1)

    def _become_map(self, outer: _Place) -> None:
        """Fold the unnamed fields of an object into one place for the values of a map."""
        rest = outer.rest = _Place()
        for name in [name for name, inner in outer.fields.items() if inner.pings]:
            inner = outer.fields.pop(name)
            self._places -= 1
            rest.pings = max(rest.pings, inner.pings)
            rest.kinds += inner.kinds
            if inner.formats is not None:
                rest.formats = inner.formats if rest.formats is None else rest.formats & inner.formats
        outer.unnamed = 0


def _types(place: _Place) -> tuple[str, ...]:
    return tuple(kind for kind in _ORDER if kind in place.kinds)


def _format(place: _Place) -> str:
    return min(place.formats) if place.formats else ""


def _schema(place: _Place) -> dict[str, Any]:
    """A schema for a place; without what nothing unnamed is inside of."""
    fields = {name: inner for name, field_ in sorted(place.fields.items()) if (inner := _schema(field_))}
    kinds = [kind for kind in _types(place) if not (kind == "integer" and "number" in place.kinds)]
    schema: dict[str, Any] = {}
    if kinds:
        schema["type"] = kinds[0] if len(kinds) == 1 else kinds
    if _format(place):
        schema["format"] = _format(place)
    if fields:
        schema["properties"] = fields
    if place.rest is not None and (rest := _schema(place.rest)):
        schema["additionalProperties"] = rest
    if place.item is not None and (item := _schema(place.item)):
        schema["items"] = item
    return schema
