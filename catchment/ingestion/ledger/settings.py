"""Options of the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from catchment.config import option


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """Section `[ledger]`."""

    period_s: float = option(5.0, "How often everything is counted on.", unit="s", minimum=0.1)
    grace_s: float = option(
        120.0, "A minute that does not balance so long after its end and its last change is told.", unit="s", minimum=0
    )
    minutes_kept_h: float = option(48.0, "Minutes older than this become hours.", unit="h", minimum=1)
    hours_kept_d: float = option(35.0, "Hours older than this become days.", unit="days", minimum=1)
    admin_port: int = option(0, "Port of its health and metrics; 0 picks a free one.", minimum=0, maximum=65535)
