"""A quick yes to documents that are surely valid; it never says no.

`acceptor_of` lays a schema out as numbered nodes for `_accept.c`, which walks a parsed document several times faster
than a validator: it only has to recognize the usual, valid document. Everything else, invalid or merely beyond it, is
left to jsonschema-rs, which alone refuses and explains. So each test here may be stricter than its keyword, in no case
laxer:

- an integer where only integers may stand is an `int`; whether 1.0 is one depends on the draft, so it is left;
- of `enum` and `const` only texts, integers, booleans and null are known, each equal to its own type only;
- bounds are compared up to 2^53, where doubles are exact;
- patterns are sequences of ASCII sets with counts, anchored or not, over printable ASCII (`patterns.py`);
- of `oneOf` only branches of different types are known, of which a value can fulfil one at most;
- keywords of the drafts that are not understood (`not`, `contains`, `if` …) leave each value that they may concern.
  Words of no draft, and those that only annotate, count for nothing, as for every validator.

Of drafts 4, 6 and 7; for other ones, and without a C compiler, there is no acceptor, and jsonschema-rs judges all.
Source of the keywords' meaning: JSON Schema Validation, drafts 4 to 7; the tests hold both judges together.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from catchment.schemas.patterns import Pattern, read_pattern

try:
    from catchment.schemas._accept import Acceptor
except ImportError:
    HAS_COMPILED = False
else:
    HAS_COMPILED = True

DRAFTS = tuple(f"http://json-schema.org/draft-{number}/schema" for number in ("04", "06", "07"))
NONE, BOOLEAN, INTEGER, NUMBER, STRING, LIST, DICT = (1 << number for number in range(7))
ANY = 127
"""Of a value: NUMBER is a float. Of `type`: "number" is both."""
_TYPES = {
    "null": NONE,
    "boolean": BOOLEAN,
    "integer": INTEGER,
    "number": INTEGER | NUMBER,
    "string": STRING,
    "array": LIST,
    "object": DICT,
}
_ANYTHING = -1
_EXACT = 2**53
_DOUBTS = {
    "multipleOf": INTEGER | NUMBER,
    "contentEncoding": STRING,
    "contentMediaType": STRING,
    "contentSchema": STRING,
    "contains": LIST,
    "minContains": LIST,
    "maxContains": LIST,
    "prefixItems": LIST,
    "unevaluatedItems": LIST,
    "dependencies": DICT,
    "dependentRequired": DICT,
    "dependentSchemas": DICT,
    "unevaluatedProperties": DICT,
    "disallow": ANY,
    "extends": ANY,
    "divisibleBy": INTEGER | NUMBER,
    "not": ANY,
    "if": ANY,
    "then": ANY,
    "else": ANY,
    "$recursiveRef": ANY,
    "$dynamicRef": ANY,
}
"""Keyword that is not understood → kinds of value that it may concern."""


class Node(NamedTuple):
    """What a schema asks of a value; numbers of nodes and patterns are their places, −1 for none. The order is that of
    `_accept.c`."""

    types: int = ANY
    doubts: int = 0
    values: tuple[Any, ...] | None = None
    least: float = -math.inf
    greatest: float = math.inf
    is_above: bool = False
    is_below: bool = False
    min_length: int = 0
    max_length: int = sys.maxsize
    pattern: int = -1
    min_items: int = 0
    max_items: int = sys.maxsize
    firsts: tuple[int, ...] = ()
    rest: int = _ANYTHING
    min_members: int = 0
    max_members: int = sys.maxsize
    required: tuple[str, ...] = ()
    properties: dict[str, int] = {}  # noqa: RUF012  never changed: `_replace` sets another
    matches: tuple[tuple[int, int], ...] = ()
    others: int = _ANYTHING
    names: int = _ANYTHING
    all: tuple[int, ...] = ()
    any: tuple[int, ...] = ()


def acceptor_of(document: dict[str, Any]) -> Callable[[Any], bool] | None:
    """A function that is True only for documents that are valid by this schema, which compiles. None when there is none
    for its draft or on this machine, or when it would accept nothing."""
    draft = document.get("$schema", DRAFTS[0])
    if not HAS_COMPILED or not isinstance(draft, str) or draft.rstrip("#") not in DRAFTS:
        return None
    nodes = _Nodes(document)
    if nodes.place_of(document) < 0 or not nodes.accepts_something:
        return None
    return Acceptor(tuple(map(tuple, nodes.nodes)), tuple(nodes.patterns))


class _Nodes:
    """All nodes of one schema; the whole is node 0."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.nodes: list[Node] = []
        self.patterns: list[Pattern] = []
        self._document = document
        self._has_ids = any(_ids_below(document))
        self._by_reference: dict[str, int] = {}
        self._pattern_places: dict[str, int] = {}

    @property
    def accepts_something(self) -> bool:
        root = self.nodes[0]
        return bool(root.types & ~root.doubts)

    def place_of(self, schema: Any) -> int:
        """The number of a subschema's node."""
        if schema is True or schema == {}:
            return _ANYTHING
        place = len(self.nodes)
        self.nodes.append(Node())
        self.nodes[place] = self._node(schema)
        return place

    def _node(self, schema: Any) -> Node:
        if not isinstance(schema, dict):
            return Node(types=0)
        if "$ref" in schema:
            return Node(all=(place,)) if (place := self._referred(schema)) is not None else Node(types=0)
        node = Node(types=_types(schema), doubts=_doubts(schema))
        for read in (_with_values, _with_bounds, _with_counts, self._with_texts, self._with_items, self._with_members):
            node = read(node, schema)
        if "oneOf" in schema:
            if "anyOf" in schema or not _are_apart(schema["oneOf"]):
                return Node(types=0)
            node = node._replace(any=self._places(schema["oneOf"]))
        if "anyOf" in schema:
            node = node._replace(any=self._places(schema["anyOf"]))
        return node._replace(all=self._places(schema.get("allOf", ())))

    def _referred(self, schema: dict[str, Any]) -> int | None:
        """The node of what `$ref` names; None when that is not plain: then nothing is accepted there."""
        name = schema["$ref"]
        if self._has_ids or not isinstance(name, str) or not name.startswith("#/definitions/") or "%" in name:
            return None
        target: Any = self._document
        for step in name[2:].split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or step not in target:
                return None
            target = target[step]
        if name not in self._by_reference:
            self._by_reference[name] = len(self.nodes)  # known before it is read: it may name itself
            if self.place_of(target) == _ANYTHING:
                self._by_reference[name] = _ANYTHING
        return self._by_reference[name]

    def _places(self, schemas: Iterable[Any]) -> tuple[int, ...]:
        return tuple(self.place_of(schema) for schema in schemas)

    def _pattern(self, text: Any) -> int | None:
        """The number of a pattern; None when it is not a plain one."""
        if text not in self._pattern_places:
            pattern = read_pattern(text)
            if pattern is None:
                return None
            self._pattern_places[text] = len(self.patterns)
            self.patterns.append(pattern)
        return self._pattern_places[text]

    def _with_texts(self, node: Node, schema: dict[str, Any]) -> Node:
        if "pattern" not in schema:
            return node
        place = self._pattern(schema["pattern"])
        return node._replace(doubts=node.doubts | STRING) if place is None else node._replace(pattern=place)

    def _with_items(self, node: Node, schema: dict[str, Any]) -> Node:
        items = schema.get("items", True)
        if isinstance(items, list):
            return node._replace(firsts=self._places(items), rest=self.place_of(schema.get("additionalItems", True)))
        return node._replace(rest=self.place_of(items))

    def _with_members(self, node: Node, schema: dict[str, Any]) -> Node:
        matches = []
        for text, inner in schema.get("patternProperties", {}).items():
            place = self._pattern(text)
            if place is None:
                return node._replace(doubts=node.doubts | DICT)
            matches.append((place, self.place_of(inner)))
        return node._replace(
            required=tuple(schema.get("required", ())),
            properties={name: self.place_of(inner) for name, inner in schema.get("properties", {}).items()},
            matches=tuple(matches),
            others=self.place_of(schema.get("additionalProperties", True)),
            names=self.place_of(schema.get("propertyNames", True)),
        )


