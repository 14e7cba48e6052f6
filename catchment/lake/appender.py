"""Code made for one shape: a function that walks a parsed document once and fills the places of its columns.

The function returns what had no place, nested at its path under its original names, or None:

- a key that the shape does not name;
- a misfit, a value of another type than its place or outside it: an integer beyond 64 bits, one in a double that it
  would round, a text that is no timestamp. The column is NULL there (in a map, the key is absent; in a list, the item
  is NULL, and what it was stands under its index). Misfits are counted by column;
- a timestamp's text that says more than the column holds (see `moments.py`), which then has its instant too;
- of a tuple, under their index: items behind the last position, and a null at its very end, which tells its length.

JSON nulls become NULLs; an absent key and a null cannot be told apart afterwards, except in maps, lists and tuples. A
float that is a whole number fits an integer column, because a schema's `integer` allows it.

The source is plain Python, one function a struct, map or list, made once a shape: it is what a reader of the profile
sees, and 3–5 times faster than walking the shape for each document. `_columns.c` does the same several times faster
where it could be compiled; `gatherer.py` chooses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import copysign
from typing import Any

import orjson

from catchment.lake.moments import read_date, read_timestamp
from catchment.lake.places import LeafPlace, ListPlace, MapPlace, Place, StructPlace
from catchment.schemas.shape import Leaf, ListOf, MapOf, Shape, Struct

Append = Callable[[dict[str, Any]], dict[str, Any] | None]
LONGEST_EXACT = 2**53
"""Up to here a double holds every integer."""

_TESTS = {
    "string": "v.__class__ is str",
    "integer": "v.__class__ is int and -9223372036854775808 <= v <= 9223372036854775807"
    " or v.__class__ is float and is_whole(v)",
    "number": f"v.__class__ is float or v.__class__ is int and -{LONGEST_EXACT} <= v <= {LONGEST_EXACT}",
    "boolean": "v.__class__ is bool",
    "timestamp": "(w := read_timestamp(v)) is not None",
    "date": "(w := read_date(v)) is not None",
    "json": "v is not None",
}
_APPENDED = {"integer": "int(v)", "timestamp": "w[0]", "date": "w", "json": "dumps(v).decode()"}


def make_appender(shape: Struct, place: StructPlace, misfits: Counter[str]) -> Append:
    """The function for documents of `shape`, filling `place.columns`. The shape must have columns. What does not fit
    is counted in `misfits`, by the path of its column."""
    return _Source(misfits).compile(shape, place)


class _Source:
    def __init__(self, misfits: Counter[str]) -> None:
        self._lines: list[str] = []
        self._names: dict[str, Any] = {
            "dumps": orjson.dumps,
            "put": _put,
            "is_whole": _is_whole,
            "read_date": read_date,
            "read_timestamp": read_timestamp,
            "misfits": misfits,
        }

    def compile(self, shape: Struct, place: StructPlace) -> Append:
        name = self._struct(shape, place, "")
        exec(compile("\n".join(self._lines), f"<appender of {len(self._lines)} lines>", "exec"), self._names)
        append: Append = self._names[name]
        return append

    def _struct(self, shape: Struct, place: StructPlace, path: str) -> str:
        """Emit the function of a struct; it returns the leftovers of one object."""
        body = ["g = o.get", "n = 0", "x = None"]
        for p in shape.properties:
            inner = f"{path}.{p.column}" if path else p.column
            test, append, null = self._value(p.shape, place.columns[p.name], inner)
            body += [f"v = g({p.name!r})", f"if {test}:", "    n += 1"]
            body += [f"    {line.replace('KEY', repr(p.name))}" for line in append]
            body += ["else:", f"    {null}", "    if v is not None:", "        n += 1"]
            body += [f"        {line.replace('KEY', repr(p.name))}" for line in _misfit(inner)]
        known = self._bind("known", frozenset(p.name for p in shape.properties))
        body += ["if n != len(o):", "    for k, v in o.items():"]
        body += [f"        if k not in {known}:", "            x = put(x, k, v)", "return x"]
        return self._function("struct", body)

    def _tuple(self, shape: Struct, place: StructPlace, path: str) -> str:
        body = ["n = len(o)", "x = None"]
        for number, p in enumerate(shape.properties):
            inner = f"{path}.{p.column}"
            test, append, null = self._value(p.shape, place.columns[p.name], inner)
            body += [f"v = o[{number}] if n > {number} else None", f"if {test}:"]
            body += [f"    {line.replace('KEY', repr(p.name))}" for line in append]
            body += ["else:", f"    {null}", "    if v is not None:"]
            body += [f"        {line.replace('KEY', repr(p.name))}" for line in _misfit(inner)]
        body += [f"for i in range({len(shape.properties)}, n):", "    x = put(x, str(i), o[i])"]
        body += ["if n and o[-1] is None:", "    x = put(x, str(n - 1), None)", "return x"]
        return self._function("tuple", body)

    def _map(self, shape: MapOf, place: MapPlace, path: str) -> str:
        slot, key = self._bind("slot", place.slots.append), self._bind("key", place.keys.append)
        test, append, _ = self._value(shape.value, place.value, path, always_present=True)
        body = ["x = None", "n = 0", "for k, v in o.items():", f"    if {test}:", f"        {key}(k)", "        n += 1"]
        body += [f"        {line.replace('KEY', 'k')}" for line in append]
        body += ["    elif v is None:", "        x = put(x, k, v)", "    else:"]
        body += [f"        {line.replace('KEY', 'k')}" for line in _misfit(path)]
        return self._function("map", [*body, f"{slot}(n)", "return x"])

    def _list(self, shape: ListOf, place: ListPlace, path: str) -> str:
        slot = self._bind("slot", place.slots.append)
        test, append, null = self._value(shape.item, place.item, path)
        body = [f"{slot}(len(o))", "x = None", "for i, v in enumerate(o):", f"    if {test}:"]
        body += [f"        {line.replace('KEY', 'str(i)')}" for line in append]
        body += ["    else:", f"        {null}", "        if v is not None:"]
        body += [f"            {line.replace('KEY', 'str(i)')}" for line in _misfit(path)]
        return self._function("list", [*body, "return x"])

    def _value(self, shape: Shape, place: Place, path: str, always_present: bool = False) -> tuple[str, list[str], str]:
        """For the value `v`: the test that it fits, the lines that append it, the line that appends its absence."""
        slot = self._bind("slot", place.slots.append)
        null = f"{slot}(None)"
        if isinstance(shape, Leaf):
            assert isinstance(place, LeafPlace)
            more = ["if w[1]:", "    x = put(x, KEY, v)"] if shape.kind == "timestamp" else []
            return _TESTS[shape.kind], [f"{slot}({_APPENDED.get(shape.kind, 'v')})", *more], null
        if isinstance(shape, Struct):
            assert isinstance(place, StructPlace)
            present = [] if always_present else [f"{slot}(True)"]
            made = (self._tuple if shape.is_tuple else self._struct)(shape, place, path)
            return f"v.__class__ is {'list' if shape.is_tuple else 'dict'}", [*present, *_inner(made)], null
        if isinstance(shape, MapOf):
            assert isinstance(place, MapPlace)
            return "v.__class__ is dict", _inner(self._map(shape, place, f"{path}{{}}")), null
        assert isinstance(place, ListPlace)
        return "v.__class__ is list", _inner(self._list(shape, place, f"{path}[]")), null

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


def _misfit(path: str) -> list[str]:
    return [f"misfits[{path!r}] += 1", "x = put(x, KEY, v)"]


def _is_whole(number: float) -> bool:
    """Whether an integer says the same; -0.0 is none."""
    return (
        -LONGEST_EXACT <= number <= LONGEST_EXACT
        and number.is_integer()
        and (number != 0.0 or copysign(1.0, number) > 0)
    )


def _put(leftovers: dict[str, Any] | None, key: str, value: Any) -> dict[str, Any]:
    if leftovers is None:
        return {key: value}
    leftovers[key] = value
    return leftovers
