"""Times as clients write them: the Date header of HTTP, and RFC 3339 in a document.

Both are kept exactly. Texts repeat (a second is shared by many requests, a minute by many documents), so what was read
is remembered. A text that is no time is None, never an error: it is the client's clock, not ours, that is wrong.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import mktime_tz, parsedate_tz
from functools import lru_cache

CACHED_TEXTS = 16_384
MAX_CHARS = 64

_MINUTE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d", re.ASCII)
_REST = re.compile(r":([0-5]\d|60)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))", re.ASCII)
_MINUTE_CHARS = len("2018-03-28T03:02")
_EARLIEST_YEAR, _LATEST_YEAR = 1678, 2261
"""What fits into 64 bits of nanoseconds."""


@lru_cache(CACHED_TEXTS)
def http_date_s(text: str) -> int | None:
    """Seconds since the epoch of a Date header, in any of the three forms of RFC 9110."""
    if len(text) > MAX_CHARS:
        return None
    try:
        parts = parsedate_tz(text)
        return None if parts is None else int(mktime_tz(parts))
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def rfc3339_ns(text: str) -> int | None:
    """Nanoseconds since the epoch; further digits are cut off. None for another form, or outside 1678 to 2261."""
    if len(text) > MAX_CHARS:
        return None
    minute_s, rest_ns = _minute_s(text[:_MINUTE_CHARS]), _rest_ns(text[_MINUTE_CHARS:])
    return None if minute_s is None or rest_ns is None else minute_s * 1_000_000_000 + rest_ns


@lru_cache(CACHED_TEXTS)
def _minute_s(text: str) -> int | None:
    if _MINUTE.fullmatch(text) is None:
        return None
    try:
        minute = datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(minute.timestamp()) if _EARLIEST_YEAR <= minute.year <= _LATEST_YEAR else None


@lru_cache(CACHED_TEXTS)
def _rest_ns(text: str) -> int | None:
    """From the seconds on, with the distance to UTC taken out."""
    found = _REST.fullmatch(text)
    if found is None:
        return None
    seconds, fraction, sign, hours, minutes = found.groups()
    ahead_s = (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == "-" else 1) if sign else 0
    return (int(seconds) - ahead_s) * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))
