"""What a change of a schema means: for its documents, and for its table.

    compare(old, new) ─┬─ documents   `constraints.py`: would one that was valid be refused?
                       └─ table       here: columns added, kept, moved to a column beside, left without values

Each change has a kind, a place and a verdict, so that a tool can print it and a registry can refuse it. What cannot be
decided counts as incompatible: a wrong yes refuses pings in the field, a wrong no costs a line of configuration.

| kind | table | compatible |
|---|---|---|
| added | a new column | yes |
| widened | integer → number: a column beside, `total__double`; the old one keeps its values | yes |
| narrowed | number → integer: the column stays a double | yes |
| removed | the column stays and is NULL from now on | no |
| renamed | a column would hold another property than before | no |
| retyped | a column beside, `total__string`; of text and JSON text, one column with both | no |

Paths are those of the document: `lines[].count`, `counters{}`, empty for the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from catchment.schemas.constraints import Constraint, constraints
from catchment.schemas.names import beside
from catchment.schemas.registry import Schema
from catchment.schemas.shape import Leaf, ListOf, MapOf, Property, Shape, Struct
from catchment.schemas.signature import outline

Kind = Literal["added", "widened", "narrowed", "removed", "renamed", "retyped", "relaxed", "tightened"]
_COMPATIBLE = {"added", "widened", "narrowed", "relaxed"}
_WORDS = {"integer": "long", "number": "double", "json": "json"}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `scope` is `documents` or `table`; `effect` says what becomes of the table (empty: nothing),
    `reason` what was met and why the verdict is so, `way_out` what to do when it is refused (empty otherwise)."""

    scope: Literal["documents", "table"]
    path: str
    kind: Kind
    effect: str
    reason: str
    way_out: str = ""

    @property
    def compatible(self) -> bool:
        return self.kind in _COMPATIBLE


@dataclass(frozen=True, slots=True)
class Comparison:
    """All changes from one form of a schema to another, those of the table first."""

    changes: tuple[Change, ...]

    @property
    def compatible(self) -> bool:
        """Whether the new form may take the old one's place under the same version."""
        return all(change.compatible for change in self.changes)

    @property
    def documents_compatible(self) -> bool:
        return all(change.compatible for change in self.changes if change.scope == "documents")

    @property
    def table_compatible(self) -> bool:
        return all(change.compatible for change in self.changes if change.scope == "table")

    def as_json(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "compatible": self.compatible,
            "documents_compatible": self.documents_compatible,
            "table_compatible": self.table_compatible,
            "changes": [{**asdict(change), "compatible": change.compatible} for change in self.changes],
        }


def compare(old: Schema, new: Schema) -> Comparison:
    """From `old` to `new`, two forms of one schema or two of its versions. Raises Incompatible when one cannot be
    read."""
    way_out = (
        f"make it a new version, {new.doctype}.{new.version + 1}.schema.json, which has a table of its own, or allow "
        f'it: [schemas] allow_incompatible = ["{new.namespace}.{new.doctype}"]'
    )
    return Comparison(
        (
            *(_with(way_out, change) for change in compare_shapes(old.shape, new.shape).changes),
            *(_with(way_out, change) for change in compare_documents(old.document, new.document).changes),
        )
    )


def compare_shapes(old: Struct, new: Struct) -> Comparison:
    """What the change means for the table alone."""
    return Comparison(tuple(_structs("", "", old, new)))


def compare_documents(old: Mapping[str, Any], new: Mapping[str, Any]) -> Comparison:
    """What the change means for documents alone: the parsed schemas, whole."""
    return Comparison(tuple(_of_documents(found) for found in constraints(old, new)))


def _with(way_out: str, change: Change) -> Change:
    if change.compatible:
        return change
    return Change(change.scope, change.path, change.kind, change.effect, change.reason, way_out)


def _of_documents(found: Constraint) -> Change:
    return Change("documents", found.path, "tightened" if found.is_tighter else "relaxed", "", found.reason)


def _structs(path: str, table: str, old: Struct, new: Struct) -> Iterator[Change]:
    """Changes inside a struct at `path` in the document and at `table` (with its dot) in the table."""
    before = {p.name: p for p in old.properties}
    after = {p.name: p for p in new.properties}
    for name, p in before.items():
        place, column = _inside(path, name), f"{table}{p.column}"
        now = after.get(name)
        if now is None:
            yield Change(
                "table",
                place,
                "removed",
                f"column {column} stays, NULL from now on; what is still sent goes to additional_properties",
                "the property is not declared any more, and queries of its column would find nothing new",
            )
        elif now.column != p.column:
            yield Change(
                "table",
                place,
                "renamed",
                f"its values go to column {table}{now.column} instead of {column}",
                f"another property is spelled like column {p.column} and takes it; rename that one",
            )
        else:
            yield from _values(place, column, p, now, p.shape, now.shape)
    for name, p in after.items():
        if name not in before:
            yield Change(
                "table",
                _inside(path, name),
                "added",
                f"column {table}{p.column} ({type_word(p.shape)}) is added; older rows are given what their "
                "additional_properties hold of it",
                "the property is new",
            )


def _values(path: str, column: str, old: Property, new: Property, was: Shape, now: Shape) -> Iterator[Change]:
    """Changes of the values at a place: those of the property itself, of its items, of its values."""
    if isinstance(was, Struct) and isinstance(now, Struct) and was.is_tuple == now.is_tuple:
        yield from _structs(path, f"{column}.", was, now)
    elif isinstance(was, ListOf) and isinstance(now, ListOf):
        yield from _values(f"{path}[]", f"{column}[]", old, new, was.item, now.item)
    elif isinstance(was, MapOf) and isinstance(now, MapOf):
        yield from _values(f"{path}{{}}", f"{column}{{}}", old, new, was.value, now.value)
    elif outline(was) != outline(now):
        yield _retyped(path, column, new, was, now)


def _retyped(path: str, column: str, new: Property, was: Shape, now: Shape) -> Change:
    words = type_word(was), type_word(now)
    second = beside(new.column, type_word(new.shape))
    moves = f"column {column} keeps its type and its values; from now on they go to {second} beside {new.column}"
    if words == ("long", "double"):
        return Change("table", path, "widened", moves, "every whole number is a number; a long cannot hold the others")
    if words == ("double", "long"):
        return Change("table", path, "narrowed", f"none: {column} stays a double", "every whole number is a number")
    reason = f"its type was {words[0]} and is {words[1]}"
    if set(words) == {"string", "json"}:
        kept = f"column {column} stays: older rows hold {words[0]} there, newer ones {words[1]}"
        return Change("table", path, "retyped", kept, f"{reason}, in one column of text that cannot be told apart")
    return Change("table", path, "retyped", moves, f"{reason}; a column keeps its type")


def type_word(shape: Shape) -> str:
    """The type of a place in one word, as in the name of a column beside: long, double, string, json, list, map."""
    if isinstance(shape, Leaf):
        return _WORDS.get(shape.kind, shape.kind)
    if isinstance(shape, Struct) and shape.is_tuple:
        return "tuple"
    return type(shape).__name__.lower().removesuffix("of")


def _inside(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
