"""The schemas that a loader goes by, kept in the home, so that a broken-off flush is read again as it was judged.

A kill in the middle of a flush leaves some tables ahead of the group's offsets. What stands between is read again, and
each table skips what it has. That gives each record once only if every record goes to the table that it went to before:
with other schemas a ping that was in `telemetry.unregistered`, or an error, would be put into a table of its own too.
So a loader starts with the schemas of its last life, and takes newer ones once it is past what any table has recorded.
"""

from __future__ import annotations

from pathlib import Path

from catchment.errors import Corrupt
from catchment.events import Events
from catchment.lake.tables import Lake
from catchment.schemas.kept import Good, Kept
from catchment.schemas.registry import Registry
from catchment.schemas.sources import Tree


class Former:
    """What one loader of a home went by when it ended, in whatever way."""

    def __init__(self, home: Path, number: int, events: Events) -> None:
        self._kept = Kept(home, [f"loader-{number}"], f"registry/loader-{number}.zst")
        self._events = events

    def start(self, current: Registry) -> Registry:
        """The registry to start with: the former one, or `current` when that is the same or there was none."""
        try:
            good = self._kept.read()
        except Corrupt as error:
            self._events.warning("schemas_not_kept", error=error)
            good = None
        if good is None:
            self.keep(current)
            return current
        return current if good.identity == current.identity else Registry.of(good.trees)

    def keep(self, registry: Registry) -> None:
        """Remember that from now on records are judged by this one. Only when no flush is under way."""
        files = {
            f"{schema.namespace}/{schema.doctype}/{schema.doctype}.{schema.version}.schema.json": schema.content
            for schema in registry.all()
        }
        try:
            self._kept.write(Good((Tree("former schemas", files),), 0, registry.identity))
        except OSError as error:
            self._events.warning("schemas_not_kept", error=error)


def recorded_ends(lake: Lake) -> dict[str, int]:
    """By source, the furthest offset that any table has recorded."""
    ends: dict[str, int] = {}
    for table in lake.tables():
        for source, end in lake.offsets(table).items():
            ends[source] = max(end, ends.get(source, 0))
    return ends
