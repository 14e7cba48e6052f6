"""A schema as a person reads it: its fields in the order of the file, each with its rules and with its column.

`describe` makes the model that `catchment schema show`, `catchment schema docs` and the console's catalogue share. The
fields are a flat list; `depth` tells which is inside which. It takes schemas of any size and any shape, and follows
each `$ref` once on a way; behind MOST_FIELDS it stops. Source of the columns: `shape.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from catchment.schemas.nodes import ALTERNATIVES, Inner, Node, Nodes, kind_of
from catchment.schemas.registry import Schema
from catchment.schemas.shape import Leaf, ListOf, MapOf, Shape, Struct, properties_in

MOST_VALUES = 12
"""Values of an `enum` that a rule names, and kinds of values that a type names."""
MOST_DEPTH = 3
"""`array of array of array`: what is inside of more is not named."""
MOST_FIELDS = 20_000
"""As many schemas as the transpiler reads of a file."""
LEFT_OVER = "additional_properties"
IN_JSON = "in JSON text"
_WORDS = {"json": "string", "integer": "long", "number": "double", "timestamp": "timestamptz"}
_BOUNDS = (
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("exclusiveMinimum", "more than {}"),
    ("exclusiveMaximum", "less than {}"),
    ("multipleOf", "a multiple of {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("minProperties", "at least {} keys"),
    ("maxProperties", "at most {} keys"),
    ("format", "format {}"),
    ("pattern", "matches {}"),
)


@dataclass(frozen=True, slots=True)
class Field:
    """One place in a document.

    `name` is as it is sent; `*` is any other key of an object, `/…/` the keys that match, `[0]` a position of a tuple.
    `path` is the way to it from the top, `lines[].sku`, `counters{}`. `column` is where its value stands:
    `lines[].sku` in SQL's terms, the column of JSON text that holds it, or `additional_properties`; `column_type` is as
    `catchment describe` writes it, or `in JSON text` for what is a part of a column's text.
    """

    name: str
    path: str
    depth: int
    pointer: str
    types: str
    is_required: bool
    title: str
    description: str
    rules: tuple[str, ...]
    examples: tuple[str, ...]
    column: str
    column_type: str
    remark: str
    """Why the column is JSON text, or is not called after the field; empty otherwise."""


@dataclass(frozen=True, slots=True)
class Description:
    """A schema with all its fields. `draft` is the declared one, empty without; `examples` are JSON texts."""

    namespace: str
    doctype: str
    version: int
    table: str
    title: str
    description: str
    draft: str
    examples: tuple[str, ...]
    is_open: bool
    """Whether keys that the schema does not name are let in, at the top."""
    fields: tuple[Field, ...]

    @property
    def name(self) -> str:
        """`shop.order.1`"""
        return f"{self.namespace}.{self.doctype}.{self.version}"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the values of a node go: their shape, or None when they are in the text of the column."""

    column: str
    shape: Shape | None
    remark: str = ""


def describe(schema: Schema) -> Description:
    """The readable model of a schema. Raises Incompatible when its file cannot be read."""
    document = schema.document
    nodes = Nodes(document)
    top = nodes.read(document)
    return Description(
        schema.namespace,
        schema.doctype,
        schema.version,
        schema.table,
        _text(top, "title"),
        _text(top, "description"),
        str(document.get("$schema", "")),
        _texts(document.get("examples")),
        top.keywords.get("additionalProperties") is not False,
        tuple(islice(_inside(nodes, top, _Place("", schema.shape), "", 0), MOST_FIELDS)),
    )


def columns_of(shape: Struct) -> dict[str, str]:
    """Every column and nested field of a shape with its type, in the order of the table: `{"lines": "list<struct>",
    "lines[].sku": "string"}`."""
    return {path: type_of(member.shape) for path, member in properties_in(shape)}


def type_of(shape: Shape) -> str:
    """The type of a column, as `catchment describe` writes it."""
    if isinstance(shape, ListOf):
        return f"list<{type_of(shape.item)}>"
    if isinstance(shape, MapOf):
        return f"map<string, {type_of(shape.value)}>"
    return _WORDS.get(shape.kind, shape.kind) if isinstance(shape, Leaf) else "struct"


