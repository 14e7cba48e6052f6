"""What a JSON Schema says of the values at a place, taken together from every keyword that speaks of them.

`read` turns a schema of any draft into a tree of `Reading`s. Keywords that hold together (`$ref`, `allOf`, a schema
beside its `oneOf`) are joined by `both`, alternatives (`type` lists, `oneOf`, `anyOf`, `then` and `else`) by `either`.
A type that is left out is taken from the keywords that only make sense for one (`properties`, `items`, `pattern`,
`enum` …). Nothing is refused, and a wrong guess loses nothing: what does not fit its column is kept elsewhere.

Limits, beyond which nothing is said (`kind` json): `MAX_DEPTH` levels of values, `MAX_NESTED` schemas within each
other, `MAX_SCHEMAS` in all, so that a small file of references cannot become millions of columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import zip_longest
from typing import Any

from catchment.schemas.references import REFERENCES, References, escaped

MAX_DEPTH = 12
MAX_NESTED = 100
MAX_SCHEMAS = 20_000
_TEXTS = {"date-time": "timestamp", "date": "date"}
"""Formats of strings that are types of their own."""
_HINTS = {
    "object": (
        *("properties", "patternProperties", "additionalProperties", "unevaluatedProperties", "required"),
        *("propertyNames", "minProperties", "maxProperties", "dependencies", "dependentRequired", "dependentSchemas"),
    ),
    "array": (
        *("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains"),
        *("minItems", "maxItems", "uniqueItems"),
    ),
    "string": ("pattern", "minLength", "maxLength", "format", "contentEncoding", "contentMediaType"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a value. `kind` is one of

    string, integer, number, boolean, timestamp, date      a scalar
    object     `fields` by name, and `value` for the keys that have no name of their own
    array      of `item`s, or a tuple of `positions`
    json       several of these, or none that can be told: `reason` says why
    any        nothing is said
    null       nothing but null
    never      `false`: never there at all
    """

    kind: str
    types: frozenset[str] = frozenset()
    """JSON types that the schema allows; empty for any."""
    reason: str = ""
    description: str = ""
    pointer: str = ""
    fields: Mapping[str, Reading] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    value: Reading | None = None
    item: Reading | None = None
    positions: tuple[Reading, ...] | None = None


ANY = Reading("any")


def read(schema: Mapping[str, Any]) -> Reading:
    """What the schema says of a document."""
    return _Reader(schema).read(schema, "#", 0, frozenset())


