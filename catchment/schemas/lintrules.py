"""The rules of `lint.py`: their codes, and those that judge one subschema or one column.

A rule yields `Raw`: code, pointer, message. Its severity is that of its code:

- error: the platform refuses the file, or the file refuses every document
- warning: the table or the answers will not be what the author expects
- advice: the schema would be better to read or to query
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jsonschema_rs

from catchment.schemas.names import is_sql_word
from catchment.schemas.nodes import Node, Nodes, Steps, kind_of, types_in
from catchment.schemas.pointers import pointer_of
from catchment.schemas.shape import Property, Struct, properties_in
from catchment.schemas.vocabulary import CONDITIONS, FORMATS, KEYWORDS, subschemas

ERROR, WARNING, ADVICE = "error", "warning", "advice"
LARGEST = 2**63 - 1
_NUMBERS = ("integer", "number")
_PAIRS = (
    ("minimum", "maximum"),
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minProperties", "maxProperties"),
)
ANNOTATIONS = frozenset({"comment"})
"""Words of many authors' own, near to a keyword and not meant to be one."""
_REASONS = (
    ("a $ref that comes back", "recursive"),
    ("deeper than", "too_deep"),
    ("behind the first", "too_deep"),
    ("values of several types", "mixed_types"),
    ("an object without", "open_object"),
    ("an array without", "open_array"),
)
"""How the transpiler's reasons for JSON text begin, and their codes; any other is `untyped`."""
_ADVICE = {
    "open_object": "; give it properties, or one type of values",
    "open_array": "; give its items one type",
    "untyped": "; give it a type",
}
_PARTS = ("allOf", "anyOf", "oneOf", "then", "else", "definitions", "$defs")
_CAMEL, _SNAKE = re.compile(r"[a-z0-9][A-Z]"), re.compile(r"[A-Za-z0-9]_[A-Za-z0-9]")


class Rule(NamedTuple):
    severity: str
    meaning: str


RULES = {
    "not_json": Rule(ERROR, "The file is no JSON object."),
    "not_a_schema": Rule(ERROR, "It is JSON, but no schema of its draft: the place and the rule of the draft."),
    "name_twice": Rule(ERROR, "An object of the file has a name twice; only the last one would count."),
    "pattern_invalid": Rule(ERROR, "A regular expression cannot be compiled."),
    "reference_remote": Rule(ERROR, "A `$ref` leads out of the file; nothing is ever fetched."),
    "reference_to_nothing": Rule(ERROR, "A `$ref` leads to nothing."),
    "draft_unknown": Rule(ERROR, "`$schema` names a draft that is not known."),
    "file_name": Rule(ERROR, "The file is not called `<doctype>.<version>.schema.json`, so it is never loaded."),
    "table_shared": Rule(ERROR, "Two files would have one table; only one of them is loaded."),
    "matches_nothing": Rule(
        ERROR, "No value can satisfy it: limits that exclude each other, a root that is no object."
    ),
    "matches_everything": Rule(WARNING, "The root says nothing about a document, so whatever is sent is let in."),
    "draft_missing": Rule(WARNING, "No `$schema`: the file is read as draft 4."),
    "misspelled": Rule(WARNING, "A word that is no keyword, but nearly one: it has no effect."),
    "format_unknown": Rule(WARNING, "A `format` that no draft knows."),
    "example_invalid": Rule(WARNING, "One of the schema's own `examples` that the schema refuses."),
    "required_unknown": Rule(WARNING, "A required name that `properties` does not describe."),
    "enum_mixed": Rule(WARNING, "An `enum` of values of several types, which have no common column."),
    "column_renamed": Rule(WARNING, "Two names become one column, or a name is that of a column that every table has."),
    "integer_too_wide": Rule(WARNING, "An integer may be beyond 64 bits; such values go to `additional_properties`."),
    "open_object": Rule(WARNING, "An object whose keys are not described: its column is JSON text."),
    "open_array": Rule(WARNING, "An array whose items are not described: its column is JSON text."),
    "mixed_types": Rule(WARNING, "Values of types that do not go together: the column is JSON text."),
    "untyped": Rule(WARNING, "Nothing tells the type: the column is JSON text."),
    "recursive": Rule(WARNING, "A `$ref` to what it is in: the column is JSON text."),
    "too_deep": Rule(WARNING, "Deeper than a table goes, or behind more than it holds: the column is JSON text."),
    "definition_unused": Rule(WARNING, "A definition to which nothing refers."),
    "title_missing": Rule(WARNING, "The schema has no title and no description."),
    "folder_name": Rule(ADVICE, "The folder is not called after the doctype; the file's name counts."),
    "sql_reserved": Rule(ADVICE, "The column's name is a word of SQL and must be quoted in queries."),
    "mixed_case": Rule(ADVICE, "An object has names in camelCase and in snake_case."),
    "description_missing": Rule(ADVICE, "A property has no title and no description."),
    "additional_unspecified": Rule(
        ADVICE, "`additionalProperties` is not said: names that are not described are let in, untyped."
    ),
    "integer_unbounded": Rule(ADVICE, "An integer has no minimum and no maximum."),
}
"""Code → severity and meaning, from the gravest on. Codes are stable."""
DO_NOT_COMPILE = ("reference_remote", "reference_to_nothing", "pattern_invalid")
"""Errors that are the reason why a file does not compile, told better than the compiler does."""


