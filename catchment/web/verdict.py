"""The state of the whole platform in one sentence: what is wrong first, else how fast and how fresh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from catchment.observation import Snapshot
from catchment.web import history
from catchment.web.formats import count, duration, rate
from catchment.web.history import Sample

LATE_S = 60.0
"""Pings that wait longer than this for the lake make the flow late."""
REFUSED_SHARE = 0.1
"""A larger share of refused pings is worth a look."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of the whole in a sentence; `step` is a command that helps, empty when none is needed."""

    level: str
    headline: str
    text: str
    step: str = ""


def verdict(snapshot: Snapshot, samples: Sequence[Sample]) -> Verdict:
    """The sentence at the top of the page: what is wrong first, else how fast and how fresh."""
    kinds = {service.run.kind for service in snapshot.services}
    if not kinds & {"edge", "loader"}:
        return Verdict("off", "Nothing runs yet.", "Start the edge and the loader with", "catchment up")
    broken = [service for service in snapshot.services if service.state != "up"]
    if broken:
        words = "; ".join(f"{service.run.name} is {service.state}" for service in broken)
        reasons = "; ".join(text for service in broken for text in service.findings)
        return Verdict("bad", f"{words[:1].upper()}{words[1:]}.", reasons, "catchment status")
    for kind, meaning in (("edge", "No ping can arrive."), ("loader", "Pings wait in the log; none is lost.")):
        if kind not in kinds:
            return Verdict("bad", f"The {kind} does not run.", meaning, f"catchment run {kind}")
    delay = history.delay_s(samples)
    if delay is None or delay > LATE_S:
        behind = duration(delay) if delay is not None else f"more than {duration(samples[-1].at_s - samples[0].at_s)}"
        waiting = f"{count(snapshot.lag)} pings wait in the log; none is lost."
        return Verdict("warning", f"The lake is {behind} behind.", waiting)
    if not snapshot.records("raw"):
        step = "Send one, or let a simulated fleet do it:"
        return Verdict("off", "All is ready. No ping has come yet.", step, "catchment simulate")
    loaded, _ = history.growth(samples, "loaded")
    refused, _ = history.growth(samples, "errors")
    if loaded >= 20 and refused > REFUSED_SHARE * loaded:
        share = f"{refused / loaded:.0%} of the pings are refused."
        return Verdict("warning", share, "Each is kept whole, with its reason: see the last errors below.")
    arriving = history.rate(samples, "raw")
    if not arriving:
        return Verdict("ok", "All is well.", "Nothing arrives at the moment.")
    fresh = f"can be queried {duration(delay)} later" if delay >= 1 else "can be queried within a second"
    return Verdict("ok", "All is well.", f"{rate(arriving)} pings a second arrive and {fresh}.")
