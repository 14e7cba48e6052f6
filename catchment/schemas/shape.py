"""From a JSON Schema to the shape of a table: a tree of typed places for what a document may hold.

| in the schema | in the table |
|---|---|
| object with `properties` | struct of them; other keys have no place |
| object with only `additionalProperties` or `patternProperties` of a type | map from text |
| array of `items` of a type | list |
| tuple: `prefixItems`, or `items` as an array | struct of `_0`, `_1` … |
| string, integer, number, boolean | string, int64, double, boolean |
| string of format `date-time`, `date` | timestamp in µs, date |
| anything of several types, anything open, a `$ref` that comes back to itself | the JSON text, a string |
| a property of schema `false`, which is never there | no place |

`reading.py` puts together what the schema says; docs/schemas.md tells every rule with an example. What has no place
goes to the column `additional_properties`; see `lake/columns.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from catchment.schemas.names import column_names, snake_case
from catchment.schemas.reading import Reading, read, type_text

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value: `kind` is string, integer, number, boolean, timestamp, date, or json (any value, as text)."""

    kind: str
    reason: str = field(default="", compare=False)
    """Of json: why it has no type."""


@dataclass(frozen=True, slots=True)
class ListOf:
    item: Shape


@dataclass(frozen=True, slots=True)
class MapOf:
    """Keys are texts."""

    value: Shape


@dataclass(frozen=True, slots=True)
class Property:
    """A place in a struct: `name` in the document, `column` in the table. In a tuple, `name` is the position."""

    name: str
    column: str
    shape: Shape
    description: str = ""
    is_required: bool = field(default=False, compare=False)
    type: str = field(default="", compare=False)
    """JSON types that the schema allows, `string or null`; `any`."""
    pointer: str = field(default="", compare=False)
    """Where the schema speaks of it, `#/properties/a`."""
    renamed: str = field(default="", compare=False)
    """Why the column is not called as `snake_case` would; empty when it is."""

    @property
    def reason(self) -> str:
        """Why it, its items or its values are JSON text; empty when they have types."""
        shape = self.shape
        while isinstance(shape, ListOf | MapOf):
            shape = shape.item if isinstance(shape, ListOf) else shape.value
        return shape.reason if isinstance(shape, Leaf) else ""


@dataclass(frozen=True, slots=True)
class Struct:
    properties: tuple[Property, ...]
    client_id: str | None = None
    """At the top: the property that the table's column `client_id` holds instead of a place of its own."""
    is_tuple: bool = False
    """Whether the document has an array here, its items by position."""


Shape = Leaf | ListOf | MapOf | Struct
JSON_TEXT = Leaf("json")


def shape_of(schema: Document, reserved: Iterable[str] = ()) -> Struct:
    """The shape of documents of `schema`; `reserved` are column names that the table has already.

    Never refuses: what it cannot type is JSON text, and a schema that is no object has no columns at all.
    """
    found = read(schema)
    return _struct(found, frozenset(reserved)) if found.kind == "object" else Struct(())


def properties_in(shape: Shape, path: str = "") -> Iterator[tuple[str, Property]]:
    """Every property inside a shape, outer ones first, with the path of its column: `lines[].sku`, `tags{}.n`."""
    if isinstance(shape, ListOf):
        yield from properties_in(shape.item, f"{path}[]")
    elif isinstance(shape, MapOf):
        yield from properties_in(shape.value, f"{path}{{}}")
    elif isinstance(shape, Struct):
        for p in shape.properties:
            inner = f"{path}.{p.column}" if path else p.column
            yield inner, p
            yield from properties_in(p.shape, inner)


def _struct(found: Reading, reserved: Collection[str]) -> Struct:
    shapes = {name: shape for name, inner in found.fields.items() if (shape := _shape(inner)) is not None}
    columns = column_names(shapes, reserved)
    return Struct(
        tuple(
            Property(
                name,
                columns[name],
                shape,
                found.fields[name].description,
                name in found.required,
                type_text(found.fields[name].types),
                found.fields[name].pointer,
                _renamed(name, columns, reserved),
            )
            for name, shape in shapes.items()
        )
    )


def _renamed(name: str, columns: Mapping[str, str], reserved: Collection[str]) -> str:
    wanted = snake_case(name)
    if columns[name] == wanted:
        return ""
    if wanted in reserved:
        return f"every table has a column {wanted}"
    other = next(other for other, column in columns.items() if column == wanted)
    return f"{wanted} is the column of property {other!r}"


def _shape(found: Reading) -> Shape | None:
    """The place of the values; None when there are never any."""
    if found.kind == "never":
        return None
    if found.kind == "null":
        return Leaf("json", "never anything but null")
    if found.kind == "object":
        struct = _struct(found, ())
        return struct if struct.properties else _map(found)
    if found.kind == "array":
        return _array(found)
    if found.kind in ("any", "json"):
        return Leaf("json", found.reason or "nothing is said of its type")
    return Leaf(found.kind)


def _map(found: Reading) -> Shape:
    value = found.value
    shape = _shape(value) if value is not None and value.kind != "any" else None
    return MapOf(shape) if shape is not None else Leaf("json", "an object without properties or a type for its values")


def _array(found: Reading) -> Shape:
    if found.positions:
        properties = tuple(_position(number, inner) for number, inner in enumerate(found.positions))
        return Struct(properties, is_tuple=True)
    item = found.item
    shape = _shape(item) if item is not None and item.kind != "any" else None
    return ListOf(shape) if shape is not None else Leaf("json", "an array without a type for its items")


def _position(number: int, found: Reading) -> Property:
    shape = _shape(found) or Leaf("json", "an item that is never there")
    return Property(
        str(number), f"_{number}", shape, found.description, type=type_text(found.types), pointer=found.pointer
    )
