"""The signature of a shape: a short text that is the same for shapes that take documents apart in the same way.

Names, columns, types and their nesting count, and the property of the client's id; comments and order do not.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from catchment.schemas.shape import Leaf, ListOf, MapOf, Shape, Struct

DIGITS = 16
_RULES = 1
"""Raise it when documents are taken apart by other rules, so that old rows are looked at again."""


def signature(shape: Struct) -> str:
    """`DIGITS` hexadecimal digits."""
    text = json.dumps([_RULES, shape.client_id, outline(shape)], separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


def outline(shape: Shape) -> Any:
    """The shape without what does not matter: lists and texts that are equal when the shapes are."""
    if isinstance(shape, Leaf):
        return shape.kind
    if isinstance(shape, ListOf):
        return ["list", outline(shape.item)]
    if isinstance(shape, MapOf):
        return ["map", outline(shape.value)]
    kind = "tuple" if shape.is_tuple else "struct"
    return [kind, *sorted([p.name, p.column, outline(p.shape)] for p in shape.properties)]
