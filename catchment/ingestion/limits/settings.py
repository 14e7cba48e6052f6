"""Options of the limits, and the rules that they make.

A rule of `doctypes` is `namespace/doctype=rate` or `namespace/doctype=rate:burst`; `namespace/*` is for all others of
the namespace; rate 0 sets no limit. What no rule names has `rate` and `burst`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from catchment.config import option

ALL = "*"
BURST_S = 10.0
"""Without a burst of its own, a limit lets through at once what it lets through in so many seconds."""
_NAME = r"[A-Za-z0-9][A-Za-z0-9-]*"
_NUMBER = r"\d+(?:\.\d+)?"
_RULE = re.compile(
    rf"(?P<namespace>{_NAME})/(?P<doctype>{_NAME}|\*)\s*=\s*(?P<rate>{_NUMBER})(?::(?P<burst>{_NUMBER}))?"
)


def _wrong_rules(rules: tuple[str, ...]) -> str | None:
    for rule in rules:
        if _RULE.fullmatch(rule.strip()) is None:
            return f"{rule!r} must be namespace/doctype=rate or …=rate:burst, for example telemetry/main=50:500"
    return None


@dataclass(frozen=True, slots=True)
class Limit:
    """Pings a second that go through in the long run, and how many at once. `rate` 0 is no limit."""

    rate: float
    burst: float

    @classmethod
    def of(cls, rate: float, burst: float) -> Limit:
        return cls(rate, burst or max(rate * BURST_S, 1.0))

    def __str__(self) -> str:
        return f"{self.rate:g}/s, {self.burst:g} at once" if self.rate else "none"


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Section `[limits]`. Every limit holds for each partition of topic raw, that is for each edge worker."""

    rate: float = option(
        0.0,
        "Pings of one doctype that are loaded a second, for each edge worker; more are deferred. 0 sets no limit.",
        unit="pings/s",
        minimum=0,
    )
    burst: float = option(
        0.0, "How many may come at once before that; 0 is what comes in ten seconds.", unit="pings", minimum=0
    )
    doctypes: tuple[str, ...] = option(
        (), "Limits of their own: `telemetry/main=50`, with a burst `telemetry/main=50:500`.", check=_wrong_rules
    )

    @property
    def is_on(self) -> bool:
        return self.rate > 0 or any(limit.rate > 0 for limit in rules(self).values())


@lru_cache(16)
def rules(settings: LimitSettings) -> dict[tuple[str, str], Limit]:
    """The limits of `doctypes`, by namespace and doctype."""
    found = [match for rule in settings.doctypes if (match := _RULE.fullmatch(rule.strip()))]
    return {
        (match["namespace"], match["doctype"]): Limit.of(float(match["rate"]), float(match["burst"] or 0))
        for match in found
    }


@lru_cache(16_384)
def limit_of(settings: LimitSettings, namespace: str, doctype: str) -> Limit:
    """The limit that holds for a doctype."""
    own = rules(settings)
    return own.get((namespace, doctype)) or own.get((namespace, ALL)) or Limit.of(settings.rate, settings.burst)
