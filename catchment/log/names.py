"""What may name a topic or a group, with every backend."""

from __future__ import annotations

import re

from catchment.errors import BadConfig

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


def checked_name(kind: str, name: str) -> str:
    """`name`, if it may name a topic or a group. Raises BadConfig otherwise."""
    if not _NAME.fullmatch(name):
        raise BadConfig(
            f"{kind} name {name!r}: must be 1–200 of A–Z a–z 0–9 _ . - and not begin with . or -; rename it"
        )
    return name
