"""`GET /api/receipts/<document id>`: where one document is, as JSON; for one that is not known 404 and the search."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import orjson
from starlette.requests import Request
from starlette.responses import Response

from catchment.errors import CatchmentError, Malformed
from catchment.ingestion.inspection.receiptjson import answer_json
from catchment.ingestion.inspection.receipts import Receipts


class ReceiptPages:
    """Answers everything below `/api/receipts`. One at a time: `receipts` is made and used on one thread."""

    def __init__(self, receipts: Callable[[], Receipts]) -> None:
        self._receipts = receipts
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="receipts")

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def answer(self, request: Request) -> Response:
        document_id = request.path_params["document_id"]
        loop = asyncio.get_running_loop()
        try:
            found, searched = await loop.run_in_executor(self._thread, lambda: self._receipts().find(document_id))
        except Malformed as error:
            return _json({"error": {"code": error.code, "text": str(error)}}, 400)
        except CatchmentError as error:
            return _json({"error": {"code": error.code, "text": str(error)}}, 503)
        return _json(answer_json(document_id, found, searched), 200 if found else 404)


def _json(value: object, status: int) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_INDENT_2), status, media_type="application/json")
