"""The schedule: faults as data. The same seed, pings and faults give the same schedule on every machine.

A fault comes when the fleet has sent `at` pings. What a fault meets (which segment is sealed, which process lives)
depends on the run, so it also carries a seed of its own for what it has to choose on the spot.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

KINDS: dict[str, tuple[int, float]] = {
    "kill": (50, 0.6),
    "tear": (12, 0.6),
    "flip_read": (8, 0.1),
    "flip_unread": (5, 3.0),
    "full_disk": (9, 2.5),
    "objects_away": (9, 2.0),
    "clock": (7, 7.0),
}
"""Kind of fault → its weight among a hundred, and about how many seconds it takes."""

DESCRIPTIONS = {
    "kill": "SIGKILL to {target}",
    "tear": "SIGKILL to {target}, and {amount:,.0f} bytes behind the durable end of its segment are spoilt",
    "flip_read": "a bit flipped in a sealed segment that the loaders are done with",
    "flip_unread": "loaders killed, and a bit flipped in a sealed segment that they have not loaded",
    "full_disk": "no space on the disk for {hold_s:.1f} s, SIGKILL to {target} meanwhile",
    "objects_away": "the object store away for {hold_s:.1f} s, SIGKILL to {target} meanwhile",
    "clock": "everything restarted with its clock off by {amount:+,.0f} s",
}
FARTHEST_CLOCK_S = 12 * 3600
"""Two clocks that are wrong by at most this differ by less than the window of deduplication."""
_MARGIN = 0.02
EVERYTHING, SUPERVISOR = "everything", "supervisor"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `amount` is bytes of a tear or seconds of a clock, else 0; `hold_s` how long a state is kept up."""

    number: int
    at: int
    kind: str
    target: str
    amount: float
    hold_s: float
    seed: int

    @property
    def description(self) -> str:
        return DESCRIPTIONS[self.kind].format(target=self.target, amount=self.amount, hold_s=self.hold_s)


def plan(seed: int, pings: int, faults: int, services: Sequence[str]) -> list[Fault]:
    """`faults` faults over `pings` pings, in their order. Each kind comes at least once when there are enough."""
    rng = random.Random(f"torture {seed}")
    kinds = list(KINDS)[:faults]
    kinds += rng.choices(list(KINDS), [weight for weight, _ in KINDS.values()], k=faults - len(kinds))
    rng.shuffle(kinds)
    places = sorted(rng.uniform(_MARGIN, 1 - _MARGIN) for _ in kinds)
    return [
        _fault(rng, number, round(place * pings), kind, services)
        for number, (place, kind) in enumerate(zip(places, kinds, strict=True), start=1)
    ]


def lasts_s(faults: Sequence[Fault]) -> float:
    """About how long it takes to do them all, one after the other."""
    return sum(KINDS[fault.kind][1] for fault in faults)


def _fault(rng: random.Random, number: int, at: int, kind: str, services: Sequence[str]) -> Fault:
    edges = [name for name in services if name.startswith("edge")]
    targets = {"kill": [*services, *services, SUPERVISOR, EVERYTHING], "tear": edges}.get(kind, services)
    amount = 0.0
    if kind == "tear":
        amount = rng.choice((1, 7, 8, 100, 4096, 70_000))
    elif kind == "clock":
        amount = round(rng.choice((-1, 1)) * rng.choice((1.0, 90.0, 3600.0, rng.uniform(0, FARTHEST_CLOCK_S))))
    hold_s = round(rng.uniform(0.5, 2.5), 1) if kind in ("full_disk", "objects_away") else 0.0
    return Fault(number, at, kind, rng.choice(targets), float(amount), hold_s, rng.getrandbits(32))
