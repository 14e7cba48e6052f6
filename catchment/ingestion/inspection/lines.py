"""A text as numbered lines of which some are marked: where a JSON pointer leads, or where reading stopped.

JSON is followed by its tokens alone, so that the lines are those of the file as somebody wrote it, and a text that
breaks off is followed as far as it goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

WIDTH = 160
"""Characters of a line; what a text has in one longer line is folded."""
MOST_MARKED = 12
_HOPS = 64
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a text, numbered from 1. With number 0 it stands for lines that are left out."""

    number: int
    text: str
    is_marked: bool = False


@dataclass(slots=True)
class _Level:
    """An object or array on the way: the name or index of the value that is read, and where the name began."""

    is_object: bool
    key: str | int | None
    begin: int = 0


def steps_of(pointer: str) -> list[str]:
    """A JSON pointer, with or without `#`, as its steps."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.lstrip("#").split("/")[1:]]


def resolved(schema: Any, pointer: str) -> list[str]:
    """The steps to the place in the file that a pointer of a violation means: those over a `$ref` lead on from its
    target."""
    steps = steps_of(pointer)
    for _ in range(_HOPS):
        node = schema
        for number, step in enumerate(steps):
            if isinstance(node, dict) and step == "$ref" and str(node.get(step)).startswith("#"):
                steps = steps_of(node[step]) + steps[number + 1 :]
                break
            node = _child(node, step)
        else:
            break
    return steps


def _child(node: Any, step: str) -> Any:
    if isinstance(node, dict):
        return node.get(step)
    if isinstance(node, list) and step.isdecimal() and int(step) < len(node):
        return node[int(step)]
    return None


def place_of(text: str, steps: Sequence[str]) -> tuple[int, int] | None:
    """Where the value stands, from its name to its end, in characters; None when the text does not have it."""
    begin: int | None = None
    for depth, path, first, last in _values(text):
        if depth == len(steps) and all(str(key) == step for key, step in zip(path, steps, strict=True)):
            if last is not None:
                return first if begin is None else begin, last
            begin = first
    return None


def _values(text: str) -> Iterator[tuple[int, list[str | int | None], int, int | None]]:
    """Each value with its depth, path and beginning; an object or array twice, at its end with the end too."""
    levels: list[_Level] = []
    for token in _TOKEN.finditer(text):
        sign, inner = token.group(), levels[-1] if levels else None
        if sign == ":":
            continue
        if sign == ",":
            if inner is not None:
                inner.key = None if inner.is_object else int(inner.key or 0) + 1
            continue
        if sign in ("}", "]"):
            if levels:
                levels.pop()
                yield len(levels), [level.key for level in levels], token.start(), token.end()
            continue
        if inner is not None and inner.is_object and inner.key is None:
            inner.key, inner.begin = _name(sign), token.start()
            continue
        first = inner.begin if inner is not None and inner.is_object else token.start()
        is_opening = sign in ("{", "[")
        yield len(levels), [level.key for level in levels], first, None if is_opening else token.end()
        if is_opening:
            levels.append(_Level(sign == "{", None if sign == "{" else 0))


def _name(token: str) -> str:
    try:
        return str(orjson.loads(token))
    except orjson.JSONDecodeError:  # not a valid string: it is what stands there
        return token


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
