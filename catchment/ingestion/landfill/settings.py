"""Options of the landfill and of its archiver."""

from __future__ import annotations

from dataclasses import dataclass

from catchment.config import option

_DAY_S = 86_400.0
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LandfillSettings:
    """Section `[landfill]`."""

    object_bytes: int = option(
        32 * _MIB,
        "An object with so many bytes of submissions is shipped.",
        unit="bytes",
        minimum=1024,
        maximum=1 << 30,
    )
    object_age_s: float = option(
        600.0, "A submission waits at most so long for its object to be shipped.", unit="seconds", minimum=0.1
    )
    ship_at_stop: bool = option(False, "Ship what is left when the archiver stops, however small the object.")
    max_age_s: float = option(
        30 * _DAY_S,
        "Objects older than this are deleted; they hold addresses, so they should not live for ever. A bucket does it "
        "by itself, by whole days.",
        unit="seconds",
        minimum=3_600,
    )
    upkeep_s: float = option(600.0, "How often the first archiver deletes old objects.", unit="seconds", minimum=1)
    admin_port: int = option(
        0, "Port of the first archiver's health and metrics; the next ones add 1. 0 picks free ports.", minimum=0
    )
