"""A text as numbered lines of which some are marked: where a JSON pointer leads, or where reading stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 160
"""Characters of a line; what a text has in one longer line is folded."""
MOST_MARKED = 12


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a text, numbered from 1. With number 0 it stands for lines that are left out."""

    number: int
    text: str
    is_marked: bool = False


def numbered(text: str, place: tuple[int, int] | None = None, most_marked: int = MOST_MARKED) -> list[Line]:
    """The lines of a text, long ones folded; those that hold a character of `place` are marked, only the first when
    they are more than `most_marked`."""
    begin, end = place or (0, 0)
    if text.count("\n", begin, end) >= most_marked:
        end = text.index("\n", begin)
    lines: list[Line] = []
    at = 0
    for written in text.splitlines(keepends=True):
        for start in range(0, len(written), WIDTH):
            piece = written[start : start + WIDTH]
            is_marked = at < end and at + len(piece) > begin
            lines.append(Line(len(lines) + 1, piece.rstrip("\r\n"), is_marked))
            at += len(piece)
    return lines


def excerpt(lines: Sequence[Line], most: int) -> list[Line]:
    """At most about `most` of the lines: the beginning, and what stands around the first marked one."""
    if len(lines) <= most:
        return list(lines)
    first = next((number for number, line in enumerate(lines) if line.is_marked), 0)
    begin, end = max(first - most // 4, 0), first + most // 2
    head = min(most // 4, begin)
    return [
        *lines[:head],
        *_left_out(begin - head),
        *lines[begin:end],
        *_left_out(len(lines) - end),
    ]


def _left_out(count: int) -> list[Line]:
    return [Line(0, f"… {count:,} lines are left out …")] if count > 0 else []
