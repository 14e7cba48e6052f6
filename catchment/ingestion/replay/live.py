"""The window of the live deduplication, as far as a replay touches it.

A document that a replay brings in may be sent again by its client. So that it is not stored twice, the replay *notes*
it in the window of the loaders before it commits the row: with its time and without a place in the log, as something
that has been here. What is older than the window keeps is not noted. A kill between note and commit leaves a document
noted that is not there yet; it still is what it was before, an error for instance, and the same replay, run again,
brings it in.

The other way round, a loader may have accepted a delivery of a document whose row is not committed yet. Then the
replayed one gives way to it: `note` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from catchment.clock import Clock
from catchment.events import Events
from catchment.ingestion.deduplication import DIRECTORY, DeduplicationSettings, Deduplicator, Sighting
from catchment.ingestion.loader.loop import GROUP
from catchment.log.port import Log, TopicPartition


class LiveIds:
    """The loaders' window, for the replay of one day."""

    def __init__(self, home: Path, log: Log, settings: DeduplicationSettings, clock: Clock, events: Events) -> None:
        self._committed = [
            log.committed(GROUP, TopicPartition("raw", number)) or 0 for number in range(log.topics().get("raw", 0))
        ]
        self._ids = Deduplicator(home / DIRECTORY, settings, clock, events)

    def note(self, sightings: Sequence[Sighting]) -> list[bool]:
        """Note documents, durably, and tell of each whether a loader has accepted another delivery of it whose row was
        not committed when the day began."""
        found = self._ids.note(sightings)
        self._ids.sync()
        return [
            other is not None
            and (other.partition >= len(self._committed) or other.offset >= self._committed[other.partition])
            for other in found
        ]

    def close(self) -> None:
        self._ids.close()
