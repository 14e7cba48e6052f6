"""Appending many small objects at once: the histograms of a ping, its add-ons, its devices.

For an object whose values are plain (leaves, maps of leaves, lists of leaves) a column of all the objects is one pass
in C and one check of what is in it, which costs a quarter of walking the objects one by one. The function made here
does all of them or nothing: it returns False, having changed nothing, when one value does not fit or one key is not in
the shape, and then the objects are walked after all.

A column is checked by a `judge`: it returns how many of the values are there (not None), or −1 when one does not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, repeat
from typing import Any

import orjson

from catchment.lake.places import ListPlace, MapPlace, StructPlace
from catchment.schemas.shape import Leaf, ListOf, MapOf, Shape, Struct

NONE = type(None)
LONGEST_EXACT = 2**53
FEWEST = 4
"""With fewer objects than this the fixed cost is more than what is saved."""

JUDGED = ("string", "integer", "number", "boolean")
"""The kinds of leaves that have a judge, by the name `judge_<kind>`."""

Bind = Callable[[str, Any], str]
_OF_INTEGERS = b"0123456789-,nul"
"""All that is between the brackets when orjson writes a list of integers and nulls."""


def names() -> dict[str, Any]:
    """What the made code calls."""
    return {
        "DICT": {dict},
        "LIST": {list},
        "chain": chain.from_iterable,
        "repeat": repeat,
        "get": dict.get,
        "dict_values": dict.values,
        "judge_integer": _judge_integers,
        "judge_number": _judge_numbers,
        "judge_string": _judge_strings,
        "judge_boolean": _judge_booleans,
    }


def is_plain(shape: Shape) -> bool:
    """Whether `emit` can do it: a struct of leaves, maps of leaves and lists of leaves."""
    return isinstance(shape, Struct) and all(
        isinstance(p.shape, Leaf)
        or (isinstance(p.shape, MapOf) and is_judged(p.shape.value))
        or (isinstance(p.shape, ListOf) and is_judged(p.shape.item))
        for p in shape.properties
    )


def is_judged(shape: Shape) -> bool:
    return isinstance(shape, Leaf) and shape.kind in JUDGED


def emit(shape: Struct, place: StructPlace, bind: Bind) -> list[str]:
    """The body of a function of `d`, a list of dicts: append them all to the struct's columns, or return False."""
    check: list[str] = ["n = 0"]
    extend: list[str] = []
    for number, p in enumerate(shape.properties):
        inner = place.columns[p.name]
        c, f, w = f"c{number}", f"f{number}", f"w{number}"
        slots = bind("slots", inner.slots)
        check.append(f"{c} = list(map(get, d, repeat({p.name!r})))")
        if isinstance(p.shape, Leaf):
            check += _leaf(p.shape, c)
            extend.append(f"{slots}.extend({c})")
            continue
        if isinstance(p.shape, MapOf):
            assert isinstance(inner, MapPlace)
            kind, target, full, inside = p.shape.value, inner.value.slots, "DICT", f"map(dict_values, {f})"
            extend.append(f"{bind('keys', inner.keys)}.extend(chain({f}))")
        else:
            assert isinstance(p.shape, ListOf)
            assert isinstance(inner, ListPlace)
            kind, target, full, inside = p.shape.item, inner.item.slots, "LIST", f
        assert isinstance(kind, Leaf)
        values = bind("values", target)
        # a null in a map has no place of its own, a null in a list has
        misfit = f"judge_{kind.kind}({w}) " + (f"!= len({w})" if full == "DICT" else "< 0")
        check += [
            f"t = set(map(type, {c}))",
            f"{f} = {c} if t == {full} else [v for v in {c} if v is not None]",
            f"if t != {full} and set(map(type, {f})) - {full}:",
            "    return False",
            f"{w} = list(chain({inside}))",
            f"if {misfit}:",
            "    return False",
            f"n += len({f})",
        ]
        extend += [
            f"{slots}.extend(map(len, {c}) if {f} is {c} else [None if v is None else len(v) for v in {c}])",
            f"{values}.extend({w})",
        ]
    check += ["if n != sum(map(len, d)):", "    return False"]
    return [*check, *extend, "return True"]


def _leaf(shape: Leaf, c: str) -> list[str]:
    if shape.kind == "json":
        return [
            f"n += len(d) - {c}.count(None)",
            f"{c} = [None if v is None else dumps(v).decode() for v in {c}]",
        ]
    return [f"t = judge_{shape.kind}({c})", "if t < 0:", "    return False", "n += t"]


def _judge_integers(values: list[Any]) -> int:
    """Integers of 64 bits. Types and range are read off the JSON text, which is five times faster than looking at each
    value: orjson refuses integers beyond 53 bits when asked to, and a text of nothing else has these signs alone."""
    try:
        text = orjson.dumps(values, None, orjson.OPT_STRICT_INTEGER)
    except orjson.JSONEncodeError:
        return _judge_long_integers(values)
    if text.translate(None, _OF_INTEGERS) != b"[]":
        return -1
    return len(values) - text.count(b"n")


def _judge_long_integers(values: list[Any]) -> int:
    if not set(map(type, values)) <= {int, NONE}:
        return -1
    present = [value for value in values if value is not None]
    return len(present) if min(present) >= -(1 << 63) and max(present) < 1 << 63 else -1


def _judge_numbers(values: list[Any]) -> int:
    """Floats, and integers that a double holds exactly."""
    types = set(map(type, values))
    if not types <= {float, int, NONE}:
        return -1
    if int in types and not _is_exact(values):
        return -1
    return len(values) - values.count(None) if NONE in types else len(values)


def _is_exact(values: list[Any]) -> bool:
    """Whether a double holds each integer among the values exactly."""
    try:
        orjson.dumps(values, None, orjson.OPT_STRICT_INTEGER)
    except orjson.JSONEncodeError:
        return all(-LONGEST_EXACT <= value <= LONGEST_EXACT for value in values if value.__class__ is int)
    return True


def _judge_strings(values: list[Any]) -> int:
    types = set(map(type, values))
    if not types <= {str, NONE}:
        return -1
    return len(values) - values.count(None) if NONE in types else len(values)


def _judge_booleans(values: list[Any]) -> int:
    types = set(map(type, values))
    if not types <= {bool, NONE}:
        return -1
    return len(values) - values.count(None) if NONE in types else len(values)
