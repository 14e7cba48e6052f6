"""Buffers of typed rows, one a table, and how far each table already is.

A buffer knows, for each raw partition, the offset that its table has recorded (`expected`): rows below it were
committed by an earlier life of the loader and are skipped. Documents of a doctype that has no schema share the table
`<namespace>.unregistered`, so that a stranger who invents doctypes cannot make tables. Each such doctype is announced
once, because its producer usually waits for a schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from catchment import metrics
from catchment.document import Document
from catchment.errors import Missing, Transient
from catchment.events import Events
from catchment.ingestion.decoder.failure import ERRORS_TABLE, Failure
from catchment.ingestion.limits.rows import DEFERRED_TABLE, Deferral, DeferralRows
from catchment.ingestion.loader.failures import FailureRows
from catchment.lake.columns import Columns
from catchment.lake.commit import Span
from catchment.lake.fitting import fitted
from catchment.lake.tables import Lake
from catchment.log.port import TopicPartition
from catchment.schemas.registry import Registry
from catchment.schemas.shape import Struct

NEW_DOCTYPES = metrics.counter(
    "loader_new_doctypes_total", "Doctypes without a schema that this process met for the first time.", "doctypes"
)
MAX_ANNOUNCED = 10_000
"""Most doctypes without a schema that a process announces; who invents more of them is no producer."""
UNREGISTERED_TABLE = "unregistered"


class Rows(Protocol):
    """What gathers rows of one table: typed columns of documents, or the error table's."""

    @property
    def rows(self) -> int: ...

    @property
    def size_bytes(self) -> int: ...

    def take(self) -> pa.Table: ...


class TableBuffer:
    """Rows of one table that wait for their commit, but for those that were withdrawn."""

    def __init__(self, name: str, columns: Rows, recorded: Mapping[str, int]) -> None:
        self.name = name
        self.columns = columns
        self._expected: dict[str, int] = dict(recorded)
        self._withdrawn: list[int] = []

    def learn(self, sources: Iterable[TopicPartition], recorded: Mapping[str, int]) -> None:
        """Go by what the table has recorded of these partitions now. None of their rows may wait."""
        for source in map(str, sources):
            self._expected.pop(source, None)
            if source in recorded:
                self._expected[source] = recorded[source]

    def takes(self, source: TopicPartition, offset: int) -> bool:
        """Whether a row made of this record is new to the table."""
        return offset >= self._expected.get(str(source), 0)

    def withdraw(self, number: int) -> None:
        """Leave a row of this flush out, counted from 0."""
        self._withdrawn.append(number)

    def take(self) -> pa.Table:
        """The rows that stay; the buffer is empty afterwards."""
        rows = self.columns.take()
        if self._withdrawn:
            stays = [True] * rows.num_rows
            for number in self._withdrawn:
                stays[number] = False
            self._withdrawn.clear()
            rows = rows.filter(pa.array(stays))
        return rows

    def spans(self, next_offsets: Mapping[TopicPartition, int]) -> dict[str, Span]:
        """What the commit must find recorded, and what it records, for each owned partition."""
        return {
            str(source): Span(self._expected.get(str(source)), end)
            for source, end in next_offsets.items()
            if end > self._expected.get(str(source), 0)
        }

    def committed(self, spans: Mapping[str, Span]) -> None:
        self._expected.update({source: span.end for source, span in spans.items()})


class Row(NamedTuple):
    """A row that waits in a buffer."""

    buffer: TableBuffer
    number: int

    def withdraw(self) -> None:
        """Leave it out after all, before the buffer is taken."""
        self.buffer.withdraw(self.number)


