"""The fleet: which client sends next, and which of its pings are sent twice.

    Fleet(seed=1, salt="", clients=500).deliveries(clock, invalid=0.01, duplicates=0.01)     one delivery after another

Who is in the fleet follows from the seed alone. What the clients send follows from seed and salt: a run that is to send
new documents takes a new salt. Some clients are much more active than others (log-normal weights).
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, count

from catchment.clock import Clock, utc
from catchment.producers.client import client_of
from catchment.producers.sessions import Life
from catchment.producers.submission import Submission

_ACTIVITY_SIGMA = 1.2
_LONGEST_GAP = 20
"""A ping that is sent twice comes again after at most so many others."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One submission to be sent. `is_repeat`: it is sent a second time, on purpose."""

    submission: Submission
    is_repeat: bool = False


class Fleet:
    def __init__(self, seed: int, salt: str, clients: int) -> None:
        self._seed = seed
        self._salt = salt
        weights = random.Random(f"activity {seed}")
        self._activity = list(accumulate(weights.lognormvariate(0.0, _ACTIVITY_SIGMA) for _ in range(clients)))
        self._numbers = range(clients)
        self._lives: dict[int, Life] = {}

    @property
    def active(self) -> int:
        """Clients that have sent something."""
        return len(self._lives)

    def deliveries(self, clock: Clock, invalid: float, duplicates: float) -> Iterator[Delivery]:
        """Endless. Each ping is made when it is asked for and dated by the clock."""
        rng = random.Random(f"order {self._seed} {self._salt}")
        again: list[tuple[int, int, Submission]] = []
        for number in count():
            while again and again[0][0] <= number:
                yield Delivery(heapq.heappop(again)[2], is_repeat=True)
            submission = self._life(rng).next_submission(utc(clock.time_ns()), invalid)
            yield Delivery(submission)
            if submission.expected == "accepted" and rng.random() < duplicates:
                heapq.heappush(again, (number + rng.randint(1, _LONGEST_GAP), number, submission))

    def _life(self, rng: random.Random) -> Life:
        number = rng.choices(self._numbers, cum_weights=self._activity)[0]
        if number not in self._lives:
            own = random.Random(f"life {self._seed} {self._salt} {number}")
            self._lives[number] = Life(client_of(self._seed, number), own)
        return self._lives[number]
