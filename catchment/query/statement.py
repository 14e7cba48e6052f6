"""A query's text, read by the engine's own parser: whether it only reads, and which tables it names.

DuckDB parses the text and hands back its syntax tree as JSON, so that what is checked here is exactly what runs; a
second parser could disagree. Places are byte offsets in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import orjson

from catchment.errors import QueryError
from catchment.query.places import place, refusal

Node = dict[str, Any]

_EXPLAIN = re.compile(r"\s*EXPLAIN(\s+ANALYZE\b|\s*\([^)]*\))?\s+", re.IGNORECASE)
_LISTING = {'"tables"', "__show_tables_expanded", '"databases"', '"schemas"', '"variables"'}
_NOWHERE = 2**64 - 1
HIDING_FUNCTIONS = {"query", "query_table"}
"""Table functions whose argument is SQL again."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A table as the query names it, and its node in the syntax tree."""

    schema: str
    table: str
    node: Node

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}" if self.schema else self.table


@dataclass(frozen=True, slots=True)
class Statement:
    """A checked statement: its text for the engine, its syntax tree, and what it lists instead of reading a table."""

    sql: str
    tree: Node
    is_listing: bool

    def references(self) -> list[Reference]:
        """Each mention of a table, names of common table expressions left out."""
        tables = [node for node in nodes(self.tree) if node.get("type") == "BASE_TABLE"]
        local = {str(entry.get("key", "")).lower() for node in nodes(self.tree) for entry in _cte_map(node)}
        local |= {str(node.get("cte_name", "")).lower() for node in nodes(self.tree)}
        found = []
        for node in tables:
            schema, table = str(node.get("schema_name", "")), str(node.get("table_name", ""))
            if node.get("catalog_name"):
                schema = f"{node['catalog_name']}.{schema}"
            if schema or table.lower() not in local:
                found.append(Reference(schema, table, node))
        return sorted(found, key=lambda reference: location(reference.node) or 0)


def parse(connection: duckdb.DuckDBPyConnection, sql: str) -> Statement:
    """Check that `sql` is one statement that only reads. Raises QueryError `syntax` or `not_allowed`."""
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise refusal(error, sql) from error
    if not statements:
        raise QueryError("the query is empty; write for example: SELECT * FROM namespace.table LIMIT 10", "syntax")
    if len(statements) > 1 or statements[0].type == duckdb.StatementType.MULTI:
        raise QueryError(
            "the text holds more than one statement; run one at a time (PIVOT needs IN (…))", "not_allowed"
        )
    text = statements[0].query
    kind = statements[0].type
    inner = text
    if kind == duckdb.StatementType.EXPLAIN:
        head = _EXPLAIN.match(text)
        inner = text[head.end() :] if head else text
        inside = duckdb.extract_statements(inner) if head else []
        kind = inside[0].type if len(inside) == 1 else kind
    if kind != duckdb.StatementType.SELECT:
        raise QueryError(
            f"{str(kind).rpartition('.')[2]} is not allowed; a query only reads: SELECT, WITH, VALUES, DESCRIBE, "
            "SUMMARIZE, SHOW TABLES, EXPLAIN",
            "not_allowed",
            *place(sql, _start(text)),
        )
    tree = _tree(connection, inner)
    shown = {str(node.get("table_name")) for node in nodes(tree) if node.get("type") == "SHOW_REF"}
    for node in nodes(tree):
        if node.get("type") == "TABLE_FUNCTION":
            name = str(node.get("function", {}).get("function_name", "")).lower()
            if name in HIDING_FUNCTIONS:
                raise QueryError(f"{name}() is not allowed; write the query itself", "not_allowed")
    return Statement(text, tree, bool(shown & _LISTING))


def _start(text: str) -> int:
    return len(text) - len(text.lstrip())


def _tree(connection: duckdb.DuckDBPyConnection, sql: str) -> Node:
    rows = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()
    found: Node = orjson.loads(rows[0][0])
    if found.get("error"):
        raise QueryError(f"the query cannot be checked: {found.get('error_message')}", "not_allowed")
    return found


def nodes(tree: Any) -> Iterator[Node]:
    """Every node of the tree."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield node
            pending += node.values()
        elif isinstance(node, list):
            pending += node


def _cte_map(node: Node) -> list[Node]:
    found = node.get("cte_map")
    return list(found.get("map", [])) if isinstance(found, dict) else []


def location(node: Node) -> int | None:
    """Where the node begins in the text, in bytes."""
    found = node.get("query_location")
    return None if found is None or found == _NOWHERE else int(found)
