"""Sessions: what a client does and which pings come of it, chained as Firefox chains them.

A session is a `baseline` (active), subsessions with a `main` and often an `event` each, at times a `crash`, at its end
another `baseline` (inactive). Counters and ids go on from one to the next: `subsessionCounter` from 1 in each session,
`profileSubsessionCounter` through the profile's life, `previousSubsessionId` across sessions.

Time is compressed: lengths are a person's (log-normal, median 40 minutes), but the next session begins when the last
ping of the one before has been sent. A session is dated back, so that it ended shortly before it is sent; one in ten
was kept by the client for longer, a day on average.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from catchment.producers import pings
from catchment.producers.client import Client, draw_uuid
from catchment.producers.moment import Moment
from catchment.producers.submission import Submission, glean_submission, spoil, telemetry_submission

_MEDIAN_SESSION_LN, _SESSION_SIGMA = 7.8, 1.1
_LATE_SHARE, _USUAL_DELAY_S, _LATE_DELAY_S = 0.1, 20.0, 86_400.0
_CRASH_SHARE, _HEALTH_SHARE = 0.04, 0.15
_MAIN_SIZE_LN, _MAIN_SIGMA = 9.3, 0.75
_EVENT_SIZE_LN, _EVENT_SIGMA = 8.4, 0.6


@dataclass(frozen=True, slots=True)
class Session:
    session_id: str
    started: datetime


Step = Callable[[datetime, float], Submission]


class Life:
    """One client through its sessions. `rng` decides what it does; who it is stays as it is."""

    def __init__(self, client: Client, rng: random.Random) -> None:
        self.client = client
        self._rng = rng
        self._steps: deque[Step] = deque()
        self._is_new = client.age_days == 0
        self._profile_counter = client.subsessions
        self._session_counter = 0
        self._previous_session: str | None = None if self._is_new else draw_uuid(rng)
        self._previous_subsession: str | None = None if self._is_new else draw_uuid(rng)
        self._subsession_id = draw_uuid(rng)
        self._session = Session("", datetime.min)
        self._elapsed_s = 0
        self._length_s = 0
        self._sequences = {"baseline": client.subsessions * 2, "health": client.subsessions}

    def next_submission(self, now: datetime, invalid_share: float) -> Submission:
        """The client's next ping, sent at `now` (aware, UTC); spoiled with the probability `invalid_share`."""
        if not self._steps:
            self._begin(now)
        return self._steps.popleft()(now, invalid_share)

    def _begin(self, now: datetime) -> None:
        rng = self._rng
        count = 1 + min(int(rng.expovariate(1.2)), 4)
        lengths = [max(int(rng.lognormvariate(_MEDIAN_SESSION_LN, _SESSION_SIGMA) / count), 1) for _ in range(count)]
        delay_s = rng.expovariate(1 / (_LATE_DELAY_S if rng.random() < _LATE_SHARE else _USUAL_DELAY_S))
        self._session = Session(draw_uuid(rng), now - timedelta(seconds=sum(lengths) + delay_s))
        self._session_counter = self._elapsed_s = self._length_s = 0
        if self._is_new:
            self._steps.append(self._new_profile)
            self._is_new = False
        self._steps.append(partial(self._glean, "baseline", "active"))
        for number, length in enumerate(lengths):
            reason = "shutdown" if number == len(lengths) - 1 else rng.choice(("environment-change", "daily"))
            self._steps.append(partial(self._main, reason, length))
            if rng.random() < 0.5:
                self._steps.append(partial(self._event, "shutdown" if reason == "shutdown" else "periodic"))
        if rng.random() < _CRASH_SHARE:
            self._steps.append(self._crash)
        self._steps.append(partial(self._glean, "baseline", "inactive"))
        if rng.random() < _HEALTH_SHARE:
            self._steps.append(partial(self._glean, "health", "pre_init"))
        self._steps.append(self._end)

    def _end(self, now: datetime, invalid_share: float) -> Submission:
        """No ping of its own: the next session begins, and its first ping is sent."""
        self._previous_session = self._session.session_id
        return self.next_submission(now, invalid_share)

    def _main(self, reason: str, length: int, now: datetime, invalid_share: float) -> Submission:
        self._session_counter += 1
        self._profile_counter += 1
        self._elapsed_s += length
        self._length_s = length
        self._subsession_id = draw_uuid(self._rng)
        size = _clipped(self._rng.lognormvariate(_MAIN_SIZE_LN, _MAIN_SIGMA))
        ping = pings.main_ping(self._rng, size, self._moment(reason))
        self._previous_subsession = self._subsession_id
        by_pingsender = reason == "shutdown"
        whole = telemetry_submission(ping, self.client, now, by_pingsender=by_pingsender)
        return self._maybe_spoiled(whole, ping, invalid_share)

    def _event(self, reason: str, now: datetime, invalid_share: float) -> Submission:
        size = _clipped(self._rng.lognormvariate(_EVENT_SIZE_LN, _EVENT_SIGMA))
        ping = pings.event_ping(self._rng, size, self._moment(reason))
        return self._maybe_spoiled(telemetry_submission(ping, self.client, now), ping, invalid_share)

    def _crash(self, now: datetime, invalid_share: float) -> Submission:
        ping = pings.crash_ping(self._rng, self._moment("crash"))
        whole = telemetry_submission(ping, self.client, now, by_pingsender=True)
        return self._maybe_spoiled(whole, ping, invalid_share)

    def _new_profile(self, now: datetime, invalid_share: float) -> Submission:
        ping = pings.new_profile_ping(self._rng, self._moment("startup"))
        return self._maybe_spoiled(telemetry_submission(ping, self.client, now), ping, invalid_share)

    def _glean(self, doctype: str, reason: str, now: datetime, invalid_share: float) -> Submission:
        moment = self._moment(reason, self._sequences[doctype])
        self._sequences[doctype] += 1
        ping = (pings.baseline_ping if doctype == "baseline" else pings.health_ping)(self._rng, moment)
        whole = glean_submission(ping, doctype, moment.document_id, self.client, now)
        return self._maybe_spoiled(whole, ping, invalid_share)

    def _moment(self, reason: str, sequence: int = 0) -> Moment:
        return Moment(
            client=self.client,
            document_id=draw_uuid(self._rng),
            created=self._session.started + timedelta(seconds=self._elapsed_s),
            session_id=self._session.session_id,
            subsession_id=self._subsession_id,
            previous_session_id=self._previous_session,
            previous_subsession_id=self._previous_subsession,
            subsession_counter=self._session_counter,
            profile_subsession_counter=self._profile_counter,
            session_length=self._elapsed_s,
            subsession_length=self._length_s,
            sequence=sequence,
            reason=reason,
        )

    def _maybe_spoiled(self, whole: Submission, ping: dict[str, object], invalid_share: float) -> Submission:
        if self._rng.random() >= invalid_share:
            return whole
        return spoil(self._rng, whole, ping)


def _clipped(size: float) -> int:
    return max(pings.SMALLEST, min(int(size), pings.LARGEST))
