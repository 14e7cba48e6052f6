"""What columns and tables are called: snake_case, decided by the schema alone, the same at every start.

    clientId → client_id      URLBar → url_bar       l2cacheKB → l2cache_kb
    x-debug  → x_debug        2nd    → _2nd          "" → _

Two properties of one object that would get the same name: the one that is spelled so already keeps it, the others, in
the order of their spelling, get `_2`, `_3` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_WORD_BEFORE_CAPITAL = re.compile(r"([a-z0-9])([A-Z])")
_ACRONYM_BEFORE_WORD = re.compile(r"([A-Z]+)([A-Z][a-z])")
_OTHER = re.compile(r"[^0-9A-Za-z]+")


def snake_case(name: str) -> str:
    """The column name of a property."""
    spaced = _ACRONYM_BEFORE_WORD.sub(r"\1_\2", _WORD_BEFORE_CAPITAL.sub(r"\1_\2", name))
    snake = _OTHER.sub("_", spaced).lower().strip("_") if name.strip("_") else ""
    if not snake:
        return "_"
    return f"_{snake}" if snake[0].isdigit() else snake


def column_names(properties: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """Property → column, without collisions among them or with `taken`."""
    names: dict[str, str] = {}
    used = set(taken)
    for name in sorted(properties, key=lambda name: (snake_case(name) != name, name)):
        wanted = column = snake_case(name)
        number = 2
        while column in used:
            column = f"{wanted}_{number}"
            number += 1
        used.add(column)
        names[name] = column
    return names


def table_name(namespace: str, doctype: str, version: int) -> str:
    """`telemetry`, `new-profile`, 4 → `telemetry.new_profile_v4`."""
    return f"{snake_case(namespace)}.{snake_case(doctype)}_v{version}"


def beside(column: str, kind: str, number: int = 1) -> str:
    """The column for values of another type than `column` has: `total`, `double` → `total__double`, then
    `total__double_2`. No property has such a name: two underscores never stand together in one."""
    return f"{column}__{kind}" if number == 1 else f"{column}__{kind}_{number}"
