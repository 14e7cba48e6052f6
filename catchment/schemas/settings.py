"""Options of the schema registry."""

from __future__ import annotations

from dataclasses import dataclass

from catchment.config import option


@dataclass(frozen=True, slots=True)
class SchemaSettings:
    paths: tuple[str, ...] = option(
        (),
        "Where schemas are, <namespace>/<doctype>/<doctype>.<version>.schema.json; a later one overrides an earlier: "
        "folders, git+file://<repository>#<ref>:<folder>, objects:<prefix>.",
    )
    builtin: bool = option(True, "Whether the schemas that come with Catchment are there too, before all others.")
    added: str = option(
        "schemas",
        "Folder of the schemas that `catchment schema add` and the console add, behind all others; relative to the "
        "home, made with the first.",
        check=lambda folder: None if folder else "must name a folder",
    )
    reload_s: float = option(
        1.0, "How often a running service looks whether schemas have changed.", unit="s", minimum=0.1, maximum=4.0
    )
    allow_incompatible: tuple[str, ...] = option(
        (),
        "Doctypes, `namespace.doctype`, whose schemas may change in place in incompatible ways.",
    )
