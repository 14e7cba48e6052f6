"""Reading a schema as a person does: with its `$ref`s and `allOf` written out, each part still where the file has it.

`Node` is one subschema with its place. What it gives are its keywords with those of what it points to, and its inner
subschemas, by the way in which a document reaches them. A `$ref` that leads back to where it came from, or nowhere, is
left as it stands. `reading.py` decides what is a column; this is for what people are told about a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from catchment.schemas.pointers import pointer_of, steps_of
from catchment.schemas.references import References

ALTERNATIVES = ("oneOf", "anyOf")
Steps = tuple[str | int, ...]
_NOTES = ("title", "description", "examples")
"""What counts beside a `$ref` also where the draft gives no meaning to it."""


class Inner(NamedTuple):
    """A subschema inside another: what stands there, where, and the references on the way to it."""

    schema: Any
    steps: Steps
    seen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A subschema: its keywords, `$ref` and `allOf` written out, and where each of its inner ones stands."""

    keywords: Mapping[str, Any]
    steps: Steps
    properties: Mapping[str, Inner]
    """Those of `allOf`, and of each alternative, are among them."""
    seen: tuple[str, ...] = ()
    """The references that led here, and those that were followed from here."""
    is_circular: bool = False

    @property
    def pointer(self) -> str:
        return pointer_of(self.steps)

    @property
    def declared(self) -> tuple[str, ...]:
        """The types that `type` names."""
        return types_in(self.keywords)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The types that a value may have, as the schema declares them or as its keywords tell; empty for any."""
        if self.declared:
            return self.declared
        if "properties" in self.keywords or "patternProperties" in self.keywords:
            return ("object",)
        if "items" in self.keywords or "prefixItems" in self.keywords:
            return ("array",)
        values = self.keywords.get("enum")
        if isinstance(values, list):
            return tuple(dict.fromkeys(kind_of(value) for value in values))
        return (kind_of(self.keywords["const"]),) if "const" in self.keywords else ()

    def values(self) -> Iterator[tuple[str, Inner]]:
        """What the values of keys must be that `properties` does not name, by pattern, "" for all others."""
        patterns = self.keywords.get("patternProperties")
        if isinstance(patterns, Mapping):
            for pattern, inner in patterns.items():
                if inner:
                    yield pattern, Inner(inner, (*self.steps, "patternProperties", pattern), self.seen)
        inner = self.keywords.get("additionalProperties")
        if isinstance(inner, Mapping) and inner:
            yield "", Inner(inner, (*self.steps, "additionalProperties"), self.seen)

    @property
    def item(self) -> Inner | None:
        """The one kind of items of an array."""
        inner = self.keywords.get("items")
        is_one = isinstance(inner, Mapping) and not self.positions
        return Inner(inner, (*self.steps, "items"), self.seen) if is_one else None

    @property
    def positions(self) -> list[Inner]:
        """The items of a tuple."""
        for key in ("prefixItems", "items"):
            parts = self.keywords.get(key)
            if isinstance(parts, list):
                return [Inner(inner, (*self.steps, key, number), self.seen) for number, inner in enumerate(parts)]
        return []


class Nodes:
    """The subschemas of one file. References are followed as the transpiler does, by the rules of the file's draft."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self._references = References(root)

    def read(self, schema: Any, steps: Steps = (), seen: tuple[str, ...] = ()) -> Node:
        """The subschema at `steps`; `seen` are the references on the way to it."""
        if not isinstance(schema, Mapping):
            return Node({}, steps, {}, seen)
        found = _Gathered(self._references)
        found.take(schema, steps, seen, is_alternative=False)
        return Node(found.keywords, steps, found.properties, (*seen, *found.taken), found.is_circular)

    def target(self, schema: Mapping[str, Any]) -> str | None:
        """The pointer to what the `$ref` of a subschema leads to; None when that is not in the file."""
        found = self._references.resolve(schema, schema.get("$ref"))
        return found[1] if found is not None else None


class _Gathered:
    """What of a subschema has been read, with what it refers to and what `allOf` adds; each reference once."""

    def __init__(self, references: References) -> None:
        self.keywords: dict[str, Any] = {}
        self.properties: dict[str, Inner] = {}
        self.taken: dict[str, None] = {}
        self.is_circular = False
        self._references = references

    def take(self, part: Any, at: Steps, way: tuple[str, ...], is_alternative: bool) -> None:
        """Add what stands at `at`; `way` are the references that led there."""
        if not isinstance(part, Mapping):
            return
        target = self._references.resolve(part, part["$ref"]) if "$ref" in part else None
        if target is not None and self._references.stand_alone:
            part = {key: value for key, value in part.items() if key in _NOTES}
        names = part.get("properties")
        if isinstance(names, Mapping):
            for name, inner in names.items():
                self.properties.setdefault(name, Inner(inner, (*at, "properties", name), way))
        if not is_alternative:
            for key, value in part.items():
                if key == "required" and isinstance(value, list) and isinstance(self.keywords.get(key), list):
                    self.keywords[key] = [*self.keywords[key], *value]
                else:
                    self.keywords.setdefault(key, value)
        if target is not None:
            self._follow(*target, way, is_alternative)
        for key in ("allOf", *ALTERNATIVES):
            parts = part.get(key)
            for number, inner in enumerate(parts if isinstance(parts, list) else ()):
                self.take(inner, (*at, key, number), way, is_alternative or key != "allOf")

    def _follow(self, found: Any, pointer: str, way: tuple[str, ...], is_alternative: bool) -> None:
        if pointer in way:
            self.is_circular = True
        elif pointer not in self.taken:
            self.taken[pointer] = None
            self.take(found, tuple(steps_of(pointer)), (*way, pointer), is_alternative)


def types_in(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The types that the keyword `type` of a subschema names."""
    declared = schema.get("type")
    if isinstance(declared, str):
        return (declared,)
    return tuple(kind for kind in declared if isinstance(kind, str)) if isinstance(declared, list) else ()


def kind_of(value: Any) -> str:
    """The JSON type of a value; a whole number is an integer."""
    for kind, types in (("boolean", bool), ("string", str), ("integer", int), ("number", float), ("array", list)):
        if isinstance(value, types):
            return kind
    return "null" if value is None else "object"
