"""Whether a schema still accepts what another one accepted, decided keyword by keyword.

The question has no complete answer that is quick, so this one errs to one side: a keyword that changed and has no rule
here counts as tighter. Both schemas are walked together, with `$ref` and `allOf` written out where that is exact.
Notes (`title`, `format`, `default` …) and words that are no keywords are no constraints: no validator reads them.

One rule is kinder than the letter: a property that is newly declared counts as looser, although an object that was open
took any value under that name. Else no schema could ever gain a property.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catchment.schemas.vocabulary import ASSERTIONS

_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_GREATEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
_ALL = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_LIMITS = frozenset({"additionalProperties", "additionalItems", "items", "unevaluatedProperties", "unevaluatedItems"})
"""What they say depends on the keywords beside them."""
_NEVER: Mapping[str, Any] = {"not": {}}
_DETAIL_CHARACTERS = 60

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Constraint:
    """One rule that changed at a place of the document."""

    path: str
    is_tighter: bool
    """Whether documents that were valid there may be refused now, as far as can be told."""
    reason: str


def constraints(old: Schema, new: Schema) -> list[Constraint]:
    """The rules that changed from `old` to `new`, parsed schemas, whole."""
    if _same(old, new):
        return []
    found = list(_Walk(old, new).compare("", old, new))
    if old.get("$schema") != new.get("$schema"):
        found.append(Constraint("", True, "the draft ($schema) changed, by which all rules are read"))
    return list(dict.fromkeys(found))


class _Walk:
    def __init__(self, old: Schema, new: Schema) -> None:
        self._roots = (old, new)
        self._compared: set[tuple[str, str]] = {("#", "#")}
        """Pairs of references: each is told of where it is met first, so that circles end."""

    def compare(self, path: str, old: Any, new: Any) -> Iterator[Constraint]:
        pair = _pointer(old), _pointer(new)
        if any(pair):
            if pair in self._compared:
                return
            self._compared.add(pair)
        before, after = self._written_out(old, 0), self._written_out(new, 1)
        for keyword in sorted((before.keys() | after.keys()) & ASSERTIONS):
            yield from self._keyword(path, keyword, before, after)

    def _keyword(self, path: str, keyword: str, before: Schema, after: Schema) -> Iterator[Constraint]:
        was, now = before.get(keyword), after.get(keyword)
        if keyword in before and keyword in after and self._means_the_same(was, now, frozenset()):
            return
        rule = getattr(self, f"_{keyword}", None) if keyword in _RULES else None
        if rule is not None:
            yield from rule(path, before, after)
        elif keyword in _LEAST or keyword in _GREATEST:
            yield from _bound(path, keyword, was, now)
        elif keyword not in after:
            yield Constraint(path, False, f"{keyword} {_shown(was)} is gone")
        else:
            told = f"is {_shown(now)}, was {_shown(was)}" if keyword in before else f"{_shown(now)} is new"
            yield Constraint(path, True, f"{keyword} {told}; what it accepted cannot be shown to be accepted still")

    def _means_the_same(self, was: Any, now: Any, seen: frozenset[str]) -> bool:
        """Whether two equal texts also point to equal things."""
        if not _same(was, now):
            return False
        targets = set(_pointers(was)) - seen
        return all(
            self._means_the_same(_resolved(self._roots[0], target), _resolved(self._roots[1], target), seen | targets)
            for target in targets
        )

    def _type(self, path: str, before: Schema, after: Schema) -> Iterator[Constraint]:
        was, now = _types(before), _types(after)
        lost = {kind for kind in was - now if not (kind == "integer" and "number" in now)}
        gained = {kind for kind in now - was if not (kind == "integer" and "number" in was)}
        if lost:
            yield Constraint(path, True, f"type {_listed(lost)} is not accepted any more, only {_listed(now)}")
        elif gained:
            yield Constraint(path, False, f"type {_listed(gained)} is accepted as well")

    def _required(self, path: str, before: Schema, after: Schema) -> Iterator[Constraint]:
        was, now = set(_list(before, "required")), set(_list(after, "required"))
        for name in sorted(now - was, key=str):
            yield Constraint(_inside(path, name), True, "it is required now")
        for name in sorted(was - now, key=str):
            yield Constraint(_inside(path, name), False, "it is not required any more")

    def _properties(self, path: str, before: Schema, after: Schema) -> Iterator[Constraint]:
        was, now = _mapping(before, "properties"), _mapping(after, "properties")
        for name in was.keys() & now.keys():
            yield from self.compare(_inside(path, name), was[name], now[name])
        for name in sorted(now.keys() - was.keys()):
            yield Constraint(_inside(path, name), False, "it is declared now")
        rest = after.get("additionalProperties", True)
        for name in sorted(was.keys() - now.keys()):
            if rest is True or _same(rest, {}):
                yield Constraint(_inside(path, name), False, "it is not declared any more: anything is accepted")
            else:
                yield Constraint(_inside(path, name), True, "it is not declared any more, and others are limited")

    def _patternProperties(self, path: str, before: Schema, after: Schema) -> Iterator[Constraint]:
        was, now = _mapping(before, "patternProperties"), _mapping(after, "patternProperties")
        for pattern in was.keys() & now.keys():
            yield from self.compare(f"{path}{{}}", was[pattern], now[pattern])
        for pattern in sorted(now.keys() - was.keys()):
            yield Constraint(f"{path}{{}}", False, f"names like {pattern!r} are declared now")
        for pattern in sorted(was.keys() - now.keys()):
            is_open = after.get("additionalProperties", True) in (True, {})
            yield Constraint(f"{path}{{}}", not is_open, f"names like {pattern!r} are not declared any more")

    def _additionalProperties(self, path: str, before: Schema, after: Schema) -> Iterator[Constraint]:
        yield from self._rest(f"{path}{{}}", "additionalProperties", before, after)

    def _additionalItems(self, path: str, before: Schema, after: Schema) -> Iterator[Constraint]:
        yield from self._rest(f"{path}[]", "additionalItems", before, after)

    def _rest(self, path: str, keyword: str, before: Schema, after: Schema) -> Iterator[Constraint]:
        was, now = before.get(keyword, True), after.get(keyword, True)
        if now is False and was is not False:
            yield Constraint(path, True, f"{keyword} is false now: what is not declared is refused")
        elif was is False and now is not False:
            yield Constraint(path, False, f"{keyword} is not false any more: what is not declared is accepted")
        else:
            yield from self.compare(path, was, now)

    def _items(self, path: str, before: Schema, after: Schema) -> Iterator[Constraint]:
        was, now = before.get("items", True), after.get("items", True)
        if isinstance(was, list) or isinstance(now, list):
            if isinstance(was, list) and isinstance(now, list):
                yield from self._positions(path, "items", was, now)
            else:
                yield Constraint(f"{path}[]", True, "items changed between one rule for all and one for each position")
        else:
            yield from self.compare(f"{path}[]", was, now)

    def _prefixItems(self, path: str, before: Schema, after: Schema) -> Iterator[Constraint]:
        yield from self._positions(path, "prefixItems", _list(before, "prefixItems"), _list(after, "prefixItems"))

    def _positions(self, path: str, keyword: str, was: Sequence[Any], now: Sequence[Any]) -> Iterator[Constraint]:
        if len(was) != len(now):
            yield Constraint(f"{path}[]", True, f"{keyword} has {len(now)} positions, had {len(was)}")
        for position, (one, other) in enumerate(zip(was, now, strict=False)):
            yield from self.compare(f"{path}[{position}]", one, other)

    def _enum(self, path: str, before: Schema, after: Schema) -> Iterator[Constraint]:
        was, now = _choices(before), _choices(after)
        if was == now:
            return
        if now is None:
            yield Constraint(path, False, "any value is accepted, not only those of a list")
        elif was is None:
            yield Constraint(path, True, f"only {_listed(now)} is accepted now")
        elif lost := was - now:
            yield Constraint(path, True, f"{_listed(lost)} is not accepted any more")
        else:
            yield Constraint(path, False, f"{_listed(now - was)} is accepted as well")

    _const = _enum

    def _allOf(self, path: str, before: Schema, after: Schema) -> Iterator[Constraint]:
        was, now = _list(before, "allOf"), _list(after, "allOf")
        if len(now) > len(was):
            yield Constraint(path, True, f"allOf has {len(now)} parts, had {len(was)}")
        for one, other in zip(was, now, strict=False):
            yield from self.compare(path, one, other)

    def _anyOf(self, path: str, before: Schema, after: Schema) -> Iterator[Constraint]:
        if "anyOf" not in after:
            yield Constraint(path, False, "anyOf is gone")
            return
        was, now = [_canonical(part) for part in _list(before, "anyOf")], _list(after, "anyOf")
        known = {_canonical(part) for part in now}
        if was and set(was) <= known:
            if len(known) > len(set(was)):
                yield Constraint(path, False, "anyOf has more alternatives")
        elif was and len(was) <= len(now):
            for one, other in zip(_list(before, "anyOf"), now, strict=False):
                yield from self.compare(path, one, other)
        else:
            yield Constraint(path, True, f"anyOf has {len(now)} alternatives, had {len(was)}")

    def _multipleOf(self, path: str, before: Schema, after: Schema) -> Iterator[Constraint]:
        was, now = before.get("multipleOf"), after.get("multipleOf")
        fits = isinstance(was, int) and isinstance(now, int) and now != 0 and was % now == 0
        if now is None or fits:
            yield Constraint(path, False, f"multipleOf is {_shown(now)}, was {_shown(was)}")
        else:
            yield Constraint(path, True, f"multipleOf is {_shown(now)}, was {_shown(was)}")

    def _uniqueItems(self, path: str, before: Schema, after: Schema) -> Iterator[Constraint]:
        was, now = before.get("uniqueItems", False), after.get("uniqueItems", False)
        if was != now:
            yield Constraint(path, bool(now), f"items {'must' if now else 'need not'} be unique")

    def _written_out(self, schema: Any, side: int) -> dict[str, Any]:
        """The schema with `$ref` and `allOf` merged into it as far as they do not collide; the rest under `allOf`."""
        if isinstance(schema, bool):
            return {} if schema else dict(_NEVER)
        if not isinstance(schema, Mapping):
            return {}
        flat: dict[str, Any] = {}
        rest: list[Any] = []
        self._merge(flat, rest, schema, side, ())
        return {**flat, "allOf": rest} if rest else flat

    def _merge(self, flat: dict[str, Any], rest: list[Any], schema: Schema, side: int, seen: tuple[str, ...]) -> None:
        own = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        if _goes_with(flat, own):
            for key, value in own.items():
                if key in ("properties", "patternProperties") and isinstance(value, Mapping):
                    flat[key] = {**_mapping(flat, key), **value}
                elif key == "required" and isinstance(value, list):
                    flat[key] = [*_list(flat, key), *value]
                else:
                    flat[key] = value
        else:
            rest.append(own)
        pointer = _pointer(schema)
        if pointer and pointer not in seen:
            target = _resolved(self._roots[side], pointer)
            if isinstance(target, Mapping):
                self._merge(flat, rest, target, side, (*seen, pointer))
            else:
                rest.append({"$ref": pointer})
        for part in _list(schema, "allOf"):
            if isinstance(part, Mapping):
                self._merge(flat, rest, part, side, seen)
            else:
                rest.append(part)


_RULES = frozenset(
    {
        "type",
        "required",
        "properties",
        "patternProperties",
        "additionalProperties",
        "additionalItems",
        "items",
        "prefixItems",
        "enum",
        "const",
        "allOf",
        "anyOf",
        "multipleOf",
        "uniqueItems",
    }
)


def _goes_with(flat: Schema, own: Schema) -> bool:
    """Whether the rules of both can stand in one schema and mean the same."""
    rules, more = flat.keys() & ASSERTIONS, own.keys() & ASSERTIONS
    if not rules or not more:
        return True
    if (rules | more) & _LIMITS:
        return False
    return all(
        key == "required"
        or _same(flat[key], own[key])
        or (key == "properties" and not _mapping(flat, key).keys() & _mapping(own, key).keys())
        for key in rules & more
    )


def _bound(path: str, keyword: str, was: Any, now: Any) -> Iterator[Constraint]:
    told = f"{keyword} is {_shown(now)}, was {_shown(was)}"
    if now is None or now is False:
        yield Constraint(path, False, told)
    elif was is None or isinstance(was, bool) or isinstance(now, bool):
        yield Constraint(path, True, told)
    else:
        looser: Callable[[Any, Any], bool] = (lambda a, b: a <= b) if keyword in _LEAST else (lambda a, b: a >= b)
        yield Constraint(path, not looser(now, was), told)


def _types(schema: Schema) -> set[str]:
    declared = schema.get("type")
    if declared is None:
        return set(_ALL)
    return {declared} if isinstance(declared, str) else {kind for kind in declared if isinstance(kind, str)}


def _choices(schema: Schema) -> set[str] | None:
    if "const" in schema:
        return {_canonical(schema["const"])}
    return {_canonical(value) for value in _list(schema, "enum")} if "enum" in schema else None


def _resolved(root: Any, pointer: str) -> Any:
    found = root
    for step in pointer[1:].split("/")[1:] if pointer.startswith("#") else (None,):
        if step is None:
            return None
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found


def _pointer(schema: Any) -> str:
    pointer = schema.get("$ref") if isinstance(schema, Mapping) else None
    return pointer if isinstance(pointer, str) else ""


def _pointers(value: Any) -> Iterator[str]:
    """Every `$ref` in a part of a schema."""
    if isinstance(value, Mapping):
        yield from filter(None, (_pointer(value),))
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _pointers(inner)


def _list(schema: Schema, key: str) -> list[Any]:
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _mapping(schema: Schema, key: str) -> Mapping[str, Any]:
    value = schema.get(key)
    return value if isinstance(value, Mapping) else {}


def _same(one: Any, other: Any) -> bool:
    return one is other or _canonical(one) == _canonical(other)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _shown(value: Any) -> str:
    return "absent" if value is None else _cut(_canonical(value))


def _cut(text: str) -> str:
    return text if len(text) <= _DETAIL_CHARACTERS else f"{text[:_DETAIL_CHARACTERS]} …"


def _listed(values: set[str]) -> str:
    return _cut(", ".join(sorted(values)))


def _inside(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
