"""The versions of a doctype that have a schema, described when somebody looks, and what changes between two of them.

Descriptions are kept as long as the registry gives the same schema. A schema that cannot be used, or is nested too
deeply to be listed, still has its page: `problem` says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from catchment.errors import Incompatible
from catchment.schemas.compatibility import Comparison, compare
from catchment.schemas.describing import Description, describe
from catchment.schemas.registry import Schema
from catchment.schemas.shape import Leaf, Struct
from catchment.web.catalogue.entries import Entry
from catchment.web.catalogue.fields import FieldTree

if TYPE_CHECKING:
    from catchment.schemas.registry import Registry

_KEPT = 64
_FEW = 4
"""Columns of its own that a first query names."""


@dataclass(frozen=True, slots=True)
class Version:
    """A schema as the pages show it; without description and fields when `problem` says why."""

    schema: Schema
    description: Description | None
    tree: FieldTree | None
    problem: str = ""

    @property
    def number(self) -> int:
        return self.schema.version

    @property
    def first_columns(self) -> list[str]:
        """A few plain columns of the schema's own."""
        if self.tree is None:
            return []
        shape = self.schema.shape
        plain = [p.column for p in shape.properties if isinstance(p.shape, Leaf) and p.shape.kind != "json"]
        groups = [f"{p.column}.{inner}" for p in shape.properties if (inner := _plain_inside(p.shape))]
        return (plain + groups)[:_FEW]


class Versions:
    """Describes schemas. Safe to call from several threads."""

    def __init__(self, registry: Callable[[], Registry]) -> None:
        self._registry = registry

    def of(self, entry: Entry, number: int | None) -> Version | None:
        """A version of a doctype, the newest when `number` is None; None when it has no schema."""
        if not entry.versions or (number is not None and number not in entry.versions):
            return None
        wanted = entry.versions[-1] if number is None else number
        schema = self._registry().find(entry.namespace, entry.doctype, wanted)
        return _described(schema) if schema is not None else None

    def compare(self, old: Version, new: Version) -> Comparison:
        """Raises Incompatible when one of them cannot be read."""
        return compare(old.schema, new.schema)


@lru_cache(_KEPT)
def _described(schema: Schema) -> Version:
    try:
        _ = schema.validator
        description = describe(schema)
    except Incompatible as error:
        return Version(schema, None, None, str(error))
    except RecursionError:
        return Version(schema, None, None, "This schema is nested too deeply for its fields to be listed.")
    return Version(schema, description, FieldTree(description.fields))


def _plain_inside(shape: object) -> str:
    inner = shape.properties if isinstance(shape, Struct) else ()
    return next((p.column for p in inner if isinstance(p.shape, Leaf) and p.shape.kind != "json"), "")
