"""SQL in the browser: the page with its permalink, the result alone for scripts, downloads, and the tables.

Only GET, and only statements that read (the engine sees to that), so a link is all there is. A query that another site
sends here without a person's doing is put into the box and not run.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from catchment.clock import utc
from catchment.errors import Busy, CatchmentError, QueryError
from catchment.web.guard import may_run
from catchment.web.overview import tables_of
from catchment.web.rendering import Renderer
from catchment.web.running import MAX_SQL_CHARS, Answer, Queries
from catchment.web.sampling import Sampler
from catchment.web.settings import ConsoleSettings
from catchment.web.shelf import Shelf, TableLine, examples

BOX_ROWS = 9
RECORD_COLUMNS = 8
"""A single row with more columns than this is shown as a list of its columns."""
_TYPES = {"csv": "text/csv; charset=utf-8; header=present", "json": "application/json"}
_REASONS = {
    "syntax": "This is not SQL",
    "not_allowed": "This is not allowed",
    "unknown_table": "There is no such table",
    "invalid": "This does not fit the tables",
    "timeout": "This took too long",
    "memory": "This needs too much memory",
    "cancelled": "Cancelled",
    "failed": "This could not be computed",
    "busy": "Too many queries at once",
}
_STATUS = {"busy": 503, "timeout": 503, "failed": 500}


@dataclass(frozen=True, slots=True)
class Mark:
    """The query cut at the place of its error: before it, the sign or word there, after it."""

    line: int
    column: int
    before: str
    at: str
    after: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What stands below the box: an answer, or why there is none; with `note` neither was tried."""

    sql: str
    answer: Answer | None = None
    headline: str = ""
    text: str = ""
    mark: Mark | None = None
    note: str = ""
    status: int = 200

    @property
    def is_record(self) -> bool:
        """Whether the answer reads better as a list of columns than as a wide table."""
        return self.answer is not None and len(self.answer.rows) == 1 and len(self.answer.columns) > RECORD_COLUMNS

    @property
    def query(self) -> str:
        """The query as it stands in a link."""
        return urlencode({"q": self.sql})


class SqlPages:
    """Answers everything below `/sql`."""

    def __init__(
        self, settings: ConsoleSettings, renderer: Renderer, sampler: Sampler, queries: Queries, shelf: Shelf
    ) -> None:
        self._settings = settings
        self._renderer = renderer
        self._sampler = sampler
        self._queries = queries
        self._shelf = shelf

    async def page(self, request: Request) -> Response:
        sql = request.query_params.get("q", "")
        outcome = await self._outcome(request, sql) if sql.strip() else None
        values: dict[str, Any] = {
            "page": "sql",
            "rows": max(BOX_ROWS, min(sql.count("\n") + 2, 24)),
            "max_chars": MAX_SQL_CHARS,
            "sql": sql[:MAX_SQL_CHARS],
            "examples": examples(tables_of(self._sampler.picture.snapshot)),
            "outcome": outcome,
            "shown_rows": self._settings.shown_rows,
            "download_rows": self._settings.download_rows,
            **await self._tables(request.query_params.get("table", "")),
        }
        return self._renderer.page(request, "sql.html", values, outcome.status if outcome else 200)

    async def result(self, request: Request) -> Response:
        """The result alone, as HTML. Always 200 for our own script, which shows whatever comes."""
        outcome = await self._outcome(request, request.query_params.get("q", ""))
        values = {
            "outcome": outcome,
            "shown_rows": self._settings.shown_rows,
            "download_rows": self._settings.download_rows,
        }
        return self._renderer.fragment("result.html", values)

    async def download(self, request: Request) -> Response:
        """The result as a file. A query that fails at once is answered in text; one that fails later breaks the
        connection off, so that no one takes half a file for a whole one."""
        sql, form = request.query_params.get("q", ""), request.url.path.rpartition(".")[2]
        if not may_run(request):
            return PlainTextResponse("Open this from the console itself.\n", 403)
        pieces = self._queries.download(sql, form, request.is_disconnected)
        try:
            first = await anext(pieces)
        except (QueryError, Busy) as error:
            await pieces.aclose()
            return PlainTextResponse(f"{error}\n", _STATUS.get(_reason(error), 400))
        name = f"catchment-{utc(self._sampler.picture.snapshot.at_ns):%Y%m%dT%H%M%SZ}.{form}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Type": _TYPES[form]}
        return _FileResponse(first, pieces, headers)

    async def tables(self, request: Request) -> Response:
        """The list of tables, or with `?table=` the columns of one; for scripts."""
        name = request.query_params.get("table", "")
        if not name:
            return self._renderer.fragment("tables.html", await self._tables(""))
        return self._renderer.fragment("columns.html", {"table": await self._shelf.table(name)})

    async def _tables(self, opened: str) -> dict[str, Any]:
        tables: list[TableLine] = []
        problem = ""
        try:
            tables = await self._shelf.tables(opened)
        except CatchmentError as error:
            problem = str(error)
        return {"tables": tables, "problem": problem}

    async def _outcome(self, request: Request, sql: str) -> Outcome:
        if not sql.strip():
            return Outcome(sql, note="The box is empty: write a query, or take an example.")
        if not may_run(request):
            return Outcome(sql, note="Another site has sent this query. Read it, then press Run.")
        try:
            return Outcome(sql, await self._queries.answer(sql, request.is_disconnected))
        except CatchmentError as error:
            reason = _reason(error)
            headline = _REASONS.get(reason, "This could not be answered")
            mark = mark_of(sql, error) if isinstance(error, QueryError) else None
            return Outcome(sql, headline=headline, text=str(error), mark=mark, status=_STATUS.get(reason, 400))


def _reason(error: CatchmentError) -> str:
    return error.reason if isinstance(error, QueryError) else error.code


def mark_of(sql: str, error: QueryError) -> Mark | None:
    """The query around the place that the error names; None when it names none in it."""
    lines = sql.split("\n")
    if error.line is None or error.column is None or not 1 <= error.line <= len(lines):
        return None
    start = sum(len(line) + 1 for line in lines[: error.line - 1]) + min(error.column - 1, len(lines[error.line - 1]))
    end = start
    while end < len(sql) and (sql[end].isalnum() or sql[end] in "_."):
        end += 1
    end = max(end, start + 1)
    return Mark(error.line, error.column, sql[:start], sql[start:end] or " ", sql[end:])


class _FileResponse(StreamingResponse):
    """Sends the pieces and closes their source, whatever ends the sending."""

    def __init__(self, first: bytes, pieces: AsyncGenerator[bytes, None], headers: dict[str, str]) -> None:
        self._first = first
        self._pieces = pieces
        super().__init__(self._all(), headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._pieces):
            await super().__call__(scope, receive, send)

    async def _all(self) -> AsyncGenerator[bytes, None]:
        yield self._first
        async for piece in self._pieces:
            yield piece
