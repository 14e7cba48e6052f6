"""Code made for one shape: a function that walks a parsed document once and fills the places of its columns.

The function returns what had no place, nested at its path under its original names, or None:

- a key that the shape does not name;
- a value of another type than its place, or outside it: an integer beyond 64 bits, one in a double that it would
  round, a float in an integer column. The column is NULL there (in a map, the key is absent; in a list, the item is
  NULL, and what it was stands under its index).

JSON nulls become NULLs; an absent key and a null cannot be told apart afterwards, except in maps and lists.

The source is plain Python, one function a struct, map or list, made once a shape: it is what a reader of the profile
sees, and 3–5 times faster than walking the shape for each document. `_columns.c` does the same several times faster
where it could be compiled; `gatherer.py` chooses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from catchment.lake.places import LeafPlace, ListPlace, MapPlace, Place, StructPlace
from catchment.schemas.shape import Leaf, ListOf, MapOf, Shape, Struct

Append = Callable[[dict[str, Any]], dict[str, Any] | None]
LONGEST_EXACT = 2**53
"""Up to here a double holds every integer."""

_TESTS = {
    "string": "v.__class__ is str",
    "integer": "v.__class__ is int and -9223372036854775808 <= v <= 9223372036854775807",
    "number": f"v.__class__ is float or v.__class__ is int and -{LONGEST_EXACT} <= v <= {LONGEST_EXACT}",
    "boolean": "v.__class__ is bool",
    "json": "v is not None",
}


def make_appender(shape: Struct, place: StructPlace) -> Append:
    """The function for documents of `shape`, filling `place.columns`. The shape must have columns."""
    return _Source().compile(shape, place)


class _Source:
    def __init__(self) -> None:
        self._lines: list[str] = []
        self._names: dict[str, Any] = {"dumps": orjson.dumps, "put": _put}

    def compile(self, shape: Struct, place: StructPlace) -> Append:
        name = self._struct(shape, place)
        exec(compile("\n".join(self._lines), f"<appender of {len(self._lines)} lines>", "exec"), self._names)
        append: Append = self._names[name]
        return append

    def _struct(self, shape: Struct, place: StructPlace) -> str:
        """Emit the function of a struct; it returns the leftovers of one object."""
        body = ["g = o.get", "n = 0", "x = None"]
        for p in shape.properties:
            inner = place.columns[p.name]
            test, append, null = self._value(p.shape, inner)
            body += [f"v = g({p.name!r})", f"if {test}:", "    n += 1"]
            body += [f"    {line.replace('KEY', repr(p.name))}" for line in append]
            body += ["else:", f"    {null}", "    if v is not None:", "        n += 1"]
            body += [f"        x = put(x, {p.name!r}, v)"]
        known = self._bind("known", frozenset(p.name for p in shape.properties))
        body += ["if n != len(o):", "    for k, v in o.items():"]
        body += [f"        if k not in {known}:", "            x = put(x, k, v)", "return x"]
        return self._function("struct", body)

    def _map(self, shape: MapOf, place: MapPlace) -> str:
        slot, key = self._bind("slot", place.slots.append), self._bind("key", place.keys.append)
        test, append, _ = self._value(shape.value, place.value, always_present=True)
        body = [
            "x = None",
            "n = 0",
            "for k, v in o.items():",
            f"    if {test}:",
            f"        {key}(k)",
            "        n += 1",
        ]
        body += [f"        {line.replace('KEY', 'k')}" for line in append]
        body += ["    else:", "        x = put(x, k, v)", f"{slot}(n)", "return x"]
        return self._function("map", body)

    def _list(self, shape: ListOf, place: ListPlace) -> str:
        slot = self._bind("slot", place.slots.append)
        test, append, null = self._value(shape.item, place.item)
        body = [f"{slot}(len(o))", "x = None", "for i, v in enumerate(o):", f"    if {test}:"]
        body += [f"        {line.replace('KEY', 'str(i)')}" for line in append]
        body += ["    else:", f"        {null}", "        if v is not None:", "            x = put(x, str(i), v)"]
        return self._function("list", [*body, "return x"])

    def _value(self, shape: Shape, place: Place, always_present: bool = False) -> tuple[str, list[str], str]:
        """For the value `v`: the test that it fits, the lines that append it, the line that appends its absence."""
        slot = self._bind("slot", place.slots.append)
        null = f"{slot}(None)"
        if isinstance(shape, Leaf):
            assert isinstance(place, LeafPlace)
            return _TESTS[shape.kind], [f"{slot}(dumps(v).decode())" if shape.kind == "json" else f"{slot}(v)"], null
        if isinstance(shape, Struct):
            assert isinstance(place, StructPlace)
            present = [] if always_present else [f"{slot}(True)"]
            return "v.__class__ is dict", [*present, *_inner(self._struct(shape, place))], null
        if isinstance(shape, MapOf):
            assert isinstance(place, MapPlace)
            return "v.__class__ is dict", _inner(self._map(shape, place)), null
        assert isinstance(place, ListPlace)
        return "v.__class__ is list", _inner(self._list(shape, place)), null

    def _function(self, kind: str, body: list[str]) -> str:
        name = self._fresh(kind)
        self._lines += [f"def {name}(o):", *(f"    {line}" for line in body)]
        return name

    def _bind(self, kind: str, value: Any) -> str:
        name = self._fresh(kind)
        self._names[name] = value
        return name

    def _fresh(self, kind: str) -> str:
        return f"{kind}_{len(self._names) + len(self._lines)}"


def _inner(function: str) -> list[str]:
    return [f"r = {function}(v)", "if r is not None:", "    x = put(x, KEY, r)"]


def _put(leftovers: dict[str, Any] | None, key: str, value: Any) -> dict[str, Any]:
    if leftovers is None:
        return {key: value}
    leftovers[key] = value
    return leftovers
