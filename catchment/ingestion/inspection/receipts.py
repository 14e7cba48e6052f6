"""Where a document is: which edge took it and when, how far it came, and what became of it.

    window of ids ─▶ raw record ─▶ decoded again ─▶ table, by id and time     accepted, decoded, stored
    monitoring.errors, end of topic errors                                    refused, and why
    monitoring.deferred                                                       over a limit: kept, not loaded now
    raw, from the loader's committed offset to its end                        accepted, not decoded yet

The window knows every accepted id of the last 25 to 50 hours with its raw record, so none of this reads a table but for
the one file that can hold the row. An id may occur under several namespaces and doctypes, and more than once: each
delivery that can still be told apart has a receipt of its own.

Limits: older ids, and those that a replay has brought in, are found only if they were refused, or `everywhere`: then
all rows of all tables are looked through. What the backlog holds beyond `SEARCH_BYTES` is not. `Searched` says so.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from catchment.clock import utc
from catchment.errors import Malformed, Missing, QueryError
from catchment.ingestion.decoder.chain import Decoder
from catchment.ingestion.decoder.failure import ERRORS_TABLE, Failure
from catchment.ingestion.deduplication import DeduplicationSettings, Known, doctype_hash, look_up
from catchment.ingestion.inspection.failures import Failures, Found
from catchment.ingestion.inspection.moments import nanoseconds, sql_moment, sql_text
from catchment.ingestion.landfill.archiver import GROUP as ARCHIVER
from catchment.ingestion.limits.rows import DEFERRED_TABLE
from catchment.ingestion.loader.loop import GROUP
from catchment.ingestion.loader.outputs import OUTPUT_TOPICS, next_source_offset
from catchment.log.port import Log, Record, TopicPartition
from catchment.message import field_prefix
from catchment.query.port import Limits, QueryEngine
from catchment.schemas.names import table_name
from catchment.schemas.registry import Registry

SEARCH_BYTES = 2 * 1024**3
_READ_RECORDS, _READ_BYTES = 10_000, 8 * 1024 * 1024
_QUERY_S = 20.0
_SECOND_NS = 1_000_000_000
_PATH = field_prefix("uri") + b"\x22"
"""What stands before the length of the path in a raw record; the path has less than 16,384 bytes."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One delivery. `stage` is the last one that it is known to have reached: accepted, decoded, stored."""

    namespace: str
    doctype: str
    version: int | None
    accepted_ns: int
    edge: str
    """Empty when the raw record has gone."""
    source: str
    """Its raw record: `raw/0@17`; empty when it is not known."""
    stage: str
    outcome: str
    """document, error, duplicate, deferred (over a limit), or waiting (for the loader)."""
    is_archived: bool | None
    """None when nothing is archived here, or the record is not known."""
    table: str = ""
    query: str = ""
    """Finds the row, or the error's; empty when there is none yet."""
    again_ns: int | None = None
    """When the same document came last once more; those deliveries were not stored."""
    duplicate_of: str = ""
    """The raw record that was kept in its place."""
    error: Failure | None = None


@dataclass(frozen=True, slots=True)
class Searched:
    """What was looked through, for an answer that found nothing."""

    window_from_ns: int | None
    """The ids of everything accepted since then are known; None when no loader has run."""
    waiting_records: int
    """Raw records, not committed by the loader, that were read through."""
    is_whole: bool
    """Whether those were all."""
    everywhere: bool = False
    """Whether all rows of all tables were."""

    def __str__(self) -> str:
        window = (
            "no document ids (no loader has run here)"
            if self.window_from_ns is None
            else f"the ids of all documents since {utc(self.window_from_ns):%Y-%m-%d %H:%M} UTC"
        )
        more = "" if self.is_whole else " (more wait behind them)"
        waiting = f"{self.waiting_records:,} submissions that wait for the loader{more}"
        tables = "all rows of all tables" if self.everywhere else "all of monitoring.errors and monitoring.deferred"
        return f"{window}, {tables}, and {waiting}"


