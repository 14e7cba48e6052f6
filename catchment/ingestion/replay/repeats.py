"""Deliveries that a replay finds to be repeats, and that were something else before: an error, a row, or deferred.

The loader names its repeats in topic `duplicates`. One that a replay finds has no place there, and would be accepted
and nowhere: it becomes a row of monitoring.errors, of code `repeat`, whole like all others, if it had a row before. So
what is accepted stays what is stored, failed, repeated or deferred, and doing it again replaces that very row.

The row of a delivery that is not selected itself goes too when an earlier one comes in (`displaced`). Its submission is
not at hand then, so its row of monitoring.errors tells only what the topic `duplicates` would: no body, no place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from catchment.document import Document
from catchment.ingestion.decoder.failure import CODES, Failure, Refusal
from catchment.ingestion.decoder.submission import unwrap
from catchment.ingestion.replay.selection import Delivery

REPEAT = "repeat"


class Identity(NamedTuple):
    """What tells a document from others."""

    namespace: str
    doctype: str
    version: int | None
    document_id: str
    submission_ns: int

    @classmethod
    def of(cls, document: Document) -> Identity:
        doctype = (document.namespace, document.doctype, document.version)
        return cls(*doctype, document.document_id, document.submission_ns)


class Repeats:
    """Gathers a day's repeats, and tells which of them had a row. `held` gives the places (`place_of`) and pairs
    (`pair_of`) that tables have of the day."""

    def __init__(self, held: Callable[[], Iterable[pa.Array]]) -> None:
        self._held = held
        self._waiting: list[tuple[Delivery, Identity]] = []
        self.size_bytes = 0

    def add(self, delivery: Delivery, document: Identity) -> None:
        self._waiting.append((delivery, document))
        self.size_bytes += len(delivery.payload)

    def take(self) -> list[tuple[Delivery, Failure]]:
        """Those that had a row, as failures; none waits afterwards.

        A row of a displaced one is such a row."""
        if not self._waiting:
            return []
        waiting, self._waiting, self.size_bytes = self._waiting, [], 0
        asked = pa.array([place_of(d) for d, _ in waiting] + [pair_of(document) for _, document in waiting])
        found: set[str] = set()
        for texts in self._held():
            found.update(texts.filter(pc.is_in(texts, asked)).to_pylist())
        return [(d, _failure(d, document)) for d, document in waiting if {place_of(d), pair_of(document)} & found]


def place_of(delivery: Delivery) -> str:
    """Where a delivery is in the raw log, and when it came: how monitoring.errors knows it."""
    return f"{delivery.source}@{delivery.offset}@{delivery.received_ns // 1000}"


def pair_of(document: Identity) -> str:
    """Id and time of a document: how its table knows it, and monitoring.errors one that was displaced."""
    return f"{document.document_id}@{document.submission_ns // 1000}"


def displaced(document: Identity) -> Failure:
    """The failure that stands for a row that goes, though its delivery was not replayed."""
    step, message = CODES[REPEAT]
    detail = "its row went; what it was is in the landfill, if it has not expired"
    return Failure(
        step, REPEAT, message, detail, (), document.submission_ns, b"", None, None, None, b"", {}, *document[:4]
    )


def _failure(delivery: Delivery, document: Identity) -> Failure:
    unwrapped = unwrap(delivery.payload)
    assert not isinstance(unwrapped, Refusal)  # it has been decoded
    submission = unwrapped[0]
    step, message = CODES[REPEAT]
    return Failure(
        step,
        REPEAT,
        message,
        "",
        (),
        submission.received_ns,
        submission.uuid,
        submission.hostname,
        submission.uri,
        submission.args,
        submission.body,
        submission.headers,
        *document[:4],
    )
