"""What readings of the landfill have found: one small object each, beside the landfill, so that it can be told when a
time was last read through, wherever that was done.

    landfill-checks/<time of the check, ns, 20 digits>.json
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson

from catchment.errors import Corrupt, Missing
from catchment.objects.port import ObjectStore

PREFIX = "landfill-checks/"
KEPT = 100
"""Checks that are kept; older ones are deleted."""


@dataclass(frozen=True, slots=True)
class Check:
    """Objects with submissions received from `since_ns` to `until_ns` (not included) were read at `at_ns`."""

    at_ns: int
    since_ns: int
    until_ns: int
    objects: int
    problems: int


def keep(objects: ObjectStore, check: Check) -> None:
    """Store a check, and let the oldest go. Raises what the store does."""
    objects.put(f"{PREFIX}{check.at_ns:020d}.json", orjson.dumps(asdict(check)))
    for stored in list(objects.list(PREFIX))[:-KEPT]:
        objects.delete(stored.key)


def checks(objects: ObjectStore) -> list[Check]:
    """All checks that are kept, the newest first. Raises Corrupt."""
    found = []
    for stored in objects.list(PREFIX):
        try:
            found.append(Check(**orjson.loads(objects.get(stored.key))))
        except Missing:
            continue  # another check has let it go meanwhile
        except (orjson.JSONDecodeError, TypeError) as error:
            raise Corrupt(f"{stored.key}: not a check of the landfill ({error}); delete it") from error
    return found[::-1]


def last_of(found: Sequence[Check], earliest_ns: int, latest_ns: int) -> Check | None:
    """The newest of the checks that read all submissions of a time."""
    return next((check for check in found if check.since_ns <= earliest_ns and latest_ns < check.until_ns), None)
