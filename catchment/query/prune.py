"""What a query's own conditions say about the files it needs.

For each mention of a table, the conditions that must hold for every one of its rows that the query can use: the AND-ed
parts of WHERE, and of ON of inner joins. Of these the comparisons of a measured column with a constant count: `=`,
`<`, `<=`, `>`, `>=`, BETWEEN, IN, also on the day of a time (`date(t)`, `t::date`, `date_trunc`). Constants are
computed by the engine itself, in the transaction in which the query runs, so that `now()` is the same.

Everything doubtful keeps all files: OR, NOT, the side of an outer join that may be filled with NULLs, ASOF and
POSITIONAL joins, samples, renamed columns, columns whose table is not certain, and any part of the tree that is not
known here. A condition that is overlooked costs time; one that is misread would lose rows.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

from pyiceberg.expressions import (
    AlwaysTrue,
    And,
    BooleanExpression,
    EqualTo,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    LessThan,
    LessThanOrEqual,
)

from catchment.query.statement import Node, nodes

Evaluate = Callable[[Node, str], Any]
"""Computes a constant expression cast to a type; None when it is not constant, would compare otherwise, or is NULL."""

_COMPARISONS = {
    "COMPARE_EQUAL": "=",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
_TURNED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_EXPRESSIONS: dict[str, Any] = {
    "=": EqualTo,
    "<": LessThan,
    "<=": LessThanOrEqual,
    ">": GreaterThan,
    ">=": GreaterThanOrEqual,
    "in": In,
}
_INNER_SIDES = {
    "INNER": ("left", "right"),
    "LEFT": ("left",),
    "RIGHT": ("right",),
    "SEMI": ("left",),
    "ANTI": ("left",),
}
_PLAIN_JOINS = {"REGULAR", "NATURAL", "CROSS", "DEPENDENT"}
_LONGEST_UNIT = {
    "second": datetime.timedelta(seconds=1),
    "minute": datetime.timedelta(minutes=1),
    "hour": datetime.timedelta(hours=1),
    "day": datetime.timedelta(days=1),
    "week": datetime.timedelta(days=7),
    "month": datetime.timedelta(days=31),
    "year": datetime.timedelta(days=366),
}
TIME = "TIMESTAMP WITH TIME ZONE"
DATE = "DATE"


class Conditions:
    """The conditions of one syntax tree, by mention of a table (the identity of its node)."""

    def __init__(self, tree: Node) -> None:
        self._conditions: dict[int, list[tuple[Node, tuple[str, ...]]]] = {}
        for node in nodes(tree):
            if node.get("type") == "SELECT_NODE":
                self._read(node)

    def filter(self, node: Node, columns: dict[str, str], evaluate: Evaluate) -> BooleanExpression:
        """What must hold for rows of this mention. `columns` are the measured columns, name (lower case) → type."""
        found: BooleanExpression = AlwaysTrue()
        for condition, prefixes in self._conditions.get(id(node), []):
            for expression in _expressions(condition, prefixes, columns, evaluate):
                found = And(found, expression)
        return found

    def _read(self, select: Node) -> None:
        source = select.get("from_table")
        if not isinstance(source, dict) or select.get("sample"):
            return
        leaves = list(_leaves(source, []))
        where = select.get("where_clause")
        renamed = {str(item.get("alias", "")).lower() for item in select.get("select_list") or []} - {""}
        for leaf, conditions, is_certain in leaves:
            if (
                not is_certain
                or leaf.get("type") != "BASE_TABLE"
                or leaf.get("sample")
                or leaf.get("column_name_alias")
            ):
                continue
            name = str(leaf.get("alias") or leaf.get("table_name")).lower()
            same = sum(_name(other) == name for other, _, _ in leaves)
            if same > 1:
                continue
            prefixes = [f"{name}."]
            if not leaf.get("alias"):
                prefixes.append(f"{str(leaf.get('schema_name')).lower()}.{name}.")
            if len(leaves) == 1:
                prefixes.append("")
            known = [*conditions, *([where] if isinstance(where, dict) else [])]
            held = [(part, _without(prefixes, renamed)) for whole in known for part in _parts(whole)]
            self._conditions[id(leaf)] = held


def _name(leaf: Node) -> str:
    return str(leaf.get("alias") or leaf.get("table_name") or "").lower()


def _without(prefixes: list[str], renamed: set[str]) -> tuple[str, ...]:
    """The prefixes under which columns count; aliases of the result, which WHERE may mean too, are noted with `-`."""
    return (*prefixes, *(f"-{alias}" for alias in sorted(renamed)))


def _leaves(source: Node, conditions: list[Node], is_certain: bool = True) -> Iterator[tuple[Node, list[Node], bool]]:
    """Tables and subqueries of a FROM, each with the ON conditions that bind it and whether none of its rows is
    replaced by NULLs or chosen by neighbours."""
    if source.get("type") != "JOIN":
        yield source, conditions, is_certain
        return
    kind, how = str(source.get("join_type")), str(source.get("ref_type"))
    sides = _INNER_SIDES.get(kind, ()) if how in _PLAIN_JOINS else ()
    on = source.get("condition")
    inner = [*conditions, on] if kind == "INNER" and how == "REGULAR" and isinstance(on, dict) else conditions
    for side in ("left", "right"):
        child = source.get(side)
        if isinstance(child, dict):
            yield from _leaves(child, inner if side in sides else [], is_certain and side in sides)


def _parts(condition: Node) -> Iterator[Node]:
    if condition.get("type") == "CONJUNCTION_AND":
        for child in condition.get("children") or []:
            yield from _parts(child)
    else:
        yield condition


def _expressions(
    condition: Node, prefixes: tuple[str, ...], columns: dict[str, str], evaluate: Evaluate
) -> Iterator[BooleanExpression]:
    kind = str(condition.get("type"))
    if kind in _COMPARISONS:
        sign = _COMPARISONS[kind]
        left, right = condition.get("left") or {}, condition.get("right") or {}
        yield from _compared(left, sign, right, prefixes, columns, evaluate)
        yield from _compared(right, _TURNED[sign], left, prefixes, columns, evaluate)
    elif kind == "COMPARE_BETWEEN":
        value = condition.get("input") or {}
        yield from _compared(value, ">=", condition.get("lower") or {}, prefixes, columns, evaluate)
        yield from _compared(value, "<=", condition.get("upper") or {}, prefixes, columns, evaluate)
    elif kind == "COMPARE_IN":
        value, *listed = condition.get("children") or [{}]
        column = _column(value, prefixes, columns)
        if column is None:
            yield from _day_in(value, listed, prefixes, columns, evaluate)
            return
        values = [evaluate(item, columns[column]) for item in listed]
        if values and all(item is not None for item in values):
            yield _is(column, "in", tuple(_stored(item) for item in values))


def _day_in(
    value: Node, listed: list[Node], prefixes: tuple[str, ...], columns: dict[str, str], evaluate: Evaluate
) -> Iterator[BooleanExpression]:
    column = _dated(value, prefixes, columns)
    if column is None:
        return
    days = [evaluate(item, DATE) for item in listed]
    if days and all(day is not None for day in days):
        yield _is(column, ">=", _midnight(min(days)))
        yield _is(column, "<", _midnight(max(days), 1))


def _compared(
    value: Node, sign: str, constant: Node, prefixes: tuple[str, ...], columns: dict[str, str], evaluate: Evaluate
) -> Iterator[BooleanExpression]:
    column = _column(value, prefixes, columns)
    if column is not None:
        found = evaluate(constant, columns[column])
        if found is not None:
            yield _is(column, sign, _stored(found))
        return
    column = _dated(value, prefixes, columns)
    if column is not None:
        day = evaluate(constant, DATE)
        if day is not None:
            yield from _day_bounds(column, sign, day)
        return
    cut = _truncated(value, prefixes, columns)
    if cut is not None:
        found = evaluate(constant, TIME)
        if found is not None:
            column, longest = cut
            if sign in ("=", ">", ">="):
                yield _is(column, ">=", _stored(found))
            if sign in ("=", "<", "<="):
                yield _is(column, "<", _stored(found + longest))


def _day_bounds(column: str, sign: str, day: datetime.date) -> Iterator[BooleanExpression]:
    if sign in ("=", ">="):
        yield _is(column, ">=", _midnight(day))
    if sign == ">":
        yield _is(column, ">=", _midnight(day, 1))
    if sign in ("=", "<="):
        yield _is(column, "<", _midnight(day, 1))
    if sign == "<":
        yield _is(column, "<", _midnight(day))


def _column(value: Node, prefixes: tuple[str, ...], columns: dict[str, str]) -> str | None:
    """The measured column that `value` is, if it is certainly one of this mention."""
    if value.get("type") != "COLUMN_REF":
        return None
    names = [str(name).lower() for name in value.get("column_names") or []]
    if not names or names[-1] not in columns:
        return None
    before = "".join(f"{name}." for name in names[:-1])
    if before not in prefixes or (not before and f"-{names[-1]}" in prefixes):
        return None
    return names[-1]


def _dated(value: Node, prefixes: tuple[str, ...], columns: dict[str, str]) -> str | None:
    """The time column whose day `value` is."""
    if value.get("type") != "OPERATOR_CAST" or value.get("try_cast"):
        return None
    kind = value.get("type_expr") or {}
    if str(kind.get("type_name", "")).upper() != DATE or kind.get("children"):
        return None
    column = _column(value.get("child") or {}, prefixes, columns)
    return column if column is not None and columns[column].startswith("TIMESTAMP") else None


def _truncated(
    value: Node, prefixes: tuple[str, ...], columns: dict[str, str]
) -> tuple[str, datetime.timedelta] | None:
    """The time column that `value` cuts to a unit, and the longest that the unit is."""
    if value.get("type") != "FUNCTION" or str(value.get("function_name")).lower() not in ("date_trunc", "datetrunc"):
        return None
    arguments = [argument.get("expression") or {} for argument in value.get("arguments") or []]
    if len(arguments) != 2:
        return None
    unit = str((arguments[0].get("literal") or {}).get("text", "")).lower()
    column = _column(arguments[1], prefixes, columns)
    if unit not in _LONGEST_UNIT or column is None or columns[column] != TIME:
        return None
    return column, _LONGEST_UNIT[unit]


def _is(column: str, sign: str, value: Any) -> BooleanExpression:
    found: BooleanExpression = _EXPRESSIONS[sign](column, value)
    return found


def _midnight(day: datetime.date, later: int = 0) -> str:
    moment = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC) + datetime.timedelta(days=later)
    return moment.isoformat()


def _stored(value: Any) -> Any:
    """The value as Iceberg's expressions take it: times as ISO texts."""
    return value.isoformat() if isinstance(value, datetime.datetime) else value