class Receipts:
    """Answers for document ids. Not shared between threads."""

    def __init__(
        self,
        log: Log,
        engine: QueryEngine,
        registry: Registry,
        decoder: Decoder,
        failures: Failures,
        ids: Path,
        window: DeduplicationSettings,
    ) -> None:
        """`ids` is the directory of the loaders' window."""
        self._log = log
        self._engine = engine
        self._registry = registry
        self._decoder = decoder
        self._failures = failures
        self._ids = ids
        self._window = window

    def find(self, document_id: str, *, everywhere: bool = False) -> tuple[list[Receipt], Searched]:
        """All receipts of a document id, the first delivery first. Raises Malformed when it is no UUID.

        `everywhere` looks through the rows of all tables too, which takes seconds for each 10 million."""
        wanted = _checked(document_id)
        wanted_bytes = wanted.encode()
        window = look_up(self._ids, self._window, wanted)
        receipts = [self._known(wanted, known) for known in window.known]
        receipts += [self._refused(found) for found in self._failures.of_document(wanted)]
        receipts += self._deferred(wanted)
        seen = {receipt.source for receipt in receipts}
        waiting, is_whole = 0, True
        for source, records in self._backlog():
            if records is None:
                is_whole = False
                continue
            waiting += len(records)
            for record in records:
                if _may_hold(record.payload, wanted_bytes) and f"{source}@{record.offset}" not in seen:
                    receipt = self._waiting(wanted, source, record, receipts)
                    if receipt is not None:
                        receipts.append(receipt)
        if everywhere:
            rows = {(receipt.table, receipt.accepted_ns // 1000) for receipt in receipts}
            receipts += [row for row in self._in_tables(wanted) if (row.table, row.accepted_ns // 1000) not in rows]
        return sorted(receipts, key=_order), Searched(window.begin_ns, waiting, is_whole, everywhere)

    def _known(self, document_id: str, known: Known) -> Receipt:
        """The receipt of a document that was accepted within the window."""
        raw = self._raw(known.source, known.offset) if known.source is not None else None
        outcome = self._decoder.decode(raw, known.source, known.offset) if raw and known.source else None
        again_ns = known.latest_ns if known.latest_ns > known.accepted_ns else None
        receipt = Receipt(
            *self._named(known.doctype),
            None,
            known.accepted_ns,
            "",
            f"{known.source}@{known.offset}" if known.source else "",
            "decoded",
            "document" if known.source else "duplicate",
            self._is_archived(known.source, known.offset),
            again_ns=again_ns,
        )
        if outcome is None or outcome.version is None:  # the raw record has gone, or was another's
            return self._stored(receipt, document_id, self._tables(receipt.namespace, receipt.doctype))
        received_ns = outcome.submission_ns
        receipt = replace(
            receipt,
            namespace=outcome.namespace or receipt.namespace,
            doctype=outcome.doctype or receipt.doctype,
            version=outcome.version,
            accepted_ns=received_ns,
            edge=outcome.hostname or "",
            again_ns=again_ns if again_ns and again_ns > received_ns else None,
        )
        schema = self._registry.find(receipt.namespace, receipt.doctype, outcome.version)
        unregistered = f"{receipt.namespace}.unregistered"  # also for a schema that came later
        return self._stored(receipt, document_id, [schema.table, unregistered] if schema else [unregistered])

    def _stored(self, receipt: Receipt, document_id: str, tables: list[str]) -> Receipt:
        """The receipt with its row's table, when there is a row. An exact time lets the engine read one file."""
        if receipt.version is not None:
            when = f"submission_timestamp = {sql_moment(receipt.accepted_ns)}"
        else:
            begin, end = receipt.accepted_ns - _SECOND_NS, receipt.accepted_ns + _SECOND_NS
            when = f"submission_timestamp between {sql_moment(begin)} and {sql_moment(end)}"
        for table in tables:
            condition = f"from {table} where document_id = {sql_text(document_id)} and {when}"
            if self._rows(f"select 1 {condition} limit 1"):
                return replace(receipt, stage="stored", table=table, query=f"select * {condition}")
        return replace(receipt, table=tables[0] if receipt.version is not None else "")

    def _deferred(self, document_id: str) -> list[Receipt]:
        """Receipts of what came over a limit. A replay that loads it takes these rows away."""
        query = f"select * from {DEFERRED_TABLE} where document_id = {sql_text(document_id)}"
        receipts = []
        for row in self._rows(query):
            topic, _, partition = row["source"].partition("/")
            source = TopicPartition(topic, int(partition))
            receipts.append(
                Receipt(
                    row["document_namespace"],
                    row["document_type"],
                    row["document_version"],
                    nanoseconds(row["submission_timestamp"]),
                    row["edge"] or "",
                    f"{source}@{row['source_offset']}",
                    "accepted",
                    "deferred",
                    self._is_archived(source, row["source_offset"]),
                    DEFERRED_TABLE,
                    query,
                )
            )
        return receipts

    def _in_tables(self, document_id: str) -> list[Receipt]:
        """Receipts of all rows of this id, wherever they are; which raw record they are of is not known any more."""
        schemas = {schema.table: schema for schema in self._registry.all()}
        receipts = []
        for table in [row["name"] for row in self._rows("show tables")]:
            namespace = table.partition(".")[0]
            if namespace == ERRORS_TABLE.partition(".")[0]:
                continue
            condition = f"from {table} where document_id = {sql_text(document_id)}"
            for row in self._rows(f"select submission_timestamp {condition}"):
                time_ns, schema = nanoseconds(row["submission_timestamp"]), schemas.get(table)
                receipts.append(
                    Receipt(
                        schema.namespace if schema else namespace,
                        schema.doctype if schema else "",
                        schema.version if schema else None,
                        time_ns,
                        "",
                        "",
                        "stored",
                        "document",
                        None,
                        table,
                        f"select * {condition} and submission_timestamp = {sql_moment(time_ns)}",
                    )
                )
        return receipts

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        try:
            return list(self._engine.run(sql, Limits(timeout_s=_QUERY_S)).read_all().to_pylist())
        except QueryError as error:
            if error.reason in ("unknown_table", "invalid"):  # not made yet, or without document ids
                return []
            raise

    def _refused(self, found: Found) -> Receipt:
        failure = found.failure
        topic, _, partition = found.source.partition("/")
        source = TopicPartition(topic, int(partition)) if partition.isdecimal() else None
        return Receipt(
            failure.namespace or "",
            failure.doctype or "",
            failure.version,
            failure.submission_ns,
            failure.hostname or "",
            found.name,
            "stored" if found.is_stored else "decoded",
            "error",
            self._is_archived(source, found.offset),
            "monitoring.errors" if found.is_stored else "",
            f"select * from monitoring.errors where document_id = {sql_text(failure.document_id or '')}"
            f" and submission_timestamp = {sql_moment(failure.submission_ns)}"
            if found.is_stored
            else "",
            error=failure,
        )

    def _waiting(
        self, document_id: str, source: TopicPartition, record: Record, known: list[Receipt]
    ) -> Receipt | None:
        """The receipt of a raw record that the loader's group has not committed; None when it is of another id."""
        outcome = self._decoder.decode(record.payload, source, record.offset)
        if outcome.document_id != document_id:
            return None
        namespace, doctype = outcome.namespace or "", outcome.doctype or ""
        is_decoded = record.offset < self._handled(source)
        first = next(
            (
                other
                for other in known
                if (other.namespace, other.doctype, other.outcome) == (namespace, doctype, "document")
            ),
            None,
        )
        is_repeat = is_decoded and first is not None
        return Receipt(
            namespace,
            doctype,
            outcome.version,
            outcome.submission_ns,
            outcome.hostname or "",
            f"{source}@{record.offset}",
            "decoded" if is_decoded else "accepted",
            "duplicate" if is_repeat else "waiting",
            self._is_archived(source, record.offset),
            duplicate_of=first.source if is_repeat and first else "",
        )

    def _backlog(self) -> Iterator[tuple[TopicPartition, list[Record] | None]]:
        """What the loader has not committed, in portions; None for a partition of which there is more than we read."""
        for number in range(self._log.topics().get("raw", 0)):
            source = TopicPartition("raw", number)
            bounds = self._log.bounds(source)
            reader = self._log.open_reader(source, max(self._log.committed(GROUP, source) or 0, bounds.start))
            try:
                size_bytes = 0
                while reader.position < bounds.end:
                    if size_bytes > SEARCH_BYTES:
                        yield source, None
                        break
                    try:
                        records = reader.read(_READ_RECORDS, _READ_BYTES, 0.0)
                    except Missing:  # the loader is behind it and retention took it, between the two calls
                        reader.seek(self._log.bounds(source).start)
                        continue
                    size_bytes += sum(len(record.payload) for record in records)
                    yield source, records
            finally:
                reader.close()

    def _handled(self, source: TopicPartition) -> int:
        """The raw offset before which the loader has handed everything out."""
        topics = self._log.topics()
        return max(
            next_source_offset(self._log, TopicPartition(topic, source.partition))
            if source.partition < topics.get(topic, 0)
            else 0
            for topic in OUTPUT_TOPICS
        )

    def _raw(self, source: TopicPartition, offset: int) -> bytes | None:
        """The raw record; None when retention has taken it."""
        if source.partition >= self._log.topics().get(source.topic, 0):
            return None
        bounds = self._log.bounds(source)
        if not bounds.start <= offset < bounds.end:
            return None
        reader = self._log.open_reader(source, offset)
        try:
            return reader.read(1, 1, 0.0)[0].payload
        except Missing:
            return None
        finally:
            reader.close()

    def _is_archived(self, source: TopicPartition | None, offset: int) -> bool | None:
        committed = None if source is None else self._log.committed(ARCHIVER, source)
        return None if committed is None else offset < committed

    def _named(self, hashed: bytes) -> tuple[str, str]:
        """Namespace and doctype of a hash, if a schema names them."""
        named = {(schema.namespace, schema.doctype) for schema in self._registry.all()}
        return next((names for names in sorted(named) if doctype_hash(*names) == hashed), ("", ""))

    def _tables(self, namespace: str, doctype: str) -> list[str]:
        return [
            table_name(namespace, doctype, schema.version)
            for schema in self._registry.all()
            if (schema.namespace, schema.doctype) == (namespace, doctype)
        ]


def _checked(document_id: str) -> str:
    try:
        return str(uuid.UUID(document_id))
    except ValueError as error:
        raise Malformed(
            f"looking for a receipt: {document_id[:80]!r} is no document id, must be a UUID as it stands in the "
            "submission's path"
        ) from error


def _may_hold(payload: bytes, document_id: bytes) -> bool:
    """Whether the path in a raw record may name this id. Looks no further than the path: a fiftieth of decoding, and a
    search through all of a body costs twenty times as much."""
    at = payload.find(_PATH)
    head = payload[at + len(_PATH) : at + len(_PATH) + 2]
    if at < 0 or len(head) < 2:  # not as our edge writes it
        return document_id in payload.lower()
    length = head[0] if head[0] < 128 else head[0] - 128 + 128 * head[1]
    begin = at + len(_PATH) + 1
    return document_id in payload[begin : begin + 1 + length].lower()


def _order(receipt: Receipt) -> tuple[int, str]:
    return receipt.accepted_ns, receipt.source
