"""A planned DuckDB query and its rows: drawn in batches, limited in time and rows, cancelled from any thread."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from catchment import metrics
from catchment.errors import Closed, QueryError
from catchment.query.places import refusal
from catchment.query.port import Column

BATCH_ROWS = 16_384

QUERIES = metrics.counter(
    "queries_total", "SQL queries by outcome: `done` or the reason of the error.", "queries", ["outcome"]
)
QUERY_SECONDS = metrics.histogram(
    "query_seconds",
    "Time from a query's call to its last row.",
    "seconds",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300),
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A query bound on a connection of its own. `started_s` and `timeout_s` are on the monotonic clock."""

    connection: duckdb.DuckDBPyConnection
    relation: duckdb.DuckDBPyRelation
    sql: str
    files: int
    rows: int | None
    started_s: float
    timeout_s: float
    scratch: Path


class DuckdbResult:
    """The `Result` of the embedded engine."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._lock = threading.Lock()
        self._stopped = ""
        self._is_drawn = False
        self._is_closed = False
        self.is_cut = False
        self._schema: pa.Schema | None = None
        relation = prepared.relation
        self.columns = [Column(name, str(kind)) for name, kind in zip(relation.columns, relation.types, strict=True)]

    @property
    def files(self) -> int:
        return self._prepared.files

    @property
    def schema(self) -> pa.Schema:
        if self._schema is None:
            raise Closed("the schema of a query is known once its rows are drawn; draw them first")
        return self._schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        if self._is_drawn or self._is_closed:
            raise Closed("rows of a query are drawn once; run it again")
        self._is_drawn = True
        return self._batches()

    def read_all(self) -> pa.Table:
        batches = list(self.batches())
        return pa.Table.from_batches(batches, self.schema)

    def cancel(self) -> None:
        self._stop("cancelled")

    def close(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._prepared.connection.close()
        shutil.rmtree(self._prepared.scratch, ignore_errors=True)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        prepared = self._prepared
        left_s = prepared.started_s + prepared.timeout_s - time.monotonic()
        timer = threading.Timer(max(left_s, 0.0), self._stop, ["timeout"])
        timer.daemon = True
        timer.start()
        outcome = "done"
        try:
            yield from self._drawn()
        except QueryError as error:
            outcome = error.reason
            raise
        except GeneratorExit:
            outcome = "cancelled"
            raise
        finally:
            timer.cancel()
            self.close()
            QUERIES.labels(outcome).inc()
            QUERY_SECONDS.observe(time.monotonic() - prepared.started_s)

    def _drawn(self) -> Iterator[pa.RecordBatch]:
        left = self._prepared.rows
        relation = self._prepared.relation if left is None else self._prepared.relation.limit(left + 1)
        try:
            reader = relation.to_arrow_reader(BATCH_ROWS)
            self._schema = reader.schema
            while True:
                self._refuse_when_stopped()
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    break
                if left is not None and batch.num_rows > left:
                    self.is_cut = True
                    batch = batch.slice(0, left)
                if left is not None:
                    left -= batch.num_rows
                if batch.num_rows:
                    yield batch
            self._refuse_when_stopped()
        except (duckdb.Error, OSError, RuntimeError) as error:
            self._refuse_when_stopped()
            if isinstance(error, duckdb.Error):
                raise refusal(error, self._prepared.sql) from error
            raise QueryError(" ".join(str(error).split()), "failed") from error

    def _stop(self, why: str) -> None:
        with self._lock:
            self._stopped = self._stopped or why
            if not self._is_closed:
                self._prepared.connection.interrupt()

    def _refuse_when_stopped(self) -> None:
        if self._stopped == "timeout":
            raise QueryError(
                f"the query was stopped after {self._prepared.timeout_s:g} s; ask for fewer days or columns, or allow "
                "more time",
                "timeout",
            )
        if self._stopped:
            raise QueryError("the query was cancelled", "cancelled")
