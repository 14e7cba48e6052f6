"""A moment on the command line: `2026-11-25`, `2026-11-25T14:30` (UTC unless it says otherwise), or an age: `90s`,
`30m`, `6h`, `7d` ago, or `now`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Moment(click.ParamType[datetime]):
    """Converts to an aware datetime in UTC."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        now = datetime.now(UTC)
        try:
            if value == "now":
                return now
            if age := _AGE.fullmatch(value):
                return now - timedelta(seconds=float(age[1]) * _UNITS_S[age[2]])
            found = datetime.fromisoformat(value)
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no moment; write 2026-11-25, 2026-11-25T14:30, an age like 30m, 6h or 7d, or now",
                param,
                ctx,
            )
