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
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from catchment.clock import utc
from catchment.errors import Malformed, QueryError
from catchment.ingestion.decoder.chain import Decoder
from catchment.ingestion.decoder.failure import ERRORS_TABLE, Failure
from catchment.ingestion.decoder.uri import MAX_TEXT_CHARS, read_document_id
from catchment.ingestion.deduplication import DeduplicationSettings, Known, doctype_hash, look_up
from catchment.ingestion.inspection.backlog import backlog, handled, may_hold, raw_record, waiting
from catchment.ingestion.inspection.failures import Failures, Found
from catchment.ingestion.inspection.moments import nanoseconds, sql_moment, sql_text
from catchment.ingestion.landfill.archiver import GROUP as ARCHIVER
from catchment.ingestion.limits.rows import DEFERRED_TABLE
from catchment.log.port import Log, Record, TopicPartition
from catchment.query.port import Limits, QueryEngine
from catchment.schemas.names import table_name
from catchment.schemas.registry import Registry

_QUERY_S = 20.0
_SECOND_NS = 1_000_000_000

Say = Callable[[str, int, int], None]
"""Is told what is looked through, how much of it is done, and how much there is."""


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
        *,
        is_lenient: bool = False,
    ) -> None:
        """`ids` is the directory of the loaders' window; `is_lenient` tells whether some namespace takes ids that are
        no UUIDs."""
        self._log = log
        self._engine = engine
        self._registry = registry
        self._decoder = decoder
        self._failures = failures
        self._ids = ids
        self._window = window
        self._is_lenient = is_lenient

    def find(
        self, document_id: str, *, everywhere: bool = False, say: Say = lambda what, done, total: None
    ) -> tuple[list[Receipt], Searched]:
        """All receipts of a document id, the first delivery first. Raises Malformed when it is no UUID, nor, where
        namespaces are lenient, another id that the decoder takes.

        `everywhere` looks through the rows of all tables too, which takes seconds for each 10 million."""
        wanted = _checked(document_id, self._is_lenient)
        wanted_bytes = wanted.lower().encode()
        window = look_up(self._ids, self._window, wanted)
        receipts = [self._known(wanted, known) for known in window.known]
        receipts += [self._refused(found) for found in self._failures.of_document(wanted)]
        receipts += self._deferred(wanted)
        seen = {receipt.source for receipt in receipts}
        looked, total, is_whole = 0, waiting(self._log), True
        for source, records in backlog(self._log):
            if records is None:
                is_whole = False
                continue
            looked += len(records)
            say("submissions that wait", looked, total)
            for record in records:
                if may_hold(record.payload, wanted_bytes) and f"{source}@{record.offset}" not in seen:
                    receipt = self._waiting(wanted, source, record, receipts)
                    if receipt is not None:
                        receipts.append(receipt)
        if everywhere:
            rows = {(receipt.table, receipt.accepted_ns // 1000) for receipt in receipts}
            receipts += [
                row for row in self._in_tables(wanted, say) if (row.table, row.accepted_ns // 1000) not in rows
            ]
        return sorted(receipts, key=_order), Searched(window.begin_ns, looked, is_whole, everywhere)

    def _known(self, document_id: str, known: Known) -> Receipt:
        """The receipt of a document that was accepted within the window."""
        raw = raw_record(self._log, known.source, known.offset) if known.source is not None else None
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
                found = replace(receipt, stage="stored", table=table, query=f"select * {condition}")
                return replace(found, outcome="document")  # also of one that a replay brought in and noted
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

    def _in_tables(self, document_id: str, say: Say) -> list[Receipt]:
        """Receipts of all rows of this id, wherever they are; which raw record they are of is not known any more."""
        schemas = {schema.table: schema for schema in self._registry.all()}
        receipts = []
        tables = [row["name"] for row in self._rows("show tables")]
        for number, table in enumerate(tables, start=1):
            say("tables", number, len(tables))
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
        is_decoded = record.offset < handled(self._log, source)
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


def _checked(document_id: str, is_lenient: bool) -> str:
    """The id as the decoder keeps it. Raises Malformed when it keeps none such."""
    found = read_document_id(document_id, is_lenient)
    if found is None and not is_lenient:
        try:
            return str(uuid.UUID(document_id))  # without hyphens, in braces
        except ValueError:
            found = None
    if found is None:
        rule = "a UUID as it stands in the submission's path"
        if is_lenient:
            rule += (
                f", or, as [decoder] lenient_namespaces is set, 1 to {MAX_TEXT_CHARS} printable characters without /"
            )
        raise Malformed(f"looking for a receipt: {document_id[:80]!r} is no document id, must be {rule}")
    return found


def _order(receipt: Receipt) -> tuple[int, str]:
    return receipt.accepted_ns, receipt.source
