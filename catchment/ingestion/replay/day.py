"""One day of a replay: decode its deliveries, gather rows, and replace what the tables hold of them.

Rows become files as soon as `flush_bytes` of them wait. At the end there is one commit a table, monitoring.errors last:
a row of it is what `--errors-only` would need again, should the day be done anew.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.manifest import DataFile

from catchment.document import Document
from catchment.events import Events
from catchment.ingestion.decoder.chain import Decoder
from catchment.ingestion.decoder.failure import ERRORS_TABLE, Failure
from catchment.ingestion.deduplication import Deduplicator, Sighting
from catchment.ingestion.limits.rows import DEFERRED_TABLE
from catchment.ingestion.loader.failures import FailureRows
from catchment.ingestion.loader.tables import UNREGISTERED_TABLE, Rows, columns_of, table_of
from catchment.ingestion.replay.deliveries import (
    KEY_COLUMNS,
    REMOVED,
    REPLACED,
    UNREGISTERED_KEY_COLUMNS,
    Deliveries,
    Judge,
    keyed,
    micros,
    outlived,
    pairs,
    suffix_of,
)
from catchment.ingestion.replay.live import LiveIds
from catchment.ingestion.replay.repeats import REPEAT, Identity, Repeats, displaced, pair_of, place_of
from catchment.ingestion.replay.selection import DAY_NS, Delivery
from catchment.lake import replacing
from catchment.lake.columns import Columns
from catchment.lake.replacing import Doomed, Span
from catchment.lake.tables import Lake
from catchment.log.port import Record, TopicPartition
from catchment.schemas.names import snake_case
from catchment.schemas.registry import Registry

PLACE_COLUMNS = ("source", "source_offset", "submission_timestamp", "document_id")
"""The place tells rows of monitoring.errors and .deferred apart; that of a displaced delivery, id and time."""


@dataclass(slots=True)
class TableReport:
    """Rows of one table: `added` were not there, `replaced` were, `removed` are there no more. `changed` counts, by
    column, replaced rows that differ; it is known only after a dry run."""

    added: int = 0
    replaced: int = 0
    removed: int = 0
    changed: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class DayReport:
    """What a day's deliveries became. `failures` are by code."""

    deliveries: int = 0
    documents: int = 0
    repeats: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    tables: dict[str, TableReport] = field(default_factory=dict)


class Target(Protocol):
    """Where a day's rows go: the lake, or a comparison with it."""

    def write(self, table: str, rows: pa.Table, batch: str = "") -> None:
        """Keep rows of a table, in a batch of their own, until its `replace`."""
        ...

    def replace(self, table: str, columns: Sequence[str], doomed: Doomed, span: Span, batch: str = "") -> TableReport:
        """Bring in what was written to the batch of the table, and take out what `doomed` names."""
        ...


class LakeTarget:
    """Changes the lake. Until a table's commit its rows are in files that nothing names."""

    def __init__(self, lake: Lake, at: Callable[[str], None]) -> None:
        self._lake = lake
        self._at = at
        self._files: dict[tuple[str, str], list[DataFile]] = defaultdict(list)

    def write(self, table: str, rows: pa.Table, batch: str = "") -> None:
        self._files[table, batch] += replacing.write(self._lake, table, rows)
        self._at("rows_written")

    def replace(self, table: str, columns: Sequence[str], doomed: Doomed, span: Span, batch: str = "") -> TableReport:
        files = self._files.pop((table, batch), [])
        gone = replacing.replace(self._lake, table, files, columns, doomed, span, self._at)
        self._at(f"table_replaced {table}")
        written = sum(file.record_count for file in files)
        return TableReport(max(written - gone[REPLACED], 0), gone[REPLACED], gone.total() - gone[REPLACED])


