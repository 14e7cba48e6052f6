"""Which submissions are replayed: by time, namespace, doctype, code, and a condition in SQL."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import duckdb
import orjson
import pyarrow as pa

from catchment.errors import QueryError
from catchment.ingestion.decoder.failure import Refusal
from catchment.ingestion.decoder.submission import unwrap
from catchment.ingestion.decoder.uri import read_uri
from catchment.ingestion.loader.failures import SCHEMA
from catchment.log.port import TopicPartition

DAY_NS = 86_400_000_000_000


class Delivery(NamedTuple):
    """A record to replay: its place in the raw log, when it was received, and its bytes."""

    received_ns: int
    source: TopicPartition
    offset: int
    edge: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Selection:
    """From `since_ns` to `until_ns` (not included); what is None or empty does not narrow. `errors_only` takes rows of
    monitoring.errors instead of the landfill, `codes` those of certain reasons. `where` is a condition over
    `SUBMISSION` (or over the columns of monitoring.errors)."""

    since_ns: int
    until_ns: int
    namespace: str | None = None
    doctype: str | None = None
    errors_only: bool = False
    codes: tuple[str, ...] = ()
    where: str | None = None

    @property
    def days(self) -> range:
        """Days since the epoch that have a part in it."""
        return range(self.since_ns // DAY_NS, (self.until_ns - 1) // DAY_NS + 1)

    @property
    def is_whole(self) -> bool:
        """Whether all deliveries of a document in the time are selected when one is."""
        return not self.errors_only and self.where is None

    @property
    def key(self) -> str:
        """A name that every replay of the same selection has."""
        return hashlib.sha256(orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    def bounds(self, day: int) -> tuple[int, int]:
        """The part of a day that is selected, ns."""
        return max(day * DAY_NS, self.since_ns), min((day + 1) * DAY_NS, self.until_ns)


SUBMISSION = pa.schema(
    [
        SCHEMA.field(name)
        for name in (
            "submission_timestamp",
            "document_namespace",
            "document_type",
            "document_version",
            "document_id",
            "uri",
            "args",
            "headers",
            "edge",
            "source",
            "source_offset",
        )
    ]
)
"""What a condition sees of a submission that has not been decoded: the columns that monitoring.errors has of it too.
`document_version` is NULL in the Firefox form, whose body has it."""


class Narrowing:
    """Lets through, batch by batch, what a selection's doctype and condition select."""

    def __init__(self, selection: Selection) -> None:
        """Raises QueryError for a condition that is not one over `SUBMISSION`."""
        self._selection = selection
        self._database: duckdb.DuckDBPyConnection | None = None
        if selection.where is not None:
            self._database = duckdb.connect(":memory:", config={"threads": 1, "enable_external_access": "false"})
            self._numbers(SUBMISSION.empty_table())

    def narrow(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        selection = self._selection
        if selection.namespace is None and selection.doctype is None and self._database is None:
            return deliveries
        rows = [(delivery, _row(delivery)) for delivery in deliveries]
        named = [
            (delivery, row)
            for delivery, row in rows
            if selection.namespace in (None, row[1]) and selection.doctype in (None, row[2])
        ]
        if self._database is None or not named:
            return [delivery for delivery, _ in named]
        columns = zip(*(row for _, row in named), strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SUBMISSION, strict=True)]
        return [named[number][0] for number in self._numbers(pa.table(arrays, schema=SUBMISSION))]

    def _numbers(self, submissions: pa.Table) -> list[int]:
        assert self._database is not None
        numbered = submissions.append_column("_number", pa.array(range(submissions.num_rows), pa.int64()))
        self._database.register("submissions", numbered)
        query = f"SELECT _number FROM submissions WHERE ({self._selection.where}) ORDER BY _number"
        try:
            return [number for (number,) in self._database.execute(query).fetchall()]
        except duckdb.Error as error:
            raise QueryError(
                f"--where {self._selection.where!r}: {error}; the columns are {', '.join(SUBMISSION.names)}", "invalid"
            ) from error


def _row(delivery: Delivery) -> tuple[Any, ...]:
    unwrapped = unwrap(delivery.payload)
    source, offset = str(delivery.source), delivery.offset
    if isinstance(unwrapped, Refusal):
        return (None,) * 9 + (source, offset)
    submission = unwrapped[0]
    named = read_uri(submission.uri)
    if isinstance(named, Refusal):
        names: tuple[Any, ...] = (named.namespace, named.doctype, None, None)
    else:
        names = (named[0].namespace, named[0].doctype, named[0].version, named[1])
    return (
        submission.received_ns // 1000,
        *names,
        submission.uri,
        submission.args,
        list(submission.headers.items()),
        submission.hostname,
        source,
        offset,
    )
