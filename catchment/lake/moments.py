"""Timestamps and dates: which texts are one, and which of them say more than the column can.

A timestamp column holds an instant, in µs. A text of RFC 3339 in UTC (`Z` or `+00:00`) with at most six digits of a
second says no more than that: `…:00Z` and `…:00.000Z` are spellings of one instant, as 12 and 12.0 are of one number.
A text with another offset, or with a finer fraction, goes into the column too, but says more, so it is kept as well.
Leap seconds, dates that are none and years outside of 1 to 9999 are no timestamps. A date column gives back exactly
the text, `2026-11-25`.

`_columns.c` does the same; the tests hold the two together.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)
_EPOCH = date(1970, 1, 1).toordinal()
_EARLIEST_US = -62_135_596_800_000_000
"""0001-01-01T00:00:00Z"""
_LATEST_US = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z"""


def read_date(value: Any) -> int | None:
    """Days since 1970-01-01; None for what is no date."""
    if value.__class__ is not str or _DATE.fullmatch(value) is None:
        return None
    try:
        return date.fromisoformat(value).toordinal() - _EPOCH
    except ValueError:
        return None


def read_timestamp(value: Any) -> tuple[int, bool] | None:
    """µs since the epoch, and whether the text says more than that; None for what is no timestamp."""
    found = _TIMESTAMP.fullmatch(value) if value.__class__ is str else None
    if found is None or (days := read_date(found[1])) is None:
        return None
    hour, minute, second = int(found[2]), int(found[3]), int(found[4])
    offset = int(found[7]) * 60 + int(found[8]) if found[6] else 0
    if hour > 23 or minute > 59 or second > 59 or (found[6] and (int(found[7]) > 23 or int(found[8]) > 59)):
        return None
    fraction = found[5] or ""
    says_more = bool(fraction[6:].strip("0")) or offset != 0 or found[6] == "-"
    minutes = (days * 24 + hour) * 60 + minute - (-offset if found[6] == "-" else offset)
    us = (minutes * 60 + second) * 1_000_000 + int(fraction[:6].ljust(6, "0"))
    return (us, says_more) if _EARLIEST_US <= us <= _LATEST_US else None
