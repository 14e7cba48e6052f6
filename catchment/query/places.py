"""Errors of the engine as `QueryError`s: the reason in one word, the message in one line, the place in the text."""

from __future__ import annotations

import re

import duckdb

from catchment.errors import QueryError

_MARK = re.compile(r"\n+LINE (\d+): (.*)\n( *)\^")
_NAME = re.compile(r'(?:column|[Nn]ame|struct field) "?(\w+)"?')
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (duckdb.InterruptException, "cancelled"),
    (duckdb.OutOfMemoryException, "memory"),
    (duckdb.ParserException, "syntax"),
    (duckdb.SyntaxException, "syntax"),
    (duckdb.PermissionException, "not_allowed"),
    (duckdb.CatalogException, "invalid"),
    (duckdb.BinderException, "invalid"),
)


def place(sql: str, offset: int | None) -> tuple[int, int] | tuple[None, None]:
    """Line and column, from 1, of a byte offset in the text."""
    if offset is None:
        return (None, None)
    before = sql.encode()[:offset].decode(errors="replace")
    return (before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def refusal(error: duckdb.Error, sql: str) -> QueryError:
    """What the engine said, for the person who wrote `sql`."""
    text = str(error)
    reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "failed")
    if reason == "invalid" and "locked" in text:
        reason = "not_allowed"
    message = " ".join(_MARK.split(text)[0].split())
    message = re.sub(r"^(\w+ )?(\w+) Error: ", "", message)
    return QueryError(message or "the engine failed", reason, *_marked(text, sql))


def _marked(text: str, sql: str) -> tuple[int, int] | tuple[None, None]:
    """The place that the engine marked with a caret below a piece of the line (long lines are shown cut)."""
    mark = _MARK.search(text)
    if mark is None:
        return _named(text, sql)
    number, shown = int(mark.group(1)), mark.group(2)
    lines = sql.split("\n")
    if not 1 <= number <= len(lines):
        return (None, None)
    caret = len(mark.group(3)) - len(f"LINE {number}: ")
    head = 3 if shown.startswith("...") else 0
    piece = shown[head:].removesuffix("...")
    start = lines[number - 1].find(piece)
    if start < 0 or caret < head:
        return (number, 1)
    return (number, start + caret - head + 1)


def _named(text: str, sql: str) -> tuple[int, int] | tuple[None, None]:
    """The place of the name that the engine complains of, when it marks none."""
    name = _NAME.search(text)
    found = re.search(rf"(?<!\w){re.escape(name.group(1))}(?!\w)", sql, re.IGNORECASE) if name else None
    return place(sql, len(sql[: found.start()].encode())) if found else (None, None)