def _types(schema: dict[str, Any]) -> int:
    named = schema.get("type", list(_TYPES))
    kinds = 0
    for name in [named] if isinstance(named, str) else named:
        kinds |= _TYPES.get(name, 0)
    return kinds


def _are_apart(branches: Iterable[Any]) -> bool:
    """Whether no value can fulfil two of these schemas, because their types differ. 1.0 may be an integer."""
    taken = 0
    for branch in branches:
        kinds = _types(branch) if isinstance(branch, dict) and "$ref" not in branch else ANY
        if kinds & INTEGER:
            kinds |= NUMBER
        if kinds & taken:
            return False
        taken |= kinds
    return True


def _doubts(schema: dict[str, Any]) -> int:
    doubts = 0
    for keyword, kinds in _DOUBTS.items():
        if keyword in schema:
            doubts |= kinds
    if schema.get("uniqueItems", False) is not False:
        doubts |= LIST
    return doubts


def _with_values(node: Node, schema: dict[str, Any]) -> Node:
    """`enum` and `const`; where both stand, none is accepted that is not in both."""
    given = [values for values in (schema.get("enum"), [schema["const"]] if "const" in schema else None) if values]
    if not given:
        return node
    plain = [[value for value in values if value is None or type(value) in (str, int, bool)] for values in given]
    return node._replace(values=tuple(plain[0] if len(plain) == 1 else ()))


