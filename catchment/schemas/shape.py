"""From a JSON Schema to the shape of a table: a tree of typed places for what a document may hold.

| in the schema | in the table |
|---|---|
| object with `properties` | struct of them; other keys have no place |
| object with one kind of `additionalProperties` or `patternProperties` | map from text |
| array of one kind of `items` | list |
| string, integer, number, boolean | string, int64, double, boolean |
| a type or `null` | the type: every place may be NULL |
| integer or number | double |
| any other mixture, a tuple, anything open | the JSON text, a string |
| `$ref` | what it points to; one that comes back to itself is JSON text |
| `allOf` | all of it together |

Formats (`date-time` …) stay strings, as sent. Deeper than `MAX_DEPTH` everything is JSON text. What has no place goes
to the column `additional_properties`; see `lake/columns.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from catchment.schemas.names import column_names

MAX_DEPTH = 12
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value: `kind` is string, integer, number, boolean, or json (any value, as text)."""

    kind: str


@dataclass(frozen=True, slots=True)
class ListOf:
    item: Shape


@dataclass(frozen=True, slots=True)
class MapOf:
    """Keys are texts."""

    value: Shape


@dataclass(frozen=True, slots=True)
class Property:
    """A place in a struct: `name` in the document, `column` in the table."""

    name: str
    column: str
    shape: Shape
    description: str = ""


@dataclass(frozen=True, slots=True)
class Struct:
    properties: tuple[Property, ...]
    client_id: str | None = None
    """At the top: the property that the table's column `client_id` holds instead of a place of its own."""


Shape = Leaf | ListOf | MapOf | Struct
JSON_TEXT = Leaf("json")
_SCALARS = ("string", "integer", "number", "boolean")


def shape_of(schema: Document, reserved: Iterable[str] = ()) -> Struct:
    """The shape of documents of `schema`; `reserved` are column names that the table has already.

    Never refuses: what it cannot type is JSON text, and a schema that is no object has no columns at all.
    """
    shape = _Reader(schema).read(schema, 0, (), frozenset(reserved))
    return shape if isinstance(shape, Struct) else Struct(())


class _Reader:
    def __init__(self, root: Document) -> None:
        self._root = root

    def read(self, schema: Any, depth: int, seen: tuple[str, ...], reserved: frozenset[str] = frozenset()) -> Shape:
        if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
            return JSON_TEXT
        flat, seen = self._flatten(schema, seen)
        if flat is None:
            return JSON_TEXT
        alternatives = [part for key in ("oneOf", "anyOf") for part in _list(flat, key) if isinstance(part, Mapping)]
        if "type" not in flat and "properties" not in flat and alternatives:
            return _merged([self.read(part, depth, seen) for part in alternatives if part.get("type") != "null"])
        kinds = _kinds(flat)
        if kinds == {"object"}:
            return self._object(flat, alternatives, depth, seen, reserved)
        if kinds == {"array"}:
            return self._array(flat, depth, seen)
        if kinds == {"integer", "number"}:
            return Leaf("number")
        if len(kinds) == 1 and (kind := next(iter(kinds))) in _SCALARS:
            return Leaf(kind)
        return JSON_TEXT

    def _flatten(self, schema: Document, seen: tuple[str, ...]) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
        """The schema with its `$ref` and `allOf` written out; None when a `$ref` cannot be followed."""
        flat = dict(schema)
        while "$ref" in flat:
            pointer = flat.pop("$ref")
            target = self._resolve(pointer)
            if pointer in seen or target is None:
                return None, seen
            seen = (*seen, pointer)
            flat = {**target, **flat}
        parts = _list(flat, "allOf")
        flat.pop("allOf", None)
        for part in parts:
            inner, seen = self._flatten(part, seen) if isinstance(part, Mapping) else ({}, seen)
            if inner is None:
                return None, seen
            for key, value in inner.items():
                if key in ("properties", "patternProperties"):
                    flat[key] = {**_mapping(inner, key), **_mapping(flat, key)}
                else:
                    flat.setdefault(key, value)
        return flat, seen

    def _resolve(self, pointer: Any) -> Document | None:
        if not isinstance(pointer, str) or not pointer.startswith("#"):
            return None
        found: Any = self._root
        for step in pointer[1:].split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and step in found:
                found = found[step]
            elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            else:
                return None
        return found if isinstance(found, Mapping) else None

    def _object(
        self, flat: Document, alternatives: list[Any], depth: int, seen: tuple[str, ...], reserved: frozenset[str]
    ) -> Shape:
        properties: dict[str, Any] = {}
        for part in alternatives:
            properties.update(_mapping(part, "properties"))
        properties.update(_mapping(flat, "properties"))
        if properties:
            columns = column_names(properties, reserved)
            return Struct(
                tuple(
                    Property(name, columns[name], self.read(inner, depth + 1, seen), _description(inner))
                    for name, inner in properties.items()
                )
            )
        values = list(_mapping(flat, "patternProperties").values())
        if isinstance(flat.get("additionalProperties"), Mapping):
            values.append(flat["additionalProperties"])
        if not values:
            return JSON_TEXT
        return MapOf(_merged([self.read(inner, depth + 1, seen) for inner in values]))

    def _array(self, flat: Document, depth: int, seen: tuple[str, ...]) -> Shape:
        items = flat.get("items")
        return ListOf(self.read(items, depth + 1, seen)) if isinstance(items, Mapping) else JSON_TEXT


def _kinds(flat: Document) -> set[str]:
    """The types that a value may have, null left out."""
    declared = flat.get("type")
    if isinstance(declared, str):
        declared = [declared]
    if declared is None:
        if "properties" in flat or "patternProperties" in flat:
            declared = ["object"]
        elif "items" in flat:
            declared = ["array"]
        elif _list(flat, "enum") or "const" in flat:
            declared = [_kind_of(value) for value in _list(flat, "enum") or [flat["const"]]]
        else:
            declared = []
    return (
        {kind for kind in declared if isinstance(kind, str) and kind != "null"} if isinstance(declared, list) else set()
    )


def _list(schema: Document, key: str) -> list[Any]:
    """A keyword's list; empty when it is absent or no list, which then does not compile anyway."""
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _mapping(schema: Document, key: str) -> Document:
    value = schema.get(key)
    return value if isinstance(value, Mapping) else {}


def _kind_of(value: Any) -> str:
    for kind, types in (("boolean", bool), ("string", str), ("integer", int), ("number", float), ("array", list)):
        if isinstance(value, types):
            return kind
    return "null" if value is None else "object"


def _merged(shapes: list[Shape]) -> Shape:
    """One shape for values of any of these; JSON text when they do not go together."""
    distinct = list(dict.fromkeys(shapes))
    if len(distinct) == 1:
        return distinct[0]
    if distinct and all(isinstance(shape, Leaf) and shape.kind in ("integer", "number") for shape in distinct):
        return Leaf("number")
    return JSON_TEXT


def _description(schema: Any) -> str:
    text = schema.get("description") or schema.get("title") if isinstance(schema, Mapping) else None
    return " ".join(text.split()) if isinstance(text, str) else ""