class _Reader:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._references = References(root)
        self._read = 0

    def read(self, schema: Any, at: str, depth: int, above: frozenset[int]) -> Reading:
        """`depth` counts levels of values, `above` are the schemas that this one stands in or is referred to from."""
        if schema is False:
            return Reading("never", pointer=at)
        if not isinstance(schema, Mapping):
            return replace(ANY, pointer=at)
        self._read += 1
        if id(schema) in above:
            return _unknown("a $ref that comes back to itself", at)
        if depth > MAX_DEPTH or len(above) > MAX_NESTED:
            return _unknown(f"deeper than {MAX_DEPTH} levels", at)
        if self._read > MAX_SCHEMAS:
            return _unknown(f"behind the first {MAX_SCHEMAS:,} schemas of the file", at)
        above |= {id(schema)}
        found = ANY
        for key in REFERENCES:
            if key in schema:
                found = both(found, self._referred(schema, schema[key], at, depth, above))
        if not (found is not ANY and self._references.stand_alone):
            found = self._all_of(schema, found, at, depth, above)
        return replace(found, description=_description(schema) or found.description, pointer=at)

    def _referred(
        self, schema: Mapping[str, Any], reference: Any, at: str, depth: int, above: frozenset[int]
    ) -> Reading:
        target = self._references.resolve(schema, reference)
        if target is None:
            return _unknown(f"a $ref to {reference}, which is not in the file", at)
        return self.read(*target, depth, above)

    def _all_of(
        self, schema: Mapping[str, Any], referred: Reading, at: str, depth: int, above: frozenset[int]
    ) -> Reading:
        """All that the schema says by itself, joined with what it refers to."""
        found = both(self._own(schema, at, depth, above), referred)
        for number, part in enumerate(_list(schema, "allOf")):
            found = both(found, self.read(part, f"{at}/allOf/{number}", depth, above))
        for key in ("oneOf", "anyOf"):
            parts = [
                self.read(part, f"{at}/{key}/{number}", depth, above) for number, part in enumerate(_list(schema, key))
            ]
            found = both(found, _either(parts))
        if "if" in schema:
            parts = [self.read(schema[key], f"{at}/{key}", depth, above) for key in ("then", "else") if key in schema]
            found = both(found, _either(parts))
        for key in ("dependencies", "dependentSchemas"):
            for name, part in _mapping(schema, key).items():
                if isinstance(part, Mapping):
                    found = both(found, self.read(part, f"{at}/{key}/{escaped(name)}", depth, above))
        return found

    def _own(self, schema: Mapping[str, Any], at: str, depth: int, above: frozenset[int]) -> Reading:
        types = _types(schema)
        if not types:
            return ANY
        parts = [self._of_type(name, schema, at, depth, above) for name in types]
        return replace(_either(parts), types=frozenset(types))

    def _of_type(self, name: str, schema: Mapping[str, Any], at: str, depth: int, above: frozenset[int]) -> Reading:
        types = frozenset((name,))
        if name == "object":
            fields = {
                key: self.read(part, f"{at}/properties/{escaped(key)}", depth + 1, above)
                for key, part in _mapping(schema, "properties").items()
            }
            required = frozenset(key for key in _list(schema, "required") if isinstance(key, str))
            value = self._values(schema, at, depth, above)
            return Reading(name, types, fields=fields, required=required, value=value)
        if name == "array":
            for key in ("prefixItems", "items"):
                if parts := _list(schema, key):
                    read_ = [self.read(part, f"{at}/{key}/{n}", depth + 1, above) for n, part in enumerate(parts)]
                    return Reading(name, types, positions=tuple(read_))
            for key in ("items", "unevaluatedItems"):
                if isinstance(schema.get(key), Mapping):
                    return Reading(name, types, item=self.read(schema[key], f"{at}/{key}", depth + 1, above))
        if name == "string" and isinstance(schema.get("format"), str):
            return Reading(_TEXTS.get(schema["format"], name), types)
        return Reading(name, types)

    def _values(self, schema: Mapping[str, Any], at: str, depth: int, above: frozenset[int]) -> Reading | None:
        """What is said of keys that are not named; None for nothing."""
        patterns = _mapping(schema, "patternProperties")
        places = [(part, f"{at}/patternProperties/{escaped(key)}") for key, part in patterns.items()]
        places += [(schema.get(key), f"{at}/{key}") for key in ("additionalProperties", "unevaluatedProperties")]
        parts = [
            self.read(part, where, depth + 1, above) for part, where in places if isinstance(part, Mapping) and part
        ]
        return _either(parts) if parts else None


def both(one: Reading, other: Reading) -> Reading:
    """What is known of a value of which both are true. Where they disagree, the first one counts."""
    if other.kind == "any" and not other.description:
        return one
    described = one.description or other.description
    if one.kind == "any" or (one.kind == "json" and other.kind != "any"):
        return replace(other, description=described)
    one = replace(one, description=described)
    if {one.kind, other.kind} == {"integer", "number"}:
        return one if one.kind == "integer" else replace(one, kind="integer", types=other.types)
    if one.kind == "string" and other.kind in ("timestamp", "date"):
        return replace(one, kind=other.kind)
    if one.kind == other.kind == "object":
        return _joined(one, other, both, one.required | other.required)
    if one.kind == other.kind == "array":
        return _joined_arrays(one, other, both)
    return one