def _inside(nodes: Nodes, node: Node, place: _Place, path: str, depth: int) -> Iterator[Field]:
    """The fields of a node's objects, through arrays."""
    item = node.item
    if item is not None and "array" in node.kinds:
        inner = nodes.read(*item)
        if not inner.is_circular:
            shape = place.shape.item if isinstance(place.shape, ListOf) else None
            column = f"{place.column}[]" if shape is not None else place.column
            yield from _inside(nodes, inner, _Place(column, shape), f"{path}[]", depth)
        return
    for number, position in enumerate(node.positions):
        name = f"[{number}]"
        yield from _field(nodes, position, name, f"{path}{name}", depth, False, _within(place, str(number)))
    required = _list(node.keywords.get("required"))
    for name, inside in node.properties.items():
        way = f"{path}.{name}" if path else name
        yield from _field(nodes, inside, name, way, depth, name in required, _within(place, name))
    for pattern, value in node.values():
        name = f"/{pattern}/" if pattern else "*"
        yield from _field(nodes, value, name, f"{path}{{{pattern}}}", depth, False, _within(place, name))


def _field(
    nodes: Nodes, inner: Inner, name: str, path: str, depth: int, is_required: bool, place: _Place
) -> Iterator[Field]:
    node = nodes.read(*inner)
    yield Field(
        name,
        path,
        depth,
        node.pointer,
        types_of(nodes, node),
        is_required,
        _text(node, "title"),
        _text(node, "description"),
        _rules(node),
        _texts(node.keywords.get("examples")),
        place.column,
        type_of(place.shape) if place.shape is not None else IN_JSON,
        place.remark,
    )
    if not node.is_circular:
        yield from _inside(nodes, node, place, path, depth + 1)


def _within(outer: _Place, name: str) -> _Place:
    """Where the values of a key of an object, or of a position of a tuple, go."""
    if isinstance(outer.shape, MapOf):
        return _Place(f"{outer.column}{{}}", outer.shape.value)
    if not isinstance(outer.shape, Struct):
        return _Place(outer.column or LEFT_OVER, None)
    if name == outer.shape.client_id:
        return _Place("client_id", Leaf("string"))
    member = next((member for member in outer.shape.properties if member.name == name), None)
    if member is None:
        return _Place(LEFT_OVER, None)
    column = f"{outer.column}.{member.column}" if outer.column else member.column
    return _Place(column, member.shape, member.reason or member.renamed)


def types_of(nodes: Nodes, node: Node, depth: int = 0) -> str:
    """`integer or null`, `array of string`, `map of integer`, `any`."""
    kinds = node.kinds
    if not kinds and depth < MOST_DEPTH:
        parts = [part for key in ALTERNATIVES for part in _list(node.keywords.get(key))][:MOST_VALUES]
        words = [types_of(nodes, nodes.read(part, node.steps, node.seen), depth + 1) for part in parts]
        return " or ".join(dict.fromkeys(words)) or "any"
    return " or ".join(_word(nodes, node, kind, depth) for kind in kinds) or "any"


def _word(nodes: Nodes, node: Node, kind: str, depth: int) -> str:
    if kind == "array" and node.positions:
        return "tuple"
    if node.is_circular or depth >= MOST_DEPTH:
        return kind
    if kind == "array" and node.item is not None:
        return f"array of {types_of(nodes, nodes.read(*node.item), depth + 1)}"
    values = [inner for _, inner in node.values()][:MOST_VALUES]
    if kind == "object" and not node.properties and values:
        words = [types_of(nodes, nodes.read(*inner), depth + 1) for inner in values]
        return f"map of {' or '.join(dict.fromkeys(words))}"
    return kind


def _rules(node: Node) -> tuple[str, ...]:
    keywords = node.keywords
    rules = [words.format(keywords[key]) for key, words in _BOUNDS if _is_plain(keywords.get(key))]
    values = keywords.get("enum")
    if isinstance(values, list):
        shown = ", ".join(_texts(values[:MOST_VALUES]))
        more = f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else ""
        rules.append(f"one of {shown}{more}")
    if "const" in keywords:
        rules.append(f"always {_dumped(keywords['const'])}")
    if keywords.get("uniqueItems") is True:
        rules.append("no item twice")
    if node.properties and keywords.get("additionalProperties") is False:
        rules.append("no other keys")
    if node.is_circular:
        rules.append("as the object that it is in")
    return tuple(rules)


def _is_plain(value: Any) -> bool:
    return kind_of(value) in ("string", "integer", "number")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(node: Node, key: str) -> str:
    text = node.keywords.get(key)
    return " ".join(text.split()) if isinstance(text, str) else ""


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(_dumped(value) for value in _list(values))


def _dumped(value: Any) -> str:
    return orjson.dumps(value).decode()
