"""Times as people write them on a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

_AGO = re.compile(r"(\d+)(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Moment(click.ParamType[int]):
    """A date, a date and time (UTC unless it says otherwise), `now`, or a time ago like `36h` or `7d`; as ns."""

    name = "time"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        ago = _AGO.fullmatch(value)
        if value == "now" or ago:
            past = timedelta(**{_UNITS[ago[2]]: int(ago[1])}) if ago else timedelta()
            found = datetime.now(UTC) - past
        else:
            try:
                found = datetime.fromisoformat(value)
            except ValueError:
                self.fail(f"{value!r} is no time; write 2026-11-24, 2026-11-24T08:30, now, 36h or 7d", param, ctx)
        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC)
        return int((found - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000
