"""Runs queries: few at once, each within its limits, each stopped when nobody waits for it any more.

The engine is made with the first query, so that an idle console stays small. A query has a slot from its start to its
last row; when all slots are taken the next ones wait, and when too many wait they are refused as busy. Rows are drawn
on threads; the event loop only looks whether the browser is still there.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from catchment import metrics
from catchment.clock import Clock
from catchment.errors import Busy, QueryError, Unavailable
from catchment.query.port import Column, Limits, QueryEngine, Result
from catchment.web import results
from catchment.web.results import Cell
from catchment.web.settings import ConsoleSettings

MAX_SQL_CHARS = 16_000
LOOK_S = 0.25
_LINES = 2_000

BUSY = metrics.counter("console_busy_total", "Queries refused because too many ran and waited.", "queries")

T = TypeVar("T")
IsGone = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class QueryCounts:
    """What the flow shows of the console's own queries."""

    running: int
    answered: int
    last_s: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """A result for a page. `is_cut` says that there are more rows than these, for a limit or for want of room."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    is_cut: bool
    files: int
    seconds: float


class _Running:
    """A query on its way; `cancel` counts whether it has begun or not."""

    def __init__(self, sql: str, limits: Limits) -> None:
        self.sql = sql
        self._limits = limits
        self._result: Result | None = None
        self._is_cancelled = False

    def begin(self, engine: QueryEngine) -> Result:
        result = self._result = engine.run(self.sql, self._limits)
        if self._is_cancelled:
            result.close()
            raise QueryError("the query was cancelled before it began", "cancelled")
        return result

    def cancel(self) -> None:
        self._is_cancelled = True
        if self._result is not None:
            self._result.cancel()


class Queries:
    """All queries of this console. Its methods belong to the event loop, but for `counts` and `close`."""

    def __init__(self, engine: Callable[[], QueryEngine], settings: ConsoleSettings, clock: Clock) -> None:
        """`engine` is called on a thread, and must be safe to call from several."""
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._threads = ThreadPoolExecutor(settings.running_queries, thread_name_prefix="query")
        self._slots = asyncio.Semaphore(settings.running_queries)
        self._running: set[_Running] = set()
        self._at_work: set[_Running] = set()
        self._work_changed = threading.Condition()
        self._waiting = 0
        self._is_closed = False
        self._answered = 0
        self._last_s: float | None = None

    @property
    def counts(self) -> QueryCounts:
        return QueryCounts(len(self._running), self._answered, self._last_s)

    def close(self) -> None:
        """Cancel what runs and wait for its threads."""
        self._is_closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._work_changed:
            while self._at_work:
                for running in self._at_work:
                    running.cancel()
                self._work_changed.wait(LOOK_S)
        self._threads.shutdown(wait=True)

    async def answer(self, sql: str, is_gone: IsGone) -> Answer:
        """Run `sql` for a page. Raises QueryError (`cancelled` when the browser left), Busy, Unavailable."""
        async with self._slot(sql, self._settings.shown_rows, is_gone) as running:
            return await self._await(running, is_gone, lambda: self._read(running))

    async def download(self, sql: str, form: str, is_gone: IsGone) -> AsyncGenerator[bytes, None]:
        """The result as the bytes of a file; `form` is "csv" or "json". The first piece comes with the first rows, so
        that a query that fails at once can still be answered by a page. Raises as `answer`."""
        async with self._slot(sql, self._settings.download_rows, is_gone) as running:
            pieces = self._pieces(running, form)
            try:
                while (piece := await self._await(running, is_gone, lambda: next(pieces, None))) is not None:
                    yield piece
            finally:
                pieces.close()

    @asynccontextmanager
    async def _slot(self, sql: str, rows: int, is_gone: IsGone) -> AsyncIterator[_Running]:
        if len(sql) > MAX_SQL_CHARS:
            text = f"the query has {len(sql):,} characters, must have at most {MAX_SQL_CHARS:,}"
            raise QueryError(text, "not_allowed")
        await self._enter(is_gone)
        limits = Limits(self._settings.query_s, self._settings.query_memory_bytes, rows)
        running = _Running(sql, limits)
        self._running.add(running)
        started_s = self._clock.monotonic_s()
        try:
            yield running
            self._answered += 1
        finally:
            running.cancel()
            self._running.discard(running)
            self._slots.release()
            self._last_s = self._clock.monotonic_s() - started_s

    async def _enter(self, is_gone: IsGone) -> None:
        """Take a slot, waiting for one if need be."""
        if self._is_closed:
            raise Unavailable("the console is stopping; ask again in a moment")
        if self._slots.locked() and self._waiting >= self._settings.waiting_queries:
            BUSY.inc()
            raise Busy(f"{self._settings.running_queries} queries run and {self._waiting} wait; try again in a moment")
        self._waiting += 1
        try:
            entering = asyncio.ensure_future(self._slots.acquire())
            try:
                await self._watched(entering, is_gone)
            except BaseException:
                if not entering.cancel() and entering.done() and not entering.cancelled():
                    self._slots.release()
                raise
        finally:
            self._waiting -= 1

    async def _await(self, running: _Running, is_gone: IsGone, work: Callable[[], T]) -> T:
        """Do `work` on a thread. When the browser leaves, cancel the query and wait until the thread has let go."""

        def do() -> T:
            with self._work_changed:
                self._at_work.add(running)
            try:
                return work()
            finally:
                with self._work_changed:
                    self._at_work.discard(running)
                    self._work_changed.notify_all()

        doing = asyncio.get_running_loop().run_in_executor(self._threads, do)
        try:
            return await self._watched(doing, is_gone)
        except BaseException:
            while not doing.done():  # again and again: the engine forgets a cancel that comes before the first row
                running.cancel()
                await asyncio.wait([doing], timeout=LOOK_S)
            if not doing.cancelled():
                doing.exception()  # what it ended with is told by the error that is on its way
            raise

    async def _watched(self, doing: asyncio.Future[T], is_gone: IsGone) -> T:
        while not (await asyncio.wait([doing], timeout=LOOK_S))[0]:
            if await is_gone():
                raise QueryError("cancelled: the browser does not wait for it any more", "cancelled")
        return doing.result()

    def _read(self, running: _Running) -> Answer:
        """On a thread: all rows that a page can hold."""
        started_s = self._clock.monotonic_s()
        result = running.begin(self._engine())
        try:
            rows: list[tuple[Cell, ...]] = []
            room = results.PAGE_CHARS
            for batch in result.batches():
                for values in results.read_rows(batch):
                    cells = tuple(results.cell(value) for value in values)
                    rows.append(cells)
                    room -= sum(len(cell.text) + 16 for cell in cells)
                    if room < 0:
                        break
                if room < 0:
                    break
            seconds = self._clock.monotonic_s() - started_s
            return Answer(tuple(result.columns), tuple(rows), room < 0 or result.is_cut, result.files, seconds)
        finally:
            result.close()

    def _pieces(self, running: _Running, form: str) -> Generator[bytes, None, None]:
        """On threads, one piece at a time: the file."""
        result = running.begin(self._engine())
        try:
            names = results.distinct_names(result.columns)
            batches = result.batches()
            lead = results.csv_lines([[column.name for column in result.columns]]) if form == "csv" else b"["
            for batch in batches:
                for start in range(0, batch.num_rows, _LINES):
                    rows = list(results.read_rows(batch.slice(start, _LINES)))
                    if form == "csv":
                        yield lead + results.csv_lines(rows)
                        lead = b""
                    else:
                        yield lead + b"\n" * (lead == b"[") + results.json_lines(names, rows)
                        lead = b",\n"
            if form == "csv":
                if lead:
                    yield lead
            else:
                yield b"[]\n" if lead == b"[" else b"\n]\n"
        finally:
            result.close()