class Raw(NamedTuple):
    code: str
    pointer: str
    message: str
    line: int = 0
    """0: that of the pointer."""


@dataclass(frozen=True, slots=True)
class Subschema:
    """A subschema of a file. `is_place` says whether a value of its own is described by it alone: not where it is a
    part of `allOf`, an alternative, or a condition."""

    nodes: Nodes
    schema: Mapping[str, Any]
    steps: Steps
    is_place: bool
    is_property: bool


def each_subschema(nodes: Nodes) -> Iterator[Subschema]:
    """Every subschema of a file once, the whole first."""

    def walk(schema: Any, steps: Steps, keyword: str, in_condition: bool) -> Iterator[Subschema]:
        if not isinstance(schema, Mapping):
            return
        in_condition = in_condition or keyword in CONDITIONS
        is_place = not in_condition and keyword not in _PARTS
        yield Subschema(nodes, schema, steps, is_place, is_place and keyword == "properties")
        for inner, place, key in subschemas(schema, steps):
            yield from walk(inner, place, key, in_condition)

    yield from walk(nodes.root, (), "", False)


def of_subschema(subschema: Subschema) -> Iterator[Raw]:
    """What can be said of a subschema by itself."""
    yield from _of_reference(subschema)
    yield from _of_words(subschema)
    yield from _of_patterns(subschema)
    yield from _of_limits(subschema)
    yield from _of_parts(subschema)
    yield from _of_values(subschema)
    if not subschema.is_place:
        return
    node = subschema.nodes.read(subschema.schema, subschema.steps)
    yield from _of_required(node)
    yield from _of_numbers(node)
    if "properties" in subschema.schema:
        yield from _of_case(node)
        if not {"additionalProperties", "unevaluatedProperties"} & set(node.keywords):
            yield Raw("additional_unspecified", node.pointer, "say additionalProperties: false, or true on purpose")
    if subschema.is_property and not any(isinstance(node.keywords.get(key), str) for key in ("title", "description")):
        yield Raw("description_missing", node.pointer, f"say what {subschema.steps[-1]} is")


def _of_reference(subschema: Subschema) -> Iterator[Raw]:
    reference = subschema.schema.get("$ref")
    if not isinstance(reference, str):
        return
    pointer = pointer_of((*subschema.steps, "$ref"))
    if subschema.nodes.target(subschema.schema) is not None:
        return
    if not reference.startswith("#"):
        message = (
            f"{reference} is outside of the file, and nothing is ever fetched; copy what it points to into the file"
        )
        yield Raw("reference_remote", pointer, message)
    else:
        yield Raw("reference_to_nothing", pointer, f"there is nothing at {reference} in this file")


def _of_words(subschema: Subschema) -> Iterator[Raw]:
    for word in map(str, subschema.schema):
        near = [] if word in KEYWORDS or word in ANNOTATIONS else difflib.get_close_matches(word, KEYWORDS, 1, 0.85)
        if near:
            yield Raw("misspelled", pointer_of((*subschema.steps, word)), f"{word} is no keyword; write {near[0]}")
    form = subschema.schema.get("format")
    if isinstance(form, str) and form not in FORMATS:
        near = difflib.get_close_matches(form, FORMATS, 1, 0.8)
        advice = f"; write {near[0]}" if near else "; leave it out or say it in the description"
        yield Raw(
            "format_unknown", pointer_of((*subschema.steps, "format")), f"{form} is no format of any draft{advice}"
        )


def _of_patterns(subschema: Subschema) -> Iterator[Raw]:
    held = subschema.schema.get("patternProperties")
    patterns: list[tuple[Steps, Any]] = [((*subschema.steps, "pattern"), subschema.schema.get("pattern"))]
    if isinstance(held, Mapping):
        patterns += [((*subschema.steps, "patternProperties", name), name) for name in held]
    for steps, pattern in patterns:
        if isinstance(pattern, str) and _pattern(pattern) is None:
            yield Raw("pattern_invalid", pointer_of(steps), f"{pattern} is no regular expression")


@lru_cache(256)
def _pattern(pattern: str) -> Any:
    """A validator of texts that match; None for what is no regular expression."""
    try:
        return jsonschema_rs.Draft7Validator({"pattern": pattern})
    except jsonschema_rs.ValidationError:
        return None


