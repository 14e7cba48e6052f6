"""Options of the simulated fleet: what `catchment simulate` takes where its command line says nothing."""

from __future__ import annotations

from dataclasses import dataclass

from catchment.config import option


@dataclass(frozen=True, slots=True)
class SimulateSettings:
    rate: float = option(20.0, "Pings sent each second; 0 sends as fast as they are answered.", unit="1/s", minimum=0)
    clients: int = option(500, "Clients in the fleet.", minimum=1, maximum=1_000_000)
    seed: int = option(1, "What the clients are drawn from: the same seed makes the same clients.", minimum=0)
    connections: int = option(16, "Connections, each of which sends one ping at a time.", minimum=1, maximum=1000)
    invalid: float = option(0.01, "Share of the pings that are spoiled on purpose.", minimum=0, maximum=1)
    duplicates: float = option(0.01, "Share of the pings that are sent a second time.", minimum=0, maximum=1)
    timeout_s: float = option(65.0, "Longest wait for an answer; then the ping is sent again.", unit="s", minimum=0.01)
    attempts: int = option(10, "Times that a ping is sent before it is given up.", minimum=1)
    first_backoff_s: float = option(0.5, "Wait before a ping is sent again; doubled each time.", unit="s", minimum=0)
    last_backoff_s: float = option(30.0, "Longest wait that the doubling leads to.", unit="s", minimum=0)
    longest_wait_s: float = option(120.0, "Longest wait that a Retry-After is granted.", unit="s", minimum=0)
