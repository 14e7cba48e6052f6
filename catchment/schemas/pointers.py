"""JSON pointers, and where in a text the value stands that one leads to.

A text is followed by its tokens alone, so that places are those of the file as somebody wrote it, and a text that
breaks off is followed as far as it goes. Places are in characters, lines are numbered from 1.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

_HOPS = 64
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


@dataclass(slots=True)
class _Level:
    """An object or array on the way: the name or index of the value that is read, and where the name began."""

    is_object: bool
    key: str | int | None
    begin: int = 0


def pointer_of(steps: Iterable[object]) -> str:
    """Steps as a JSON pointer, `#` the whole."""
    return "#" + "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


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
            node = child(node, step)
        else:
            break
    return steps


def child(node: Any, step: str) -> Any:
    """What is at a step below a value; None where there is nothing."""
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


class LineIndex:
    """The lines of all values of a text, read once. `repeated` are the pointers of names that an object has twice."""

    def __init__(self, text: str) -> None:
        ends = [at for at, sign in enumerate(text) if sign == "\n"]
        self.repeated: list[str] = []
        self._lines: dict[str, int] = {}
        for _, path, first, last in _values(text):
            pointer = pointer_of(path)
            if pointer not in self._lines:
                self._lines[pointer] = bisect_left(ends, first) + 1
            elif (last is None or text[last - 1] not in "}]") and pointer.rpartition("/")[0] not in self.repeated:
                self.repeated.append(pointer)

    def line(self, pointer: str) -> int:
        """The line on which the value, or what is nearest around it, begins."""
        while pointer not in self._lines and "/" in pointer:
            pointer = pointer.rpartition("/")[0]
        return self._lines.get(pointer, 1)


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
