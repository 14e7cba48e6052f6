"""A receipt as JSON: the same for the command and the console's interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from catchment.clock import utc

if TYPE_CHECKING:
    from catchment.ingestion.inspection.receipts import Receipt, Searched


def answer_json(document_id: str, receipts: Sequence[Receipt], searched: Searched) -> dict[str, Any]:
    """The whole answer; `receipts` is empty for an id that is not known."""
    begin_ns = searched.window_from_ns
    return {
        "document_id": document_id,
        "receipts": [_receipt_json(receipt) for receipt in receipts],
        "searched": {
            "ids_since": None if begin_ns is None else utc(begin_ns).isoformat(),
            "waiting_records": searched.waiting_records,
            "is_whole": searched.is_whole,
            "everywhere": searched.everywhere,
        },
    }


def _receipt_json(receipt: Receipt) -> dict[str, Any]:
    error = receipt.error
    return {
        "namespace": receipt.namespace or None,
        "doctype": receipt.doctype or None,
        "version": receipt.version,
        "accepted_at": utc(receipt.accepted_ns).isoformat() if receipt.accepted_ns else None,
        "edge": receipt.edge or None,
        "source": receipt.source or None,
        "stage": receipt.stage,
        "is_archived": receipt.is_archived,
        "outcome": receipt.outcome,
        "table": receipt.table or None,
        "query": receipt.query or None,
        "last_again_at": None if receipt.again_ns is None else utc(receipt.again_ns).isoformat(),
        "duplicate_of": receipt.duplicate_of or None,
        "error": None
        if error is None
        else {
            "step": error.step,
            "code": error.code,
            "message": error.message,
            "detail": error.detail,
            "pointers": list(error.pointers),
        },
    }