class Buffers:
    """All tables that this loader writes."""

    def __init__(self, lake: Lake, registry: Registry, events: Events) -> None:
        self._lake = lake
        self._registry = registry
        self._events = events
        self._by_doctype: dict[tuple[str, str, int], TableBuffer] = {}
        """Of doctypes with a schema only: of the others there may be any number."""
        self._announced: set[tuple[str, str]] = set()
        self._by_table: dict[str, TableBuffer] = {}

    def add_document(self, document: Document, source: TopicPartition, offset: int) -> Row | None:
        """Add the document's row; None when its table has it already."""
        key = (document.namespace, document.doctype, document.version)
        buffer = self._by_doctype.get(key) or self._open(key)
        if not buffer.takes(source, offset):
            return None
        columns = buffer.columns
        assert isinstance(columns, Columns)
        columns.append(document)
        return Row(buffer, columns.rows - 1)

    def add_failure(self, failure: Failure, source: TopicPartition, offset: int) -> None:
        buffer = self._by_table.get(ERRORS_TABLE) or self._buffer(ERRORS_TABLE, FailureRows)
        if buffer.takes(source, offset):
            columns = buffer.columns
            assert isinstance(columns, FailureRows)
            columns.append(failure, source, offset)

    def add_deferral(self, deferral: Deferral, source: TopicPartition) -> None:
        buffer = self._by_table.get(DEFERRED_TABLE) or self._buffer(DEFERRED_TABLE, DeferralRows)
        if buffer.takes(source, deferral.offset):
            columns = buffer.columns
            assert isinstance(columns, DeferralRows)
            columns.append(deferral, source)

    @property
    def size_bytes(self) -> int:
        return sum(buffer.columns.size_bytes for buffer in self._by_table.values())

    def take(self, next_offsets: Mapping[TopicPartition, int]) -> list[Pending]:
        """All rows that wait, by table, with the offsets that their commit records."""
        taken = [(buffer, buffer.take()) for buffer in self._by_table.values() if buffer.columns.rows]
        return [Pending(buffer, rows, buffer.spans(next_offsets)) for buffer, rows in taken if rows.num_rows]

    def learn(self, sources: Sequence[TopicPartition]) -> None:
        """Ask the tables how far they have partitions that this loader gets: others have written them meanwhile."""
        for name, buffer in self._by_table.items():
            buffer.learn(sources, _recorded(self._lake, name))

    def forget(self) -> None:
        """Drop what the tables recorded: the owned partitions have changed. Only when nothing waits."""
        self._by_doctype.clear()
        self._by_table.clear()

    def adopt(self, registry: Registry) -> None:
        """Gather by these schemas from the next document on. Only when nothing waits."""
        self._registry = registry
        self.forget()

    def _open(self, key: tuple[str, str, int]) -> TableBuffer:
        table, shape = table_of(self._registry, *key)
        if shape is None:
            self._announce(*key)
            return self._by_table.get(table) or self._buffer(table, lambda: Columns(None))
        buffer = self._by_doctype[key] = self._by_table.get(table) or self._buffer(
            table, lambda: columns_of(self._lake, table, shape, self._events)
        )
        return buffer

    def _announce(self, namespace: str, doctype: str, version: int) -> None:
        if (namespace, doctype) in self._announced or len(self._announced) >= MAX_ANNOUNCED:
            return
        self._announced.add((namespace, doctype))
        NEW_DOCTYPES.inc()
        self._events.warning("new_doctype", namespace=namespace, doctype=doctype, version=version)

    def _buffer(self, table: str, columns: Callable[[], Any]) -> TableBuffer:
        buffer = self._by_table[table] = TableBuffer(table, columns(), _recorded(self._lake, table))
        return buffer


def table_of(registry: Registry, namespace: str, doctype: str, version: int) -> tuple[str, Struct | None]:
    """The table of a doctype's documents, and their shape if they have a schema."""
    schema = registry.find(namespace, doctype, version)
    return (schema.table, schema.shape) if schema else (f"{namespace}.{UNREGISTERED_TABLE}", None)


def columns_of(lake: Lake, table: str, shape: Struct | None, events: Events) -> Columns:
    """Columns for this shape, as far as the table that is there can hold them."""
    if shape is None:
        return Columns(None)
    try:
        held = lake.load(table).schema().as_arrow()
    except Missing:
        return Columns(shape, table=table)
    shape, differing = fitted(shape, held)
    if differing:
        events.warning("schema_differs_from_table", table=table, columns=", ".join(differing))
    return Columns(shape, table=table)


def _recorded(lake: Lake, table: str) -> dict[str, int]:
    try:
        return lake.offsets(table)
    except Missing:
        return {}


@dataclass(frozen=True, slots=True)
class Pending:
    """Rows of a table on their way into it; the buffer gathers the next ones meanwhile."""

    buffer: TableBuffer
    rows: pa.Table
    spans: Mapping[str, Span]


def commit(lake: Lake, pending: Pending, at: Callable[[str], None], wait: Callable[[Transient], None]) -> None:
    """Commit the rows with their offsets.

    Transient refusals are repeated for ever (`wait` is called between, and may raise to give up); anything else ends
    the loader, which starts again from what is committed.
    """
    name = pending.buffer.name
    while True:
        try:
            lake.ensure(name, pending.rows.schema)
            lake.commit(name, pending.rows, pending.spans, at=at)
            break
        except Transient as error:
            wait(error)
    pending.buffer.committed(pending.spans)