def either(one: Reading, other: Reading) -> Reading:
    """What is known of a value of which at least one is true."""
    if one.kind == "never" or other.kind == "never":
        return other if one.kind == "never" else one
    if one.kind == "null" or other.kind == "null":
        left, nothing = (other, one) if one.kind == "null" else (one, other)
        return replace(left, types=left.types | nothing.types) if left.types else left
    if one.kind == "any" or other.kind == "any":
        return replace(one, kind="any", types=frozenset())
    kinds = {one.kind, other.kind}
    whole = replace(
        one, types=one.types | other.types, description=one.description or other.description, reason=one.reason
    )
    if kinds == {"object"}:
        return _joined(whole, other, either, one.required & other.required)
    if kinds == {"array"} and (one.positions is None) == (other.positions is None):
        return _joined_arrays(whole, other, either)
    if kinds == {"array"} and one.item is None and other.item is None:
        return replace(whole, positions=one.positions or other.positions)
    if len(kinds) == 1 and "array" not in kinds:
        return whole
    if kinds == {"integer", "number"}:
        return replace(whole, kind="number")
    if kinds <= {"string", "timestamp", "date"}:
        return replace(whole, kind="string")
    known = other.reason if other.kind == "json" and one.kind != "json" else one.reason
    reason = known if known and not known.startswith(_MIXED) else f"{_MIXED}{type_text(whole.types)}"
    return Reading("json", whole.types, reason, whole.description, one.pointer)


_MIXED = "values of several types: "


def _joined(one: Reading, other: Reading, join: Any, required: frozenset[str]) -> Reading:
    fields = dict(one.fields)
    for name, inner in other.fields.items():
        fields[name] = join(fields[name], inner) if name in fields else inner
    return replace(one, fields=fields, required=required, value=_known(one.value, other.value, join))


def _joined_arrays(one: Reading, other: Reading, join: Any) -> Reading:
    positions = one.positions if other.positions is None else other.positions
    if one.positions is not None and other.positions is not None:
        positions = tuple(_known(*pair, join) for pair in zip_longest(one.positions, other.positions))
    return replace(one, positions=positions, item=_known(one.item, other.item, join))


def _known(one: Reading | None, other: Reading | None, join: Any) -> Any:
    if one is None or other is None:
        return other if one is None else one
    return join(one, other)


def _either(parts: Iterable[Reading]) -> Reading:
    parts = list(parts)
    return reduce(either, parts) if parts else ANY


def _unknown(reason: str, at: str) -> Reading:
    return Reading("json", reason=reason, pointer=at)


def type_text(types: Iterable[str]) -> str:
    """JSON types in one order: `string or null`."""
    return " or ".join(sorted(types, key=_TYPES.index)) or "any"


def _types(schema: Mapping[str, Any]) -> list[str]:
    """The JSON types of the values, as declared or as the other keywords tell; [] when they tell nothing."""
    declared = schema.get("type")
    if declared is not None:
        listed = [declared] if isinstance(declared, str) else declared if isinstance(declared, list) else []
        return [name for name in dict.fromkeys(_texts(listed)) if name in _TYPES]
    values = _list(schema, "enum") or ([schema["const"]] if "const" in schema else [])
    if values:
        return list(dict.fromkeys(_type_of(value) for value in values))
    told = [name for name, keywords in _HINTS.items() if any(key in schema for key in keywords)]
    return told if len(told) == 1 else []


def _texts(values: Iterable[Any]) -> list[str]:
    return [value for value in values if isinstance(value, str)]


def _type_of(value: Any) -> str:
    for name, types in (("boolean", bool), ("string", str), ("integer", int), ("number", float), ("array", list)):
        if isinstance(value, types):
            return name
    return "null" if value is None else "object"


def _list(schema: Mapping[str, Any], key: str) -> list[Any]:
    """A keyword's list; empty when it is absent or no list, which then does not compile anyway."""
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _mapping(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = schema.get(key)
    return value if isinstance(value, Mapping) else {}


def _description(schema: Mapping[str, Any]) -> str:
    text = schema.get("description") or schema.get("title")
    return " ".join(text.split()) if isinstance(text, str) else ""
