"""Plain regular expressions as sequences of ASCII sets, which `_accept.c` can search for.

    ^? (set count?)* $?      set: a character, \\. (an escaped sign), [a-z_0-9], .    count: * + ? {2} {2,} {2,8}

Anything else (groups, alternatives, looking ahead, negated sets, classes like \\d, lazy counts) is no plain pattern.
Over printable ASCII a plain one means the same in all engines.
"""

from __future__ import annotations

import re
from typing import Any

Part = tuple[int, int, int, int]
"""The set's characters 0 to 63 and 64 to 127 as bits, least and most of them, −1 for any number."""
Pattern = tuple[bool, bool, tuple[Part, ...]]
"""Whether it begins and ends with the text, and its parts."""

MOST_PARTS = 64
_PRINTABLE = range(0x20, 0x7F)
_SIGNS = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_SPECIAL = frozenset("()|*+?{}[]^$\\.")
_ATOM = re.compile(
    r"(?P<any>\.)|\[(?P<set>(?:[^\]\[\\^]|\\.)(?:[^\]\[\\]|\\.)*)\]|(?P<one>\\.|[^()|*+?{}\[\]^$\\.])", re.ASCII
)
_COUNT = re.compile(r"([*+?])|\{(\d{1,4})(?:(,)(\d{0,4}))?\}", re.ASCII)
_FEW = {"*": (0, -1), "+": (1, -1), "?": (0, 1)}


def read_pattern(text: Any) -> Pattern | None:
    """The plain pattern that `text` is; None when it is not one."""
    if not isinstance(text, str) or not all(ord(sign) in _PRINTABLE for sign in text):
        return None
    at, end = int(text.startswith("^")), len(text)
    ends = text.endswith("$") and not text.endswith("\\$") and end > at
    end -= ends
    parts: list[Part] = []
    while at < end:
        atom = _ATOM.match(text, at, end)
        signs = _signs(atom) if atom else None
        if atom is None or signs is None or len(parts) == MOST_PARTS:
            return None
        at = atom.end()
        least, most = 1, 1
        if count := _COUNT.match(text, at, end):
            least, most = _counts(count)
            at = count.end()
            if (at < end and text[at] in "?+*{") or 0 <= most < least:
                return None
        bits = sum(1 << sign for sign in signs)
        parts.append((bits & (1 << 64) - 1, bits >> 64, least, most))
    return None if _is_misread(parts) else (text.startswith("^"), ends, tuple(parts))


def _is_misread(parts: list[Part]) -> bool:
    """Whether a set repeated without end comes again behind optional parts, `a+b?a+`: jsonschema-rs 0.60 finds one such
    part enough, and its judgement counts."""
    for at, (*signs, least, most) in enumerate(parts):
        behind = next((number for number in range(at + 1, len(parts)) if parts[number][2]), at)
        if behind > at + 1 and least and most < 0:
            *others, _, most_others = parts[behind]
            if others == signs and most_others < 0:
                return True
    return False


def _signs(atom: re.Match[str]) -> set[int] | None:
    if atom["any"]:
        return set(_PRINTABLE)
    if atom["one"]:
        return None if (sign := _sign(atom["one"])) is None else {sign}
    if any(operation in atom["set"] for operation in ("&&", "~~", "--")):
        return None  # operations on sets, in some engines
    signs: set[int] = set()
    members = re.findall(r"\\.|.", atom["set"])
    at = 0
    while at < len(members):
        first = _sign(members[at])
        if first is None:
            return None
        if at + 2 < len(members) and members[at + 1] == "-":
            last = _sign(members[at + 2])
            if last is None or last < first:
                return None
            signs.update(range(first, last + 1))
            at += 3
        else:
            signs.add(first)
            at += 1
    return signs


def _sign(text: str) -> int | None:
    """The character that stands for itself, or is escaped; None for a class like \\d."""
    if text[0] != "\\":
        return ord(text)
    return ord(text[1]) if text[1] in _SIGNS else None


def _counts(count: re.Match[str]) -> tuple[int, int]:
    if count[1]:
        return _FEW[count[1]]
    least = int(count[2])
    if not count[3]:
        return least, least
    return least, int(count[4]) if count[4] else -1
