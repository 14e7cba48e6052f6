"""Times as people write them: `90s`, `30m`, `6h`, `7d` ago, `now`, or a date or time of ISO 8601, in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from catchment.clock import EPOCH, utc
from catchment.errors import Malformed

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO = re.compile(r"(\d{1,9})([smhdw])")


def moment_ns(text: str, now_ns: int) -> int:
    """The moment that `text` means, ns since the epoch. Raises Malformed."""
    if text.strip() == "now":
        return now_ns
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return max(now_ns - int(ago[1]) * _UNITS_S[ago[2]] * 1_000_000_000, 0)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise Malformed(
            f"reading a time: {text[:40]!r} is none; write now, 30m, 6h or 7d, or 2026-11-25 or 2026-11-25T10:00 (UTC)"
        ) from error
    return max(nanoseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC)), 0)


def nanoseconds(moment: datetime) -> int:
    """An aware time as ns since the epoch, exactly."""
    since = moment - EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def sql_moment(time_ns: int) -> str:
    """The moment as SQL writes it, cut to microseconds."""
    return f"TIMESTAMPTZ '{utc(time_ns):%Y-%m-%d %H:%M:%S.%f}+00'"


def sql_text(text: str) -> str:
    """The text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
