"""Options of the schema registry."""

from __future__ import annotations

from dataclasses import dataclass

from catchment.config import option


@dataclass(frozen=True, slots=True)
class SchemaSettings:
    paths: tuple[str, ...] = option(
        (),
        "Folders of schemas, <namespace>/<doctype>/<doctype>.<version>.schema.json; a later one overrides an earlier.",
    )
    builtin: bool = option(True, "Whether the schemas that come with Catchment are there too, before the folders.")
