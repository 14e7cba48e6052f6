"""What all connections of a worker share: settings, tables of known bytes, the line to the log, and the counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from catchment.clock import Clock
from catchment.events import Events
from catchment.health import Check
from catchment.ingestion.edge.answers import Answers
from catchment.ingestion.edge.envelope import Envelope
from catchment.ingestion.edge.head import HeaderBlocks
from catchment.ingestion.edge.meters import Meters
from catchment.ingestion.edge.rules import ordinary_line
from catchment.ingestion.edge.settings import EdgeSettings

if TYPE_CHECKING:
    from catchment.ingestion.edge.commit import Committer
    from catchment.ingestion.edge.connection import Connection


class Room:
    """One worker's shared state; used on its event loop's thread only."""

    def __init__(
        self, settings: EdgeSettings, hostname: str, clock: Clock, events: Events, checks: Mapping[str, Check]
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.events = events
        self.checks = checks
        self.envelope = Envelope("raw", hostname, settings.max_uri_bytes)
        self.ordinary = ordinary_line(settings.namespaces)
        self.blocks = HeaderBlocks(
            settings.headers,
            max_headers=settings.max_headers,
            max_head_bytes=settings.max_head_bytes,
            max_value_bytes=settings.max_header_value_bytes,
            max_body_bytes=settings.max_body_bytes,
        )
        self.answers = Answers(settings.retry_after_s)
        self.meters = Meters()
        self.connections: set[Connection] = set()
        self.max_connections = settings.max_connections
        self.is_draining = False
        self.reserved_bytes = 0
        self.now_s = 0.0
        self.stamp = b""
        self.held: list[Connection] = []
        self.committer: Committer
        self.turn()

    def turn(self) -> None:
        """Take the time anew for the Date and the deadlines."""
        self.now_s = self.clock.monotonic_s()
        self.answers.turn(self.clock.time_ns() // 1_000_000_000)

    def new_stamp(self) -> bytes:
        """The stamp of the submissions that are taken in this turn of the loop; `stamp` keeps it till its end."""
        self.stamp = self.envelope.stamp(self.clock.time_ns())
        return self.stamp

    def after_submit(self) -> None:
        """A turn of the loop is over: the next submission gets a new stamp."""
        self.stamp = b""

    @property
    def in_flight_bytes(self) -> int:
        """Bytes that wait for the log, and room promised to bodies that are on their way."""
        return self.committer.pending_bytes + self.reserved_bytes

    @property
    def is_crowded(self) -> bool:
        """Whether what waits for the log takes so much that idle connections should not be read."""
        return self.committer.pending_bytes > self.settings.max_in_flight_bytes // 2

    def after_answers(self) -> None:
        """After a round of answers: fold the counts, and read held connections again when there is room."""
        self.turn()
        self.meters.fold(len(self.connections), self.in_flight_bytes)
        if self.held and not self.is_crowded:
            held, self.held = self.held, []
            for connection in held:
                connection.release_memory_hold()
