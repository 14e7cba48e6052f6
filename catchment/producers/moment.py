"""What a ping is about: one client at one point of one session.

Dates are written as Firefox writes them: `creationDate` in UTC with milliseconds, session dates in local time cut to
the hour, Glean's times with the client's offset.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from catchment.producers.client import Client, client_of, draw_uuid

EPOCH_DAY = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything about a ping that is not measured. Lengths are whole seconds; `created` is aware, UTC."""

    client: Client
    document_id: str
    created: datetime
    session_id: str
    subsession_id: str
    previous_session_id: str | None
    previous_subsession_id: str | None
    subsession_counter: int
    """Of this session, from 1."""
    profile_subsession_counter: int
    """Of the profile's life, from 1."""
    session_length: int
    subsession_length: int
    sequence: int
    """Of the client's Glean pings of this type, from 0."""
    reason: str
    crashes: int = 0

    @property
    def today(self) -> int:
        """Days since 1970-01-01."""
        return (self.created - EPOCH_DAY).days

    @property
    def session_started(self) -> datetime:
        return self.created - timedelta(seconds=self.session_length)

    @property
    def subsession_started(self) -> datetime:
        return self.created - timedelta(seconds=self.subsession_length)


def draw_moment(rng: random.Random, created: datetime | None = None, reason: str = "shutdown") -> Moment:
    """Some client at some moment, all from `rng`; for whoever needs a ping without a fleet."""
    client = client_of(rng.getrandbits(32), rng.randrange(1000))
    length = max(int(rng.lognormvariate(7.8, 1.0)), 1)
    counter = 1 + rng.randrange(3)
    has_past = client.subsessions > 0
    return Moment(
        client=client,
        document_id=draw_uuid(rng),
        created=created or datetime(2026, 11, 23, 8, 0, tzinfo=UTC) + timedelta(seconds=rng.randrange(86_400)),
        session_id=draw_uuid(rng),
        subsession_id=draw_uuid(rng),
        previous_session_id=draw_uuid(rng) if has_past else None,
        previous_subsession_id=draw_uuid(rng) if has_past or counter > 1 else None,
        subsession_counter=counter,
        profile_subsession_counter=client.subsessions + counter,
        session_length=length * counter,
        subsession_length=length,
        sequence=rng.randrange(400),
        reason=reason,
    )


def creation_date(at: datetime) -> str:
    """2026-11-23T04:41:28.793Z"""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def hour(at: datetime, zone: int) -> str:
    """2026-11-23T05:00:00.0+01:00, local time cut to the hour; `zone` is minutes east of UTC."""
    return f"{_local(at, zone):%Y-%m-%dT%H}:00:00.0{_offset(zone)}"


def minute(at: datetime, zone: int) -> str:
    """2026-11-23T05:41+01:00"""
    return f"{_local(at, zone):%Y-%m-%dT%H:%M}{_offset(zone)}"


def millisecond(at: datetime, zone: int) -> str:
    """2026-11-23T05:41:28.793+01:00"""
    local = _local(at, zone)
    return f"{local:%Y-%m-%dT%H:%M:%S}.{local.microsecond // 1000:03d}{_offset(zone)}"


def day(at: datetime, zone: int) -> str:
    """2026-11-23+01:00"""
    return f"{_local(at, zone):%Y-%m-%d}{_offset(zone)}"


def _local(at: datetime, zone: int) -> datetime:
    return at.astimezone(timezone(timedelta(minutes=zone)))


def _offset(zone: int) -> str:
    sign = "+" if zone >= 0 else "-"
    return f"{sign}{abs(zone) // 60:02d}:{abs(zone) % 60:02d}"
