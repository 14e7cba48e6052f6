"""What the edge counts. The hot path adds to plain integers; `fold` moves them into the metrics once per flush."""

from __future__ import annotations

from collections import Counter

from catchment import metrics

_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)

REQUESTS = metrics.counter("edge_requests_total", "Requests answered, by status.", "requests", ("status",))
ACCEPTED_BYTES = metrics.counter("edge_accepted_bytes_total", "Message bytes made durable and answered 200.", "bytes")
FLUSHES = metrics.histogram(
    "edge_flush_seconds", "From handing a batch to the log until it is durable or refused.", "s", buckets=_SECONDS
)
BATCHES = metrics.histogram("edge_batch_size", "Submissions handed to the log at once.", "submissions", buckets=_SIZES)
CONNECTIONS = metrics.gauge("edge_connections", "Open connections.", "connections")
IN_FLIGHT = metrics.gauge("edge_in_flight_bytes", "Bytes received or promised room, and not yet answered.", "bytes")
DROPPED = metrics.counter(
    "edge_connections_ended_total", "Connections that the edge ended on its own.", "connections", ("reason",)
)
UNHEARD = metrics.counter(
    "edge_unheard_answers_total", "Answers that found their client gone; what was stored stays stored.", "answers"
)


class Meters:
    """Plain counts since the last `fold`."""

    __slots__ = ("_known", "accepted", "accepted_bytes", "refused", "unheard")

    def __init__(self) -> None:
        self.accepted = 0
        self.accepted_bytes = 0
        self.unheard = 0
        self.refused: Counter[int] = Counter()
        self._known = {status: REQUESTS.labels(str(status)) for status in (200, 503, 507)}

    def fold(self, connections: int, in_flight_bytes: int) -> None:
        """Add the counts to the metrics and start again at zero."""
        if self.accepted:
            self._known[200].inc(self.accepted)
            ACCEPTED_BYTES.inc(self.accepted_bytes)
            self.accepted = self.accepted_bytes = 0
        if self.unheard:
            UNHEARD.inc(self.unheard)
            self.unheard = 0
        if self.refused:
            for status, count in self.refused.items():
                REQUESTS.labels(str(status)).inc(count)
            self.refused.clear()
        CONNECTIONS.set(connections)
        IN_FLIGHT.set(in_flight_bytes)
