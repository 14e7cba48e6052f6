"""Constant expressions of a query, computed by the engine in the query's own transaction.

Only what gives the same value each time within a transaction is computed: literals, casts, arithmetic and the functions
of `STEADY`. `now()` is such a function: it is the start of the transaction.
"""

from __future__ import annotations

import datetime
from typing import Any

import duckdb
import orjson

from catchment.clock import EPOCH
from catchment.query.prune import DATE, TIME
from catchment.query.statement import Node, nodes

STEADY = {
    *("+", "-", "*", "/", "//", "%", "||", "concat", "lower", "upper", "trunc"),
    *("now", "today", "current_date", "current_timestamp", "get_current_timestamp", "transaction_timestamp"),
    *("to_seconds", "to_minutes", "to_hours", "to_days", "to_weeks", "to_months", "to_years", "to_timestamp"),
    *("date_trunc", "datetrunc", "make_date", "make_timestamp", "make_timestamptz", "timezone", "strptime"),
}
_NAMES = {"current_date", "current_timestamp", "today"}
"""Functions that stand without brackets, which the syntax tree shows as columns."""
_CLASSES = {"CONSTANT", "CAST", "FUNCTION", "COLUMN_REF", "TYPE"}
_COMPARABLE = {
    TIME: {"VARCHAR", "DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", TIME},
    DATE: {"VARCHAR", "DATE"},
    "BIGINT": {"TINYINT", "SMALLINT", "INTEGER", "BIGINT"},
    "INTEGER": {"TINYINT", "SMALLINT", "INTEGER", "BIGINT"},
    "VARCHAR": {"VARCHAR"},
}
MEASURABLE = {TIME, "BIGINT", "INTEGER", "VARCHAR"}
"""Types of columns that conditions are read for."""


class Constants:
    """Computes constants on one connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        rows = connection.execute("SELECT json_serialize_sql('SELECT 1')").fetchall()
        self._template: Node = orjson.loads(rows[0][0])

    def evaluate(self, node: Node, kind: str) -> Any:
        """The value of `node` compared as `kind`: an aware datetime for TIME, a date for DATE, else int or str. None
        when the node is not constant, is NULL, fails, or would be compared as another type."""
        if not _is_steady(node):
            return None
        try:
            text = self._text(node)
            cast = f"epoch_us(CAST(({text}) AS {TIME}))" if kind == TIME else f"CAST(({text}) AS {kind})"
            chosen = f"CASE WHEN typeof(x) IN ({_listed(kind)}) THEN {cast} END"
            rows = self._connection.execute(f"SELECT typeof(x), {chosen} FROM (SELECT ({text}) AS x)").fetchall()
        except duckdb.Error:
            return None  # the query itself will fail in the same way, with its place
        type_name, value = rows[0]
        if value is None or type_name not in _COMPARABLE[kind]:
            return None
        if kind != TIME:
            return value
        try:
            return EPOCH + datetime.timedelta(microseconds=value)
        except OverflowError:
            return None

    def _text(self, node: Node) -> str:
        self._template["statements"][0]["node"]["select_list"] = [node]
        rows = self._connection.execute("SELECT json_deserialize_sql(?)", [orjson.dumps(self._template).decode()])
        return str(rows.fetchall()[0][0]).removeprefix("SELECT ")


def _listed(kind: str) -> str:
    return ", ".join(f"'{name}'" for name in sorted(_COMPARABLE[kind]))


def _is_steady(node: Node) -> bool:
    for part in nodes(node):
        kind = part.get("class")
        if kind is None:
            continue
        if kind not in _CLASSES:
            return False
        if kind == "FUNCTION" and str(part.get("function_name")).lower() not in STEADY:
            return False
        if kind == "COLUMN_REF" and [str(name).lower() for name in part.get("column_names") or []] not in [
            [name] for name in _NAMES
        ]:
            return False
    return "class" in node
