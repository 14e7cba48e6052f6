"""Which changes of a registry are refused: schemas that would break what is in the field or in the lake.

A file that somebody changed in place is compared with the form that was in use. When the new form is incompatible it is
refused: the old one stays in use, and the refusal says why and what to do. Doctypes named in `[schemas]
allow_incompatible` are let through, and the schemas that come with a release; so are new versions and new doctypes,
which have tables of their own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from catchment.errors import Incompatible
from catchment.schemas.compatibility import Comparison, compare
from catchment.schemas.registry import Registry, Schema

SHOWN = 3
"""Changes that a refusal's line names; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A schema that must not take the place of `kept`, the form in use."""

    kept: Schema
    refused: Schema
    comparison: Comparison

    def __str__(self) -> str:
        why = [change for change in self.comparison.changes if not change.compatible]
        told = "; ".join(f"{change.path or 'the whole'}: {change.reason}" for change in why[:SHOWN])
        more = f"; and {len(why) - SHOWN} more" if len(why) > SHOWN else ""
        return f"schema {self.refused.path}: incompatible change: {told}{more}; the form before stays: {why[0].way_out}"


def refusals(old: Registry, new: Registry, allowed: Collection[str] = ()) -> list[Refusal]:
    """The schemas of `new` that may not take the place of those in `old`; `allowed` are doctypes, `namespace.doctype`,
    that may change in any way. One that does not compile is not for this to judge: `Registry.check` reports it."""
    found = []
    for kept in old.all():
        changed = new.find(kept.namespace, kept.doctype, kept.version)
        if changed is None or changed is kept or changed.is_builtin or f"{kept.namespace}.{kept.doctype}" in allowed:
            continue
        try:
            comparison = compare(kept, changed)
        except Incompatible:
            continue  # one of them cannot be read
        if not comparison.compatible:
            found.append(Refusal(kept, changed, comparison))
    return found
