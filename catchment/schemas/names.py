"""What columns and tables are called: snake_case, decided by the schema alone, the same at every start.

    clientId → client_id      URLBar → url_bar       l2cacheKB → l2cache_kb
    x-debug  → x_debug        2nd    → _2nd          "" → _

Two properties of one object that would get the same name: the one that is spelled so already keeps it, the others, in
the order of their spelling, get `_2`, `_3` and so on. `Property.renamed` in `shape.py` records it.

A column keeps a name that is a word of SQL (`order`, `group`): quoting it is the smaller evil than a second name that
nobody expects. `is_sql_word` finds those, so that who writes a schema can be told.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_WORD_BEFORE_CAPITAL = re.compile(r"([a-z0-9])([A-Z])")
_ACRONYM_BEFORE_WORD = re.compile(r"([A-Z]+)([A-Z][a-z])")
_OTHER = re.compile(r"[^0-9A-Za-z]+")


_SQL_WORDS = frozenset(
    """
    all alter analyse analyze and anti any array as asc asof asymmetric at authorization binary both by case cast
    check collate collation column columns concurrently constraint create cross cube current_catalog current_date
    current_path current_role current_schema current_time current_timestamp current_user deallocate default
    deferrable delete desc describe distinct do drop else end escape except execute exists extract false fetch
    filter for foreign freeze from full generated glob grant group grouping having ilike in initially inner insert
    intersect into is isnull join json_array json_exists json_object json_query json_table json_value lambda lateral
    leading left like limit listagg localtime localtimestamp map natural normalize not notnull null offset on only
    or order outer overlaps pivot pivot_longer pivot_wider placing positional prepare primary qualify recursive
    references returning right rollup select semi session_user show similar skip some struct summarize symmetric
    table tablesample then time to trailing trim true try_cast tuple uescape union unique unknown unnest unpack
    unpivot user using values variadic verbose when where window with within
    """.split()  # noqa: SIM905  # a list would be a line for each word
)
"""What a query must quote in DuckDB, Trino or Spark with ANSI mode, to use it as a name."""


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


def is_sql_word(column: str) -> bool:
    """Whether a query has to quote the column's name, in at least one of the engines that read the lake."""
    return column in _SQL_WORDS


def table_name(namespace: str, doctype: str, version: int) -> str:
    """`telemetry`, `new-profile`, 4 → `telemetry.new_profile_v4`."""
    return f"{snake_case(namespace)}.{snake_case(doctype)}_v{version}"


def beside(column: str, kind: str, number: int = 1) -> str:
    """The column for values of another type than `column` has: `total`, `double` → `total__double`, then
    `total__double_2`. No property has such a name: two underscores stand together only in `__2`, the
    second one called `_`."""
    return f"{column}__{kind}" if number == 1 else f"{column}__{kind}_{number}"


def primary(column: str) -> str:
    """The column that another one is beside; a column that is beside none is its own."""
    name, mark, _ = column.rpartition("__")
    return name if mark and name else column  # `__2` is the second property called `_`
