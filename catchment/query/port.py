"""The `QueryEngine` port: SQL over the lake, read only.

A query names tables as `namespace.table`. It is one statement that reads: SELECT, WITH, FROM, VALUES, EXPLAIN,
DESCRIBE, SUMMARIZE or SHOW TABLES. It sees each table's version at the time of `run` and nothing else: no files, no
settings, no other statement. What goes wrong is a `QueryError` whose `reason` is one of `REASONS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

REASONS = {
    "syntax": "the text is not SQL",
    "not_allowed": "the statement does not only read, or reaches for files or settings",
    "unknown_table": "a table is not in the lake",
    "invalid": "a column, function or type does not exist or does not fit",
    "timeout": "it took longer than allowed",
    "memory": "it needed more memory or temporary disk than allowed",
    "cancelled": "it was cancelled",
    "failed": "a value could not be computed, or the engine failed",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query may use; None is what the settings say. `rows` is the most rows that are returned."""

    timeout_s: float | None = None
    memory_bytes: int | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a result; `type` as the engine writes it."""

    name: str
    type: str


class Result(Protocol):
    """A query that is ready to run, and its rows while it runs. One thread reads it; any thread may cancel it."""

    @property
    def columns(self) -> list[Column]: ...

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the rows. Known once the first batch, or the end, has been drawn."""
        ...

    @property
    def files(self) -> int:
        """Data files that the query was planned over; after pruning."""
        ...

    @property
    def is_cut(self) -> bool:
        """Whether `Limits.rows` has cut rows off. Known at the end."""
        ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, in order; the query runs while they are drawn. May be called once. Raises QueryError."""
        ...

    def read_all(self) -> pa.Table:
        """All rows at once, instead of `batches`."""
        ...

    def cancel(self) -> None:
        """Stop the query: whoever reads it gets a QueryError `cancelled`. Safe at any time, also again."""
        ...

    def close(self) -> None:
        """Release memory and temporary files. Called by the end of `batches` too. May be called again."""
        ...


class QueryEngine(Protocol):
    """Answers SQL. Safe to use from several threads."""

    def run(self, sql: str, limits: Limits) -> Result:
        """Check and plan the query; it begins to run when its rows are drawn. The time limit counts from here.

        Raises QueryError; Unavailable when the lake cannot be read.
        """
        ...
