"""Appending many small objects at once: the histograms of a ping, its add-ons, its devices.

For an object whose values are plain (leaves, maps of leaves, lists of leaves) a column of all the objects is one list
comprehension and one check of its types, which costs a quarter of walking the objects one by one. The function made
here does all of them or nothing: it returns False, having changed nothing, when one value does not fit or one key is
not in the shape, and then the objects are walked after all.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, chain
from typing import Any

from catchment.lake.places import ListPlace, MapPlace, StructPlace
from catchment.schemas.shape import Leaf, ListOf, MapOf, Shape, Struct

NONE = type(None)
LONGEST_EXACT = 2**53
FEWEST = 4
"""With fewer objects than this the fixed cost is more than what is saved."""

_ALLOWED: dict[str, set[type]] = {
    "string": {str, NONE},
    "integer": {int, NONE},
    "boolean": {bool, NONE},
    "number": {int, float, NONE},
}
Bind = Callable[[str, Any], str]


def names() -> dict[str, Any]:
    """What the made code calls."""
    return {
        "NONE": NONE,
        "DICT": {dict},
        "LIST": {list},
        "chain": chain.from_iterable,
        "starts": _starts,
        "dict_values": dict.values,
        "fits": _fits,
    }


def is_plain(shape: Shape) -> bool:
    """Whether `emit` can do it: a struct of leaves, maps of leaves and lists of leaves."""
    return isinstance(shape, Struct) and all(
        isinstance(p.shape, Leaf)
        or (isinstance(p.shape, MapOf) and _is_checked(p.shape.value))
        or (isinstance(p.shape, ListOf) and _is_checked(p.shape.item))
        for p in shape.properties
    )


def _is_checked(shape: Shape) -> bool:
    return isinstance(shape, Leaf) and shape.kind != "json"


def emit(shape: Struct, place: StructPlace, bind: Bind) -> list[str]:
    """The body of a function of `d`, a list of dicts: append them all to the struct's columns, or return False."""
    check: list[str] = ["n = 0"]
    extend: list[str] = []
    for number, p in enumerate(shape.properties):
        inner = place.columns[p.name]
        c = f"c{number}"
        slots = bind("slots", inner.slots)
        check.append(f"{c} = [o.get({p.name!r}) for o in d]")
        if isinstance(p.shape, Leaf):
            check += _leaf(p.shape, c)
            extend.append(f"{slots}.extend({c})")
            continue
        if isinstance(p.shape, MapOf):
            assert isinstance(inner, MapPlace)
            kind, target, full, inside = p.shape.value, inner.value.slots, "DICT", f"map(dict_values, f{number})"
            extend.append(f"{bind('keys', inner.keys)}.extend(chain(f{number}))")
        else:
            assert isinstance(p.shape, ListOf)
            assert isinstance(inner, ListPlace)
            kind, target, full, inside = p.shape.item, inner.item.slots, "LIST", f"f{number}"
        assert isinstance(kind, Leaf)
        values = bind("values", target)
        allowed = bind("allowed", _ALLOWED[kind.kind] - ({NONE} if full == "DICT" else set()))
        check += [
            f"t = set(map(type, {c}))",
            f"f{number} = {c} if t == {full} else [v for v in {c} if v is not None]",
            f"if t != {full} and set(map(type, f{number})) - {full}:",
            "    return False",
            f"w{number} = list(chain({inside}))",
            f"t = set(map(type, w{number}))",
            f"if not t <= {allowed} or not fits(w{number}, t, {kind.kind == 'number'}):",
            "    return False",
            f"n += len(f{number})",
        ]
        extend += [f"{slots}.extend(starts({c}, len({values})))", f"{values}.extend(w{number})"]
    check += ["if n != sum(map(len, d)):", "    return False"]
    return [*check, *extend, "return True"]


def _leaf(shape: Leaf, c: str) -> list[str]:
    if shape.kind == "json":
        return [
            f"n += len(d) - {c}.count(None)",
            f"{c} = [None if v is None else dumps(v).decode() for v in {c}]",
        ]
    allowed = "{" + ", ".join("NONE" if kind is NONE else kind.__name__ for kind in _ALLOWED[shape.kind]) + "}"
    return [
        f"t = set(map(type, {c}))",
        f"if not t <= {allowed} or not fits({c}, t, {shape.kind == 'number'}):",
        "    return False",
        f"n += len(d) - ({c}.count(None) if NONE in t else 0)",
    ]


def _starts(parts: list[Any], first: int) -> list[int | None]:
    """Where each part begins when they are laid one behind the other from `first` on; None for an absent one."""
    starts: list[int | None] = []
    if None in parts:
        for part in parts:
            starts.append(None if part is None else first)
            first += len(part or ())
        return starts
    starts.extend(accumulate(map(len, parts), initial=first))
    starts.pop()
    return starts


def _fits(values: list[Any], types: set[type], in_double: bool = False) -> bool:
    """Whether the integers among the values are within 64 bits, or within what a double holds exactly."""
    if int not in types:
        return True
    if types != {int}:
        values = [value for value in values if value.__class__ is int]
    low, high = int(min(values)), int(max(values))
    if in_double or float in types:
        return low >= -LONGEST_EXACT and high <= LONGEST_EXACT
    return low >= -(1 << 63) and high < 1 << 63