def _with_bounds(node: Node, schema: dict[str, Any]) -> Node:
    """Draft 4 says that a bound is excluded with a boolean, the later ones have a bound of its own."""
    least, greatest = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum", False), schema.get("exclusiveMaximum", False)
    bounds = [bound for bound in (least, greatest, above, below) if bound is not None and type(bound) is not bool]
    if not all(type(bound) in (int, float) and abs(bound) < _EXACT for bound in bounds):
        return node._replace(doubts=node.doubts | INTEGER | NUMBER)
    lowest = [bound for bound in (least, above) if bound is not None and type(bound) is not bool]
    highest = [bound for bound in (greatest, below) if bound is not None and type(bound) is not bool]
    return node._replace(
        least=float(max(lowest, default=-math.inf)),
        greatest=float(min(highest, default=math.inf)),
        is_above=above is not False,
        is_below=below is not False,
    )


_COUNTS = {
    "minLength": ("min_length", STRING),
    "maxLength": ("max_length", STRING),
    "minItems": ("min_items", LIST),
    "maxItems": ("max_items", LIST),
    "minProperties": ("min_members", DICT),
    "maxProperties": ("max_members", DICT),
}


def _with_counts(node: Node, schema: dict[str, Any]) -> Node:
    for keyword, (name, kind) in _COUNTS.items():
        if keyword not in schema:
            continue
        count = schema[keyword]
        if type(count) is int and 0 <= count < _EXACT:
            changed: dict[str, Any] = {name: count}
            node = node._replace(**changed)
        else:
            node = node._replace(doubts=node.doubts | kind)
    return node


def _ids_below(schema: Any, is_root: bool = True) -> Iterable[bool]:
    """A True for each text below the root that may be an id: there, references mean something else."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key in ("id", "$id") and isinstance(value, str) and not is_root:
                yield True
            yield from _ids_below(value, is_root=False)
    elif isinstance(schema, list):
        for value in schema:
            yield from _ids_below(value, is_root=False)