def _of_limits(subschema: Subschema) -> Iterator[Raw]:
    schema = subschema.schema
    for low, high in _PAIRS:
        least, most = schema.get(low), schema.get(high)
        if isinstance(least, int | float) and isinstance(most, int | float) and least > most:
            yield Raw("matches_nothing", pointer_of((*subschema.steps, low)), f"{low} {least} is over {high} {most}")
    held = schema.get("properties")
    required = schema.get("required")
    if not isinstance(held, Mapping) or not isinstance(required, list):
        return
    for name in required:
        if isinstance(name, str) and held.get(name) is False:
            yield Raw(
                "matches_nothing",
                pointer_of((*subschema.steps, "properties", name)),
                f"{name} is required, and no value of it is allowed",
            )


def _of_parts(subschema: Subschema) -> Iterator[Raw]:
    """Parts of `allOf` that no value can satisfy together, by their types."""
    parts = subschema.schema.get("allOf")
    if not isinstance(parts, list):
        return
    left: set[str] | None = None
    for part in [subschema.schema, *parts]:
        kinds = set(subschema.nodes.read(part, subschema.steps).declared)
        kinds |= {"integer"} if "number" in kinds else set()
        if kinds:
            left = kinds if left is None else left & kinds
    if left == set():
        message = "its parts have no type in common: every value would be refused"
        yield Raw("matches_nothing", pointer_of((*subschema.steps, "allOf")), message)


def _of_values(subschema: Subschema) -> Iterator[Raw]:
    values = subschema.schema.get("enum")
    if not isinstance(values, list):
        return
    pointer = pointer_of((*subschema.steps, "enum"))
    kinds = {kind_of(value) for value in values} - {"null"}
    if len(kinds) > 1 and kinds != {"integer", "number"}:
        yield Raw("enum_mixed", pointer, f"has values of types {', '.join(sorted(kinds))}")
    allowed = set(types_in(subschema.schema))
    allowed |= {"integer"} if "number" in allowed else set()
    if allowed and not any(kind_of(value) in allowed for value in values):
        yield Raw("matches_nothing", pointer, f"no value of it is of type {' or '.join(sorted(allowed))}")


def _of_required(node: Node) -> Iterator[Raw]:
    required = node.keywords.get("required")
    patterns = node.keywords.get("patternProperties")
    for name in required if isinstance(required, list) else ():
        if not isinstance(name, str) or name in node.properties or _matches(name, patterns):
            continue
        pointer = pointer_of((*node.steps, "required"))
        if node.keywords.get("additionalProperties") is False:
            yield Raw("matches_nothing", pointer, f"{name} is required, and not among the properties that are allowed")
        elif node.properties:
            near = difflib.get_close_matches(name, node.properties, 1, 0.8)
            yield Raw("required_unknown", pointer, f"{name} is not described" + (f"; {near[0]} is" if near else ""))


def _matches(name: str, patterns: Any) -> bool:
    held = [_pattern(pattern) for pattern in patterns] if isinstance(patterns, Mapping) else []
    return any(pattern is None or pattern.is_valid(name) for pattern in held)


def _of_numbers(node: Node) -> Iterator[Raw]:
    if "integer" not in node.kinds or "enum" in node.keywords:
        return
    bounds = [
        node.keywords[key] for key in ("maximum", "exclusiveMaximum") if kind_of(node.keywords.get(key)) in _NUMBERS
    ]
    lowest = [key for key in ("minimum", "exclusiveMinimum") if key in node.keywords]
    if bounds and max(bounds) > LARGEST:
        yield Raw("integer_too_wide", node.pointer, f"up to {max(bounds)}, a column holds up to {LARGEST}")
    elif not bounds and not lowest:
        yield Raw("integer_unbounded", node.pointer, "say minimum or maximum, so that what is impossible is refused")


def _of_case(node: Node) -> Iterator[Raw]:
    camel = [name for name in node.properties if _CAMEL.search(name) and not _SNAKE.search(name)]
    snake = [name for name in node.properties if _SNAKE.search(name) and not _CAMEL.search(name)]
    if camel and snake:
        few, many = sorted((camel, snake), key=len)
        form = "camelCase" if few is camel else "snake_case"
        shown = ", ".join(few[:3]) + (f" and {len(few) - 3} more" if len(few) > 3 else "")
        message = f"{shown}: {form} among {len(many)} names that are not"
        yield Raw("mixed_case", pointer_of((*node.steps, "properties")), message)


def in_columns(shape: Struct) -> Iterator[Raw]:
    """What the transpiler makes of a schema that its author may not expect: its own reasons, each place once."""
    told = set()
    for path, member in properties_in(shape):
        for raw in _of_column(path, member):
            if raw[:2] not in told:
                told.add(raw[:2])
                yield raw


def _of_column(path: str, member: Property) -> Iterator[Raw]:
    if member.renamed:
        yield Raw("column_renamed", member.pointer, f"{member.renamed}: the column is {member.column}")
    if is_sql_word(member.column):
        yield Raw("sql_reserved", member.pointer, f'write the column as "{member.column}" in SQL')
    if member.reason:
        code = next((code for begin, code in _REASONS if member.reason.startswith(begin)), "untyped")
        advice = _ADVICE.get(code, "")
        yield Raw(code, member.pointer, f"{member.reason}: it is JSON text in column {path}{advice}")
