"""Numbers, times and foreign texts as a person reads them. Filters of the templates.

Units stand beside every number and thousands are separated. A text that came from outside is shown as what it is:
control and direction-changing characters, which could hide or turn what stands around them, become visible signs.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime

from catchment.clock import utc

DASH = "–"
_BINARY = ("B", "KiB", "MiB", "GiB")
_SPACES = {"\n": "⏎", "\t": "⇥", "\r": "␍"}


def count(value: float) -> str:
    """A whole number: 1,234,567."""
    return f"{round(value):,}"


def rate(per_s: float) -> str:
    """Records per second with three digits that mean something: 0, 0.3, 42.5, 1,234."""
    if per_s <= 0:
        return "0"
    if per_s < 0.1:
        return f"{per_s:.2f}" if per_s >= 0.005 else "<0.01"
    return f"{per_s:.1f}" if per_s < 99.95 else f"{per_s:,.0f}"


def short(value: float) -> str:
    """A number where there is little room: 950, 12.3 k, 4.56 M. For axes; the full number stands in the table."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):,.3g} {unit}"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


def duration(seconds: float) -> str:
    """A length of time: 3 ms, 1.2 s, 5 min, 3 h, 12 d."""
    seconds = max(seconds, 0.0)
    if seconds < 0.0995:
        return f"{seconds * 1e3:.1f} ms" if seconds < 0.00995 else f"{seconds * 1e3:.0f} ms"
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    for limit, length, unit in ((5_940, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{seconds / length:.2g} {unit}" if seconds < 4 * length else f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:,.0f} d"


def age(then_ns: int, now_ns: int) -> str:
    """How long ago: "now", "12 s ago"; a time ahead of this machine's clock says so."""
    seconds = (now_ns - then_ns) / 1e9
    if seconds < -1.5:
        return f"{duration(-seconds)} ahead"
    return "now" if seconds < 1 else f"{duration(round(seconds))} ago"


def clock_time(time_ns: int, now_ns: int) -> str:
    """UTC: the time of day, with the day when it is another one than now's."""
    then, now = utc(time_ns), utc(now_ns)
    return f"{then:%H:%M:%S}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M:%S}"


def timestamp(time_ns: int) -> str:
    """UTC, in full, to the millisecond."""
    return written(utc(time_ns))


def written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d} UTC"


def plain(text: object) -> str:
    """A foreign text with everything in it visible: no line ends, controls, or marks that turn the writing round."""
    string = str(text)
    if string.isascii() and string.isprintable():
        return string
    return "".join(_visible(sign) for sign in string)


def _visible(sign: str) -> str:
    if sign in _SPACES:
        return _SPACES[sign]
    kind = unicodedata.category(sign)
    if kind in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return f"\\u{{{ord(sign):x}}}"
    return sign


def shortened(text: str, length: int) -> str:
    """The beginning of a text with an ellipsis when something was cut off."""
    return text if len(text) <= length else text[: length - 1] + "…"
