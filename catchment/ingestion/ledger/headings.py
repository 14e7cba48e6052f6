"""What a record is counted under: minute of submission, namespace, doctype; the last two as in names of tables."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

from catchment import message
from catchment.ingestion.decoder.failure import Refusal
from catchment.ingestion.decoder.submission import unwrap
from catchment.ingestion.decoder.uri import read_path
from catchment.schemas.names import snake_case

MINUTE_S = 60
_MINUTE_NS = MINUTE_S * 1_000_000_000


class Heading(NamedTuple):
    """`minute_s` is the begin of a minute, s since 1970, UTC; 0 when the record tells no time."""

    minute_s: int
    namespace: str
    doctype: str


@lru_cache(16_384)
def name_of(text: str | None) -> str:
    """A namespace or doctype as the ledger writes it."""
    return snake_case(text) if text else ""


def minute_of(time_ns: int) -> int:
    return time_ns // _MINUTE_NS * MINUTE_S


def of_raw(payload: bytes, lenient: Collection[str] = ()) -> Heading:
    """A record of topic raw: what the decoder will say of it, from the message's head and its path alone. `lenient`
    are the namespaces whose paths are read by the rules of 2018."""
    unwrapped = unwrap(payload)
    if isinstance(unwrapped, Refusal):
        return Heading(0, "", "")
    submission, _ = unwrapped
    read = read_path(submission.uri, lenient)
    named = read if isinstance(read, Refusal) else read[0]
    return Heading(minute_of(submission.received_ns), name_of(named.namespace), name_of(named.doctype))


def of_stream(payload: bytes) -> Heading:
    """A record of topic decoded or duplicates. Raises Malformed for anything else."""
    found = message.decode(payload)
    doctype = found.first("docType")
    return Heading(
        minute_of(found.timestamp), name_of(found.logger), name_of(doctype if isinstance(doctype, str) else None)
    )
