"""Options of the forwarder."""

from __future__ import annotations

from dataclasses import dataclass

from catchment.config import option


@dataclass(frozen=True, slots=True)
class ForwarderSettings:
    """Section `[forwarder]`."""

    max_in_flight_bytes: int = option(
        64 * 1024 * 1024,
        "Submissions sent to Kafka and not confirmed; no more are read from the disk meanwhile.",
        unit="bytes",
        minimum=1024 * 1024,
    )
    checkpoint_s: float = option(
        0.5, "How often the checkpoint is moved; a kill repeats at most so much.", unit="s", minimum=0.01
    )
    drain_s: float = option(5.0, "How long a stop waits for what is on its way to be confirmed.", unit="s", minimum=0.0)
    late_s: float = option(
        10.0, "A forwarder that waits longer for a confirmation says so in its health.", unit="s", minimum=0.1
    )
    admin_port: int = option(0, "Port of the forwarder's health and metrics; 0 picks a free one.", minimum=0)
