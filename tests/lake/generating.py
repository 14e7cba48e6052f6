"""Random JSON Schemas of every draft, and documents that they let in; the same for the same seed.

A `Made` is a schema with what makes values for it. Values are usually valid; `documents` keeps those that the schema's
own validator lets in. In a `plain` schema every value has a column that can hold it: objects are closed, places have
one type, numbers are exact and timestamps in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import jsonschema_rs

DRAFTS = {
    "4": "http://json-schema.org/draft-04/schema#",
    "6": "http://json-schema.org/draft-06/schema#",
    "7": "http://json-schema.org/draft-07/schema#",
    "2019": "https://json-schema.org/draft/2019-09/schema",
    "2020": "https://json-schema.org/draft/2020-12/schema",
}
NAMES = ("a", "b", "clientId", "client_id", "aB", "a_b", "A", "x-y", "2nd", "", "URLBar", "select", "ключ", "metadata")
KEYS = ("k1", "k2", "k10", "", "é")
STRINGS = ("", "x", "é😀", "null", '"', "2026-11-25", "long " * 20)
EXACT_MOMENTS = ("2018-01-01T00:00:00.000Z", "2026-11-25T12:34:56Z", "1969-12-31T23:59:59.999999Z")
MOMENTS = (*EXACT_MOMENTS, "2026-11-25T12:34:56+02:00", "2026-11-25T12:34:56.1234567Z", "yesterday", "2026-11-25")
DATES = ("2026-11-25", "0001-01-01", "2024-02-29")
INTEGERS = (0, 1, -5, 300, 2**53, 2**63 - 1, -(2**63))
BIG = (2**63, 2**64 - 1, 2**53 + 1)
FLOATS = (0.5, -0.0, 1e300, 5e-324, 3.0)


@dataclass
class Made:
    schema: Any
    value: Callable[[], Any]


@dataclass
class Generator:
    random: Random
    draft: str
    plain: bool = False
    definitions: dict[str, Any] = field(default_factory=dict)

    def document(self) -> Made:
        """A whole schema."""
        made = self.object(0)
        key = "definitions" if self.draft in ("4", "6", "7") else "$defs"
        if self.definitions:
            made.schema[key] = self.definitions
        made.schema["$schema"] = DRAFTS[self.draft]
        return made

    def any(self, depth: int) -> Made:
        if depth > 3:
            return self.scalar(depth)
        makers = [self.scalar, self.scalar, self.nullable, self.object, self.array, self.map, self.referred]
        makers += [self.described, self.all_of, self.tuple]
        if not self.plain:
            makers += [self.mixed, self.union, self.open, self.enumerated, self.by_hint, self.recursive]
            makers += [self.patterns, self.objects_union]
        return self.random.choice(makers)(depth)

    def scalar(self, depth: int) -> Made:
        kind = self.random.choice(("string", "integer", "number", "boolean", "date-time", "date"))
        if kind in ("date-time", "date"):
            texts = (EXACT_MOMENTS if self.plain else MOMENTS) if kind == "date-time" else DATES
            return Made({"type": "string", "format": kind}, lambda: self.random.choice(texts))
        values: dict[str, tuple[Any, ...]] = {
            "string": STRINGS,
            "integer": INTEGERS if self.plain else INTEGERS + BIG,
            "number": (*FLOATS, 0, 7) if self.plain else (*FLOATS, 0, 7, *BIG),
            "boolean": (True, False),
        }
        return Made({"type": kind}, lambda: self.random.choice(values[kind]))

    def nullable(self, depth: int) -> Made:
        made = self.scalar(depth)
        schema = {**made.schema, "type": [made.schema["type"], "null"]}
        return Made(schema, lambda: None if self.random.random() < 0.3 else made.value())

    def described(self, depth: int) -> Made:
        made = self.any(depth)
        if isinstance(made.schema, dict) and "$ref" not in made.schema:
            made.schema["description"] = "What\n it is"
        return made

    def object(self, depth: int) -> Made:
        names = self.random.sample(NAMES, self.random.randint(1, 4))
        parts = {name: self.any(depth + 1) for name in names}
        required = self.random.sample(names, self.random.randint(0, 1))
        schema: dict[str, Any] = {"type": "object", "properties": {name: part.schema for name, part in parts.items()}}
        if required:
            schema["required"] = required
        closed = self.plain or self.random.random() < 0.3
        if closed:
            schema["additionalProperties"] = False
        elif self.random.random() < 0.3:
            schema["additionalProperties"] = self.random.choice((True, {}, {"type": "integer"}))
        if not self.plain and self.random.random() < 0.2:
            self._condition(schema, names)

        def value() -> dict[str, Any]:
            found = {
                name: part.value() for name, part in parts.items() if name in required or self.random.random() < 0.7
            }
            if not closed and self.random.random() < 0.3:
                found["more"] = self.random.choice((1, None, [1, {"x": None}]))
            return found

        return Made(schema, value)

    def _condition(self, schema: dict[str, Any], names: list[str]) -> None:
        then = {"properties": {"then": {"type": "integer"}, names[0]: {}}}
        if self.draft in ("7", "2019", "2020"):
            schema |= {
                "if": {"required": [names[0]]},
                "then": then,
                "else": {"properties": {"else": {"type": "string"}}},
            }
        elif self.draft in ("4", "6"):
            schema["dependencies"] = {names[0]: then, "q": ["more"]}

    def map(self, depth: int) -> Made:
        part = self.any(depth + 1)
        schema = {"type": "object", "additionalProperties": part.schema}
        if self.draft != "4":
            schema["propertyNames"] = {"maxLength": 5}

        def value() -> dict[str, Any]:
            found = {key: part.value() for key in self.random.sample(KEYS, self.random.randint(0, 3))}
            return {key: inner for key, inner in found.items() if inner is not None or not self.plain}

        return Made(schema, value)

    def patterns(self, depth: int) -> Made:
        one, other = self.any(depth + 1), self.any(depth + 1)
        schema = {"type": "object", "patternProperties": {"^k": one.schema, "^x": other.schema}}
        if self.random.random() < 0.5:
            schema["additionalProperties"] = False

        def value() -> dict[str, Any]:
            return {key: (one if key[0] == "k" else other).value() for key in self.random.sample(("k1", "k2", "x1"), 2)}

        return Made(schema, value)

    def array(self, depth: int) -> Made:
        part = self.any(depth + 1)
        return Made(
            {"type": "array", "items": part.schema},
            lambda: [part.value() for _ in range(self.random.randint(0, 3))],
        )

    def tuple(self, depth: int) -> Made:
        parts = [self.any(depth + 1) for _ in range(self.random.randint(1, 3))]
        key = "prefixItems" if self.draft == "2020" else "items"
        schema: dict[str, Any] = {"type": "array", key: [part.schema for part in parts]}
        if self.plain:
            schema["items" if self.draft == "2020" else "additionalItems"] = False

        def value() -> list[Any]:
            found = [part.value() for part in parts][: self.random.randint(0, 3)]
            if self.plain:
                while found and found[-1] is None:
                    found.pop()
            elif self.random.random() < 0.2:
                found += [self.random.choice((None, "more", {"x": 1}))]
            return found

        return Made(schema, value)

    def referred(self, depth: int) -> Made:
        name = f"d{len(self.definitions)}"
        self.definitions[name] = {}
        made = self.any(depth + 1)
        self.definitions[name] = made.schema
        key = "definitions" if self.draft in ("4", "6", "7") else "$defs"
        schema: dict[str, Any] = {"$ref": f"#/{key}/{name}"}
        if not self.plain and self.random.random() < 0.3:
            schema["type"] = self.random.choice(("string", "object"))
        return Made(schema, made.value)

    def recursive(self, depth: int) -> Made:
        name = f"d{len(self.definitions)}"
        key = "definitions" if self.draft in ("4", "6", "7") else "$defs"
        self.definitions[name] = {
            "type": "object",
            "properties": {"n": {"type": "integer"}, "child": {"$ref": f"#/{key}/{name}"}},
        }

        def value(level: int = 0) -> dict[str, Any]:
            return {"n": level, **({"child": value(level + 1)} if level < self.random.randint(0, 4) else {})}

        return Made({"$ref": f"#/{key}/{name}"}, value)

    def all_of(self, depth: int) -> Made:
        one = self.object(depth + 1)
        one.schema.pop("additionalProperties", None)
        return Made({"allOf": [one.schema, {"type": "object"}]}, one.value)

    def mixed(self, depth: int) -> Made:
        kinds = self.random.sample(("string", "integer", "number", "boolean", "array", "object", "null"), 2)
        values = {
            "string": "x",
            "integer": 3,
            "number": 2.5,
            "boolean": True,
            "array": [1],
            "object": {"a": 1},
            "null": None,
        }
        return Made({"type": kinds}, lambda: values[self.random.choice(kinds)])

    def union(self, depth: int) -> Made:
        parts = [self.any(depth + 1) for _ in range(2)]
        return Made({"anyOf": [part.schema for part in parts]}, lambda: self.random.choice(parts).value())

    def objects_union(self, depth: int) -> Made:
        parts = [self.object(depth + 1) for _ in range(2)]
        key = self.random.choice(("oneOf", "anyOf"))
        schema = {"type": "object", key: [part.schema for part in parts], "properties": {"own": {"type": "integer"}}}
        return Made(schema, lambda: {**self.random.choice(parts).value()})

    def open(self, depth: int) -> Made:
        values: tuple[Any, ...] = ({}, {"a": [1, None, {"b": 2**64 - 1}]}, {"": "x"})
        lists: tuple[Any, ...] = ([], [1, "a", None], [[[]]])
        schema, choices = self.random.choice(
            [
                ({"type": "object"}, values),
                ({"type": "object", "properties": {}, "additionalProperties": False}, ({},)),
                ({"type": "object", "additionalProperties": True}, values),
                ({"type": "array"}, lists),
                ({}, (*values, *lists, 1, None, "x", 2.5, True)),
                ({"type": "null"}, (None,)),
            ]
        )
        return Made(dict(schema), lambda: self.random.choice(choices))

    def enumerated(self, depth: int) -> Made:
        values = self.random.choice((("a", "b", None), (1, 2.5), (True,), (1, "a"), ({"a": 1}, [])))
        if self.draft != "4" and self.random.random() < 0.3:
            return Made({"const": values[0]}, lambda: values[0])
        return Made({"enum": list(values)}, lambda: self.random.choice(values))

    def by_hint(self, depth: int) -> Made:
        schema, values = self.random.choice(
            (
                ({"minimum": -5}, (1, 2.5, "not a number")),
                ({"pattern": "x|^$"}, ("x", "", 5)),
                ({"items": {"type": "integer"}}, ([1], [], {"a": 1})),
                ({"minLength": 0, "minimum": 0}, ("x", 1)),
            )
        )
        return Made(dict(schema), lambda: self.random.choice(values))


def schemas(count: int, seed: int, plain: bool = False) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """`count` schemas, each with up to four documents that it lets in. Of every draft as many."""
    random = Random(seed)
    for number in range(count):
        generator = Generator(random, list(DRAFTS)[number % len(DRAFTS)], plain)
        made = generator.document()
        validator = jsonschema_rs.validator_for(made.schema, validate_formats=False)
        found = [made.value() for _ in range(4)]
        yield made.schema, [value for value in found if validator.is_valid(value)]