class Day:
    """The work of one day."""

    def __init__(
        self,
        day: int,
        lake: Lake,
        registry: Registry,
        decoder: Decoder,
        deduplicator: Deduplicator,
        events: Events,
        target: Target,
        *,
        window_h: float,
        flush_bytes: int,
        until_us: int,
        live: LiveIds | None = None,
    ) -> None:
        """`until_us` is the end of what is replayed wholly; 0 when only some of the deliveries are. `live` is told of
        every document that comes in."""
        self.report = DayReport()
        self._lake = lake
        self._registry = registry
        self._decoder = decoder
        self._deduplicator = deduplicator
        self._events = events
        self._target = target
        self._live = live
        self._flush_bytes = flush_bytes
        self._window_us = round(window_h * 3_600e6)
        since_us = day * DAY_NS // 1000
        self._span = Span(since_us, since_us + DAY_NS // 1000)
        self._spared_us = (self._span.until_us, until_us)
        self._buffers: dict[str, Rows] = {}
        self._doctype_buffers: dict[tuple[str, str, int], tuple[str, Columns]] = {}
        self._written: set[str] = set()
        self._held: dict[str, pa.Table] = {}
        self._deliveries: dict[tuple[str, str], Deliveries] = defaultdict(Deliveries)
        self._sources: list[str] = []
        self._source_numbers: dict[str, int] = {}
        self._seen_sources, self._seen_offsets, self._seen_us = array("q"), array("q"), array("q")
        self._seen_failed = bytearray()
        self._failures: Counter[str] = Counter()
        self._repeats = Repeats(self._held_texts)
        self._named: set[str] = set()
        """Places and pairs of repeats that have got their row of monitoring.errors now."""
        self._waiting: dict[str, list[tuple[Delivery, Identity, Sighting]]] = defaultdict(list)
        """By table the deliveries whose documents are in its buffer."""
        self._known = lake.tables()

    def add(self, deliveries: Sequence[Delivery]) -> None:
        """Decode deliveries, which come in order of receipt."""
        if not deliveries:
            return
        records = [Record(delivery.offset, delivery.payload) for delivery in deliveries]
        outcomes = self._decoder.decode_batch(records, deliveries[0].source)
        decoded = [(d, o) for d, o in zip(deliveries, outcomes, strict=True) if isinstance(o, Document)]
        repeats = self._deduplicator.mark(
            [Sighting.of(document, TopicPartition(d.edge, d.source.partition), d.offset) for d, document in decoded]
        )
        for (delivery, document), repeat in zip(decoded, repeats, strict=True):
            place = self._deliveries[document.namespace, document.doctype]
            place.add(document.document_id, document.submission_ns // 1000, repeat is None)
            if repeat is None:
                self._add_document(document, delivery)
            else:
                self.report.repeats += 1
                self._repeats.add(delivery, Identity.of(document))
        for delivery, outcome in zip(deliveries, outcomes, strict=True):
            if isinstance(outcome, Failure):
                self._add_failure(outcome, delivery)
            self._seen_sources.append(self._source_number(str(delivery.source)))
            self._seen_offsets.append(delivery.offset)
            self._seen_us.append(delivery.received_ns // 1000)
            self._seen_failed.append(isinstance(outcome, Failure))
        self.report.deliveries += len(deliveries)
        if self._repeats.size_bytes >= self._flush_bytes:
            self._name_repeats()
        for table, buffer in self._buffers.items():
            if buffer.size_bytes >= self._flush_bytes:
                self._flush(table, buffer)

    def commit(self) -> DayReport:
        """Replace the rows of every table that may have some, monitoring.deferred and monitoring.errors last."""
        self._deduplicator.sync()
        for table, buffer in self._buffers.items():
            if buffer.rows:
                self._flush(table, buffer)
        self._name_repeats()
        until = Span(self._span.since_us, self._span.until_us + self._window_us)
        tables = sorted((self._written | self._touched()) - {DEFERRED_TABLE, ERRORS_TABLE})
        judges = {table: Judge(self._deliveries_in(table), self._window_us, self._spared_us) for table in tables}
        for table, judge in judges.items():
            self._name_displaced(table, judge)
        if self._named:
            named = _are_in(pa.array(sorted(self._named)))
            self._tell(ERRORS_TABLE, self._target.replace(ERRORS_TABLE, PLACE_COLUMNS, named, until, REPEAT))
        for table, judge in judges.items():
            self._tell(table, self._target.replace(table, _keys_of(table), judge, until))
        for table in (DEFERRED_TABLE, ERRORS_TABLE):
            if self.report.deliveries and (table in self._written or table in self._known):
                settled = self._settled(is_rewritten=table == ERRORS_TABLE)
                self._tell(table, self._target.replace(table, PLACE_COLUMNS, settled, self._span))
        self.report.failures = dict(sorted(self._failures.items()))
        return self.report

    def _tell(self, table: str, report: TableReport) -> None:
        if report != TableReport():
            told = self.report.tables.setdefault(table, TableReport())
            told.added += report.added
            told.replaced += report.replaced
            told.removed += report.removed
            told.changed.update(report.changed)

    def _add_document(self, document: Document, delivery: Delivery) -> None:
        key = (document.namespace, document.doctype, document.version)
        found = self._doctype_buffers.get(key)
        if found is None:
            table, shape = table_of(self._registry, *key)
            columns = self._buffers.get(table) or columns_of(self._lake, table, shape, self._events)
            assert isinstance(columns, Columns)
            self._buffers[table] = columns
            found = self._doctype_buffers[key] = (table, columns)
        found[1].append(document)
        sighting = Sighting.of(document, delivery.source, delivery.offset)
        self._waiting[found[0]].append((delivery, Identity.of(document), sighting))
        self.report.documents += 1

    def _add_failure(self, failure: Failure, delivery: Delivery) -> None:
        self._failures[failure.code] += 1
        if not failure.submission_ns:
            return  # no message: its row in monitoring.errors has no time, and stays as it is
        buffer = self._buffers.setdefault(ERRORS_TABLE, FailureRows())
        assert isinstance(buffer, FailureRows)
        buffer.append(failure, delivery.source, delivery.offset)
        if failure.namespace and failure.doctype and failure.document_id:
            place = self._deliveries[failure.namespace, failure.doctype]
            place.add(failure.document_id, failure.submission_ns // 1000, False)

    def _name_repeats(self) -> None:
        """Write rows for the repeats that had some, before anything of what they had goes."""
        rows = FailureRows()
        for delivery, failure in self._repeats.take():
            rows.append(failure, delivery.source, delivery.offset)
            self._named |= {place_of(delivery), f"{failure.document_id}@{failure.submission_ns // 1000}"}
        if rows.rows:
            self._target.write(ERRORS_TABLE, rows.take(), REPEAT)

    def _name_displaced(self, table: str, judge: Judge) -> None:
        """Write rows for the rows of a table that go for an earlier delivery, and that nothing else would tell of."""
        gone = judge.displaced(self._held_in(table))
        rows = FailureRows()
        version = re.search(r"_v(\d+)$", table)
        for key, time_us in zip(gone.column("key").to_pylist(), gone.column("time_us").to_pylist(), strict=True):
            document_id, _, doctype = key.partition("/")
            named = next(names for names in self._doctypes_in(table) if doctype in ("", names[1]))
            document = Identity(*named, int(version[1]) if version else None, document_id, time_us * 1000)
            rows.append(displaced(document), None, None)
            self._named.add(pair_of(document))
        if rows.rows:
            self._target.write(ERRORS_TABLE, rows.take(), REPEAT)

    def _held_texts(self) -> Iterator[pa.Array]:
        """Places and pairs that the tables have of this day's deliveries."""
        for table in (ERRORS_TABLE, DEFERRED_TABLE):
            keys = replacing.keys(self._lake, table, PLACE_COLUMNS, self._span)
            if keys.num_rows:
                yield _places_of(keys)
        for table in self._touched():
            keys = replacing.keys(self._lake, table, KEY_COLUMNS, self._span)
            if keys.num_rows:
                yield _one(pairs(keyed(keys)))

    def _flush(self, table: str, buffer: Rows) -> None:
        rows = buffer.take()
        if table != ERRORS_TABLE:
            rows = self._without_repeats(table, rows)
        if rows.num_rows:
            self._written.add(table)
            self._target.write(table, rows)

    def _without_repeats(self, table: str, rows: pa.Table) -> pa.Table:
        """The rows, but for those that are repeats of something outside of the replay: an earlier row, or what a loader
        has accepted and not committed."""
        waiting = self._waiting.pop(table)
        chunk = keyed(rows.select(list(_keys_of(table))))
        gone = outlived(chunk, self._held_in(table), self._deliveries_in(table), self._window_us)
        if self._live is not None:
            keys = chunk.column("key").to_pylist()
            coming = [number for number, key in enumerate(keys) if key not in gone]
            is_taken = self._live.note([waiting[number][2] for number in coming])
            gone |= {keys[number] for number, is_so in zip(coming, is_taken, strict=True) if is_so}
        if not gone:
            return rows
        ids = {key.partition("/")[0] for key in gone}
        for doctype in self._doctypes_in(table):
            self._deliveries[doctype].demote(ids)
        is_gone = pc.is_in(chunk.column("key"), pa.array(sorted(gone)))
        for (delivery, document, _), is_so in zip(waiting, is_gone.to_pylist(), strict=True):
            if is_so:
                self._repeats.add(delivery, document)
        kept = rows.filter(pc.invert(is_gone))
        self.report.documents -= rows.num_rows - kept.num_rows
        self.report.repeats += rows.num_rows - kept.num_rows
        return kept

    def _held_in(self, table: str) -> pa.Table:
        """Keys and times of the rows that the table has of this day and, by a window, around it; read once."""
        held = self._held.get(table)
        if held is None:
            around = Span(self._span.since_us - self._window_us, self._span.until_us + self._window_us)
            held = self._held[table] = keyed(replacing.keys(self._lake, table, _keys_of(table), around))
        return held

    def _touched(self) -> set[str]:
        """Tables that may hold rows of the deliveries: of any version of their doctypes, or without a schema."""
        return {table for table in self._known if self._doctypes_in(table)}

    def _doctypes_in(self, table: str) -> list[tuple[str, str]]:
        return [doctype for doctype in self._deliveries if _may_be_in(table, *doctype)]

    def _deliveries_in(self, table: str) -> list[pa.Table]:
        is_registered = not table.endswith(f".{UNREGISTERED_TABLE}")
        return [
            self._deliveries[doctype].table("" if is_registered else suffix_of(doctype[1]))
            for doctype in self._doctypes_in(table)
        ]

    def _source_number(self, source: str) -> int:
        number = self._source_numbers.get(source)
        if number is None:
            number = self._source_numbers[source] = len(self._sources)
            self._sources.append(source)
        return number

    def _settled(self, is_rewritten: bool) -> Doomed:
        """Rows whose submissions were decoded now: REMOVED, or REPLACED if they failed anew and the table tells it."""
        sources = pa.DictionaryArray.from_arrays(pa.array(self._seen_sources, pa.int64()), pa.array(self._sources))
        seen = _places(sources.cast(pa.string()), pa.array(self._seen_offsets), pa.array(self._seen_us))
        failed = seen.filter(pa.array(self._seen_failed, pa.uint8()).cast(pa.bool_())) if is_rewritten else seen[:0]

        pairs_seen = [pairs(self._deliveries[doctype].table()) for doctype in self._deliveries]
        seen = pa.concat_arrays([_one(seen), *pairs_seen])
        if is_rewritten and self._named:
            seen = seen.filter(pc.invert(pc.is_in(seen, pa.array(sorted(self._named)))))

        def why(rows: pa.Table) -> pa.Array:
            places = _places_of(rows)
            reasons = pc.if_else(pc.is_in(places, failed), REPLACED, REMOVED)
            return pc.if_else(pc.is_in(places, seen), reasons, pa.scalar(None, pa.string()))

        return why


def _places(sources: Any, offsets: Any, times_us: Any) -> Any:
    return pc.binary_join_element_wise(sources, offsets.cast(pa.string()), times_us.cast(pa.string()), "@")


def _places_of(rows: pa.Table) -> pa.Array:
    """`place_of` rows with PLACE_COLUMNS; `pair_of` those without a place."""
    sources, offsets, times, ids = (rows.column(name) for name in PLACE_COLUMNS)
    times = micros(times)
    pair = pc.binary_join_element_wise(ids.cast(pa.string()), times.cast(pa.string()), "@")
    return _one(pc.coalesce(_places(sources.cast(pa.string()), offsets, times), pair))


def _are_in(places: pa.Array) -> Doomed:
    """Rows at these places are REPLACED."""
    return lambda rows: pc.if_else(pc.is_in(_places_of(rows), places), REPLACED, pa.scalar(None, pa.string()))


def _one(column: Any) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _may_be_in(table: str, namespace: str, doctype: str) -> bool:
    if table == f"{namespace}.{UNREGISTERED_TABLE}":
        return True
    return re.fullmatch(rf"{re.escape(f'{snake_case(namespace)}.{snake_case(doctype)}')}_v\d+", table) is not None


def _keys_of(table: str) -> tuple[str, ...]:
    return UNREGISTERED_KEY_COLUMNS if table.endswith(f".{UNREGISTERED_TABLE}") else KEY_COLUMNS
