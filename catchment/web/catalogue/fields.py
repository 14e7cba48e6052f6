"""The fields of a schema as a tree that opens level by level, so that a schema of thousands of fields is a small page.

A field is named by its path, `payload.info.lines[].sku`. Source of the model: `catchment/schemas/describing.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from catchment.schemas.describing import Field

LEVEL = 200
"""Fields of one level that are shown at once."""


@dataclass(frozen=True, slots=True)
class FieldLine:
    """A field and how many are directly inside it."""

    field: Field
    inside: int


@dataclass(frozen=True, slots=True)
class Level:
    """Some fields directly inside one, to before the one numbered `end`, or those that were searched for; `rest` more
    are not among them."""

    lines: tuple[FieldLine, ...]
    end: int
    rest: int


class FieldTree:
    """All fields of one schema, in the order of its file."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._lines: list[FieldLine] = []
        self._parents: list[str] = []
        self._inside: dict[str, list[int]] = {}
        way: list[str] = []
        for number, field in enumerate(fields):
            del way[field.depth :]
            parent = way[-1] if way else ""
            self._inside.setdefault(parent, []).append(number)
            self._parents.append(parent)
            way.append(field.path)
        for field in fields:
            self._lines.append(FieldLine(field, len(self._inside.get(field.path, ()))))

    def __len__(self) -> int:
        return len(self._lines)

    def level(self, path: str = "", begin: int = 0) -> Level:
        """The fields directly inside `path`, the top when it is empty, from the one numbered `begin`."""
        numbers = self._inside.get(path, [])[begin:]
        shown = numbers[:LEVEL]
        return Level(tuple(self._lines[number] for number in shown), begin + len(shown), len(numbers) - len(shown))

    def search(self, text: str) -> Level:
        """Fields whose path, column or description has the text."""
        wanted = text.lower()
        found = [
            line
            for line in self._lines
            if wanted in line.field.path.lower()
            or wanted in line.field.column.lower()
            or wanted in line.field.description.lower()
        ]
        return Level(tuple(found[:LEVEL]), LEVEL, max(len(found) - LEVEL, 0))

    def way(self, path: str) -> list[str]:
        """The paths from the top down to a field, itself included; empty when there is no such field."""
        parents = {line.field.path: parent for line, parent in zip(self._lines, self._parents, strict=True)}
        found: list[str] = []
        while path and path in parents and path not in found:
            found.insert(0, path)
            path = parents[path]
        return found
