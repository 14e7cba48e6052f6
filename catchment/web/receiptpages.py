"""Where one document is: `/receipts` as a page with a box for the id, `/api/receipts/<document id>` as JSON.

An id that is not known is answered 404, with what was searched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import orjson
from starlette.requests import Request
from starlette.responses import Response

from catchment.clock import Clock
from catchment.errors import CatchmentError, Malformed
from catchment.ingestion.decoder.uri import MAX_TEXT_CHARS
from catchment.ingestion.inspection.opened import hide_clients
from catchment.ingestion.inspection.receiptjson import answer_json
from catchment.web.guard import refuse_foreign
from catchment.web.rendering import Renderer
from catchment.web.settings import ConsoleSettings

if TYPE_CHECKING:
    from catchment.ingestion.inspection.receipts import Receipt, Receipts, Searched

STAGES = ("accepted", "decoded", "stored")
MAX_CHARS = MAX_TEXT_CHARS + 1
"""Of an id that is asked for: one more than the longest that there may be, which is then refused."""


class ReceiptPages:
    """Answers `/receipts` and everything below `/api/receipts`. One question at a time, on one thread."""

    def __init__(
        self, settings: ConsoleSettings, clock: Clock, renderer: Renderer, receipts: Callable[[], Receipts]
    ) -> None:
        """`receipts` is called on a thread."""
        self._settings = settings
        self._clock = clock
        self._renderer = renderer
        self._receipts = receipts
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="receipts")

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def page(self, request: Request) -> Response:
        refuse_foreign(request)
        document_id = request.query_params.get("document_id", "").strip()[:MAX_CHARS]
        found: list[Receipt] = []
        problem, searched, status = "", "", 200
        if document_id:
            try:
                found, looked = await self._find(document_id, request)
                searched, status = str(looked), 200 if found else 404
            except Malformed as error:
                problem, status = str(error), 400
        values = {
            "page": "receipts",
            "document_id": document_id,
            "receipts": found,
            "stages": STAGES,
            "reached": {stage: number for number, stage in enumerate(STAGES)},
            "searched": searched,
            "problem": problem,
            "everywhere": request.query_params.get("everywhere") == "1",
            "detail": lambda text: text if self._settings.show_client_ids else hide_clients(text),
            "now_ns": self._clock.time_ns(),
        }
        return self._renderer.page(request, "receipts.html", values, status)

    async def answer(self, request: Request) -> Response:
        document_id = request.path_params["document_id"]
        try:
            found, searched = await self._find(document_id, request)
        except Malformed as error:
            return _json({"error": {"code": error.code, "text": str(error)}}, 400)
        except CatchmentError as error:
            return _json({"error": {"code": error.code, "text": str(error)}}, 503)
        return _json(answer_json(document_id, found, searched), 200 if found else 404)

    async def _find(self, document_id: str, request: Request) -> tuple[list[Receipt], Searched]:
        everywhere = request.query_params.get("everywhere") == "1"
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, lambda: self._receipts().find(document_id, everywhere=everywhere)
        )


def _json(value: object, status: int) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_INDENT_2), status, media_type="application/json")
