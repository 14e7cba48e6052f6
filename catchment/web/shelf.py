"""What can be asked: the tables of the lake with their columns, and queries to begin with.

The lake is opened when its tables are first asked for, never before, and used by one thread at a time. What it says is
kept for a moment, since tables change seldom and wide ones are slow to describe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from catchment.clock import Clock

if TYPE_CHECKING:
    from catchment.lake.tables import Lake

KEPT_S = 10.0
ERRORS_BY_REASON = """select code, message, document_namespace, document_type,
       count(*) pings, max(submission_timestamp) latest
from monitoring.errors
where submission_timestamp > now() - interval 1 day
group by all
order by pings desc"""


@dataclass(frozen=True, slots=True)
class ColumnLine:
    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class TableLine:
    """A table; `columns` is None until somebody opens it."""

    name: str
    columns: tuple[ColumnLine, ...] | None = None
    rows: int = 0
    size_bytes: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True)
class Example:
    name: str
    sql: str


class Shelf:
    """The tables, read when asked for. Belongs to the event loop."""

    def __init__(self, lake: Callable[[], Lake], clock: Clock) -> None:
        """`lake` is called on a thread."""
        self._lake = lake
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tables")
        self._names: tuple[float, list[str]] | None = None
        self._described: dict[str, tuple[float, TableLine]] = {}

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def tables(self, opened: str = "") -> list[TableLine]:
        """All tables by name, then the views over versions; `opened` with its columns. Raises what the lake raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._tables, opened)

    async def table(self, name: str) -> TableLine:
        """One table with its columns. Raises Missing."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._describe, name)

    def _tables(self, opened: str) -> list[TableLine]:
        now_s = self._clock.monotonic_s()
        if self._names is None or now_s - self._names[0] > KEPT_S:
            lake = self._lake()
            self._names = (now_s, [*lake.tables(), *lake.views()])
        return [self._describe(name) if name == opened else TableLine(name) for name in self._names[1]]

    def _describe(self, name: str) -> TableLine:
        now_s = self._clock.monotonic_s()
        kept = self._described.get(name)
        if kept is not None and now_s - kept[0] <= KEPT_S:
            return kept[1]
        found = self._lake().describe(name)
        columns = tuple(ColumnLine(column.name, column.type, column.comment) for column in found.columns)
        line = TableLine(name, columns, found.rows, found.size_bytes, found.files)
        self._described[name] = (now_s, line)
        return line


def examples(tables: Sequence[str]) -> list[Example]:
    """Queries to begin with, for the tables that get rows now; `tables` may be empty."""
    pings = [table for table in tables if not table.startswith("monitoring.")]
    first = "telemetry.main_v4" if "telemetry.main_v4" in pings or not pings else pings[0]
    return [
        Example(
            "Pings by channel",
            f"select normalized_channel, count(*) pings, count(distinct client_id) clients\nfrom {first}\n"
            "where submission_timestamp > now() - interval 1 day\ngroup by all\norder by pings desc",
        ),
        Example(
            "Pings by minute",
            f"select date_trunc('minute', submission_timestamp) as minute, count(*) pings\nfrom {first}\n"
            "group by all\norder by minute desc\nlimit 60",
        ),
        Example(
            "By country",
            f"select normalized_country_code country, count(*) pings\nfrom {first}\ngroup by all\norder by pings desc",
        ),
        Example("Newest ping, whole", f"select *\nfrom {first}\norder by submission_timestamp desc\nlimit 1"),
        Example("Errors by reason", ERRORS_BY_REASON),
        Example("All tables", "show tables"),
    ]
