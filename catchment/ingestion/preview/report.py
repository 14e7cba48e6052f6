"""What a preview has found, and how sure its shares are when it has looked at a sample."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

_Z_95 = 1.959964
"""Standard deviations on either side within which 95 % of a normal distribution lie."""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the pings judged. From `low` to `high` the part of all pings lies with 95 % certainty; the three are
    equal when all were judged."""

    share: float
    low: float
    high: float


def share_of(part: int, judged: int, is_sample: bool) -> Share:
    """The part, with Wilson's interval when the pings judged are a random sample. All zero when nothing was judged."""
    if judged == 0:
        return Share(0.0, 0.0, 0.0)
    share = part / judged
    if not is_sample:
        return Share(share, share, share)
    square = _Z_95**2 / judged
    middle = (share + square / 2) / (1 + square)
    half = _Z_95 / (1 + square) * math.sqrt(share * (1 - share) / judged + square / (4 * judged))
    return Share(share, min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share))


@dataclass(frozen=True, slots=True)
class Example:
    """A ping that breaks a rule, without client ids. `value` is the JSON text of what stands at the pointer, cut."""

    document_id: str
    received: str
    pointer: str
    detail: str
    value: str


@dataclass(slots=True)
class Broken:
    """A rule of the proposed schema that pings break first. `newly` counts those that are let in today; `pointers`
    counts the places in the documents, indexes of arrays as `*`."""

    rule: str
    pings: int = 0
    newly: int = 0
    pointers: dict[str, int] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Unnamed:
    """A field that is sent and that the schema does not name: where, in how many pings, of which JSON types."""

    path: str
    pings: int
    types: tuple[str, ...]
    format: str
    """`date-time` or `uuid` when all its texts are such; else empty."""


@dataclass(slots=True)
class Report:
    """All counts are of pings. `matching` were sent in the time under the doctype; `judged` of them were looked at, of
    the wanted version, and could be decoded."""

    schema: str
    table: str
    compared_with: str | None
    """The table of the schema in force for these pings; None when there is none."""
    judged_as: str
    """Which pings were judged: `shop.order.1`, or `shop.order` for any version."""
    matching: int = 0
    judged: int = 0
    is_sample: bool = False
    other_versions: int = 0
    undecodable: dict[str, int] = field(default_factory=dict)
    """By code: what the decoder refuses whatever the schema says."""
    refused: int = 0
    newly_refused: int = 0
    newly_accepted: int = 0
    broken: list[Broken] = field(default_factory=list)
    unnamed: list[Unnamed] = field(default_factory=list)
    unnamed_left_out: int = 0
    """Sightings of further unnamed fields, beyond the number that is kept."""
    proposal: dict[str, Any] = field(default_factory=dict)
    """A JSON Schema of the unnamed fields, to be merged into the proposed one."""
    columns_added: dict[str, str] = field(default_factory=dict)
    columns_removed: dict[str, str] = field(default_factory=dict)
    columns_retyped: dict[str, tuple[str, str]] = field(default_factory=dict)

    def share(self, pings: int) -> Share:
        """What part of the pings judged this is."""
        return share_of(pings, self.judged, self.is_sample)
