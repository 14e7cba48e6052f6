"""Where a `$ref` points to: inside the same file, by the rules of the draft that the file declares.

A pointer (`#/definitions/x`), an anchor (`#x`) and the address of a part that has its own `$id` are followed; anything
else points to nothing, because no schema is ever fetched. In drafts 4 to 7 whatever stands beside a `$ref` has no
meaning; later drafts apply both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urljoin

REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_LATER_DRAFTS = ("2019-09", "2020-12")
_ANCHORS = ("$anchor", "$dynamicAnchor")
_NO_SCHEMAS = frozenset(("enum", "const", "default", "examples"))
"""Keywords that hold values, in which an `$id` means nothing."""

Found = tuple[Any, str]
"""A schema, and the pointer to it from the top of the file."""


class References:
    """The parts of one schema file by their addresses."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        declared = root.get("$schema", "")
        is_later = isinstance(declared, str) and any(name in declared for name in _LATER_DRAFTS)
        self.stand_alone = not is_later
        """Whether what stands beside a `$ref` has no meaning."""
        is_draft_4 = not isinstance(declared, str) or not declared or "draft-04" in declared or "draft-03" in declared
        self._identifier = "id" if is_draft_4 else "$id"
        self._by_address: dict[str, Found] = {"": (root, "#")}
        self._bases: dict[int, str] = {}
        self._index(root)

    def _index(self, root: Mapping[str, Any]) -> None:
        waiting: list[tuple[Any, str, str]] = [(root, "#", "")]
        while waiting:
            found, at, base = waiting.pop()
            if isinstance(found, Mapping):
                base = self._named(found, at, base)
                self._bases[id(found)] = base
                waiting += [(inner, f"{at}/{escaped(key)}", base) for key, inner in _parts(found)]
            elif isinstance(found, list):
                waiting += [(inner, f"{at}/{number}", base) for number, inner in enumerate(found)]

    def _named(self, schema: Mapping[str, Any], at: str, base: str) -> str:
        """Note the schema's own names; the address that its references start from."""
        address = schema.get(self._identifier)
        if isinstance(address, str) and address:
            if address.startswith("#"):
                self._by_address.setdefault(base + address, (schema, at))
            else:
                base = _joined(base, address.rstrip("#"))
                self._by_address.setdefault(base, (schema, at))
        for key in _ANCHORS:
            if isinstance(anchor := schema.get(key), str):
                self._by_address.setdefault(f"{base}#{anchor}", (schema, at))
        return base

    def resolve(self, schema: Mapping[str, Any], reference: Any) -> Found | None:
        """What the reference in `schema` points to; None for what is not in the file."""
        if not isinstance(reference, str):
            return None
        path, _, fragment = reference.partition("#")
        base = self._bases.get(id(schema), "")
        address = _joined(base, path) if path else base
        if fragment and not fragment.startswith("/"):
            return self._by_address.get(f"{address}#{fragment}")
        start = self._by_address.get(address)
        return start and _descend(start, unquote(fragment))


def _joined(base: str, address: str) -> str:
    """The address, seen from `base`; as it stands when it is none (`https://[`)."""
    try:
        return urljoin(base, address)
    except ValueError:
        return address


def _parts(schema: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(key, inner) for key, inner in schema.items() if key not in _NO_SCHEMAS or isinstance(inner, Mapping)]


def _descend(start: Found, pointer: str) -> Found | None:
    found, at = start
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isascii() and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
        at = f"{at}/{step}"
    return (found, at) if isinstance(found, Mapping | bool) else None


def escaped(name: str) -> str:
    """A property's name as a step of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")
