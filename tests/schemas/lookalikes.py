"""Documents that a schema of the trade would mostly take, made up from it, and mutants of them."""

from __future__ import annotations

import copy
import random
import re
from typing import Any

TEXTS = (
    "",
    "a",
    "release",
    "61.0a1",
    "2026-11-25T15:00:00.000Z",
    "1234567890",
    "20180328030202",
    "c641eacf-c30c-4171-b403-f077724e848a",
    "{c641eacf-c30c-4171-b403-f077724e848a}",
    "a_b.c",
    "0",
    "12",
    "two\nlines",
    "é",
    "x" * 120,
    "0123456789abcdef" * 4,
)
NUMBERS = (0, 1, -1, 2, 7, 100, 2**31, 2**53, 2**63, 2**64 - 1, 0.0, 1.0, 1.5, -3.25, 1e300)
ODD = (None, True, False, {}, [], [{}], {"a": 1}, [1, 1], *NUMBERS, *TEXTS)
MOST_LEVELS = 12


def lookalike(schema: Any, chance: random.Random, levels: int = MOST_LEVELS) -> Any:
    """A document of the schema's types; patterns, sizes and bounds are met by luck."""
    if not isinstance(schema, dict) or levels == 0:
        return chance.choice(ODD)
    if "enum" in schema and chance.random() < 0.95:
        return copy.deepcopy(chance.choice(schema["enum"]))
    for keyword in ("oneOf", "anyOf"):
        if keyword in schema:
            return lookalike({**chance.choice(schema[keyword])}, chance, levels - 1)
    kinds = schema.get("type", "object" if "properties" in schema else list(KINDS))
    kind = kinds if isinstance(kinds, str) else chance.choice(kinds)
    return KINDS[kind](schema, chance, levels)


def _text(schema: dict[str, Any], chance: random.Random, levels: int) -> str:
    most = schema.get("maxLength", 200)
    return _fitting(TEXTS, schema.get("pattern"), chance)[:most]


def _fitting(texts: tuple[str, ...], pattern: str | None, chance: random.Random) -> str:
    fitting = [text for text in texts if pattern is None or re.search(pattern, text)]
    return chance.choice(fitting or texts)


def _integer(schema: dict[str, Any], chance: random.Random, levels: int) -> Any:
    number = chance.choice(NUMBERS) if chance.random() < 0.05 else chance.randrange(0, 50)
    return max(min(number, schema.get("maximum", number)), schema.get("minimum", number))


def _number(schema: dict[str, Any], chance: random.Random, levels: int) -> Any:
    return chance.choice(NUMBERS) if chance.random() < 0.5 else _integer(schema, chance, levels)


def _list(schema: dict[str, Any], chance: random.Random, levels: int) -> list[Any]:
    items = schema.get("items", {"type": "string"})
    if isinstance(items, list):
        return [lookalike(item, chance, levels - 1) for item in items]
    length = min(max(chance.randrange(0, 4), schema.get("minItems", 0)), schema.get("maxItems", 9))
    return [lookalike(items, chance, levels - 1) for _ in range(length)]


def _object(schema: dict[str, Any], chance: random.Random, levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    required = set(schema.get("required", ()))
    for name, inner in schema.get("properties", {}).items():
        if name in required or chance.random() < 0.5:
            made[name] = lookalike(inner, chance, levels - 1)
    more = schema.get("additionalProperties", True)
    for pattern, inner in (
        *schema.get("patternProperties", {}).items(),
        *([(None, more)] if more is not False else ()),
    ):
        for _ in range(chance.randrange(0, 3)):
            names = schema.get("propertyNames")
            name = _fitting(TEXTS, pattern or (names.get("pattern") if isinstance(names, dict) else None), chance)
            made[name] = lookalike(inner if isinstance(inner, dict) else {"type": "string"}, chance, levels - 1)
    return made


KINDS: dict[str, Any] = {
    "null": lambda schema, chance, levels: None,
    "boolean": lambda schema, chance, levels: chance.random() < 0.5,
    "integer": _integer,
    "number": _number,
    "string": _text,
    "array": _list,
    "object": _object,
}


def mutated(document: Any, chance: random.Random) -> Any:
    """A copy in which one value, key or item is another, or gone, or more."""
    mutant = copy.deepcopy(document)
    places = list(_containers(mutant))
    if not places or chance.random() < 0.02:
        return chance.choice(ODD)
    place = chance.choice(places)
    if isinstance(place, list):
        at = chance.randrange(len(place) + 1)
        if at < len(place) and chance.random() < 0.3:
            del place[at]
        elif at < len(place) and chance.random() < 0.6:
            place[at] = copy.deepcopy(chance.choice(ODD))
        else:
            place.insert(at, copy.deepcopy(chance.choice(ODD)))
        return mutant
    if place and chance.random() < 0.7:
        key = chance.choice(list(place))
        if chance.random() < 0.3:
            del place[key]
        else:
            place[key] = copy.deepcopy(chance.choice(ODD))
    else:
        place[chance.choice(TEXTS)] = copy.deepcopy(chance.choice(ODD))
    return mutant


def _containers(value: Any) -> list[Any]:
    found: list[Any] = []
    if isinstance(value, dict | list):
        found.append(value)
        for inner in value.values() if isinstance(value, dict) else value:
            found += _containers(inner)
    return found
