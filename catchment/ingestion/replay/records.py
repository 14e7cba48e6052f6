"""Where replayed records come from, a day at a time and ordered by receipt.

`LandfillRecords`: the landfill's objects and, behind them, what the log has and the archiver has not shipped yet. The
streams of all edges are merged by time; within one, records are ordered but for late ones. `ErrorRecords`: rows of
monitoring.errors, made messages again; they have no address, so their country is not known.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Protocol

from catchment import message
from catchment.errors import Malformed, Missing
from catchment.ingestion.decoder.failure import ERRORS_TABLE
from catchment.ingestion.inspection.moments import sql_moment, sql_text
from catchment.ingestion.landfill.archiver import GROUP as ARCHIVER_GROUP
from catchment.ingestion.landfill.layout import Index
from catchment.ingestion.landfill.shelf import Landfill
from catchment.ingestion.loader.loop import GROUP as LOADER_GROUP
from catchment.ingestion.replay.selection import Delivery, Selection
from catchment.log.port import Log, Record, TopicPartition
from catchment.query.port import Limits, QueryEngine

BATCH_RECORDS = 1000
BATCH_BYTES = 1024 * 1024
_LONGEST_QUERY_S = 86_400.0
_STAMP_AT = 19
_by_time = itemgetter(0)


class Records(Protocol):
    """Deliveries of a selection."""

    def size(self, day: int) -> int:
        """Work of the day, in some unit, for a progress bar."""
        ...

    def day(self, day: int) -> Iterator[tuple[list[Delivery], int]]:
        """Batches of the day's deliveries, and how much of the day's size each has cost."""
        ...


@dataclass(frozen=True, slots=True)
class _Tail:
    """What of a partition is only in the log: from `first` to `end` (not included)."""

    source: TopicPartition
    first: int
    end: int


class LandfillRecords:
    """The landfill, then the log. Records that the loader has not committed when this is made are left out."""

    def __init__(self, selection: Selection, landfill: Landfill, log: Log, name: str) -> None:
        """`name` is this log's in the landfill (`edge_name`)."""
        self._selection = selection
        self._landfill = landfill
        self._log = log
        self._name = name
        count = log.topics().get("raw", 0)
        sources = [TopicPartition("raw", number) for number in range(count)]
        self._loaded = {f"{name}.{s.partition}": log.committed(LOADER_GROUP, s) or 0 for s in sources}
        shipped = {source: log.committed(ARCHIVER_GROUP, source) or 0 for source in sources}
        self._indexes = landfill.indexes(selection.since_ns, selection.until_ns)
        self._tails = [self._tail(source, shipped[source]) for source in sources]

    def size(self, day: int) -> int:
        return sum(index.plain_bytes for index in self._of(day))

    def day(self, day: int) -> Iterator[tuple[list[Delivery], int]]:
        since_ns, until_ns = self._selection.bounds(day)
        streams: dict[str, list[Iterable[Delivery]]] = {}
        self._cost = 0
        for index in self._of(day):
            if index.matching(self._selection.namespace, self._selection.doctype):
                streams.setdefault(index.edge, []).append(self._object(index, since_ns, until_ns))
        for tail in self._tails:
            if tail.first < tail.end:
                edge = f"{self._name}.{tail.source.partition}"
                streams.setdefault(edge, []).append(self._unshipped(tail, edge, since_ns, until_ns))
        chained = [_chained(parts) for parts in streams.values()]
        merged = chained[0] if len(chained) == 1 else heapq.merge(*chained, key=_by_time)
        batch: list[Delivery] = []
        size_bytes = 0
        for delivery in merged:
            batch.append(delivery)
            size_bytes += len(delivery.payload)
            if len(batch) >= BATCH_RECORDS or size_bytes >= BATCH_BYTES:
                yield batch, self._paid()
                batch, size_bytes = [], 0
        yield batch, self._paid()

    def _of(self, day: int) -> list[Index]:
        since_ns, until_ns = self._selection.bounds(day)
        return [index for index in self._indexes if index.earliest_ns < until_ns and index.latest_ns >= since_ns]

    def _paid(self) -> int:
        cost, self._cost = self._cost, 0
        return cost

    def _tail(self, source: TopicPartition, shipped: int) -> _Tail:
        edge = f"{self._name}.{source.partition}"
        ends = [index.end for index in self._indexes if index.edge == edge]
        first = max(shipped, self._log.bounds(source).start, *ends, 0)
        return _Tail(source, first, self._loaded[edge])

    def _object(self, index: Index, since_ns: int, until_ns: int) -> Iterator[Delivery]:
        source = _source_of(index.source)
        limit = self._loaded.get(index.edge, index.end)
        for block in self._landfill.blocks(index):
            self._cost += sum(len(record.payload) for record in block)
            yield from _deliveries(block, source, index.edge, limit, since_ns, until_ns)

    def _unshipped(self, tail: _Tail, edge: str, since_ns: int, until_ns: int) -> Iterator[Delivery]:
        reader = self._log.open_reader(tail.source, tail.first)
        try:
            while reader.position < tail.end and (records := reader.read(BATCH_RECORDS, BATCH_BYTES, 0.0)):
                yield from _deliveries(records, tail.source, edge, tail.end, since_ns, until_ns)
        except Missing:
            return  # archived and trimmed since: another replay finds it in the landfill
        finally:
            reader.close()


class ErrorRecords:
    """Rows of monitoring.errors."""

    def __init__(self, selection: Selection, engine: QueryEngine) -> None:
        self._selection = selection
        self._engine = engine

    def size(self, day: int) -> int:
        query = f"SELECT coalesce(sum(octet_length(payload)), 0) AS size FROM {ERRORS_TABLE} WHERE {self._where(day)}"
        rows = self._engine.run(query, Limits(timeout_s=_LONGEST_QUERY_S)).read_all()
        return int(rows.column("size")[0].as_py())

    def day(self, day: int) -> Iterator[tuple[list[Delivery], int]]:
        query = (
            "SELECT epoch_us(submission_timestamp) AS time_us, uri, args, map_keys(headers) AS names, "
            f"map_values(headers) AS texts, payload, edge, source, source_offset FROM {ERRORS_TABLE} "
            f"WHERE {self._where(day)} ORDER BY submission_timestamp, source, source_offset"
        )
        result = self._engine.run(query, Limits(timeout_s=_LONGEST_QUERY_S))
        for rows in result.batches():
            for start in range(0, rows.num_rows, BATCH_RECORDS):
                part = rows.slice(start, BATCH_RECORDS).to_pylist()
                yield [_delivery(row) for row in part], sum(len(row["payload"] or b"") for row in part)

    def _where(self, day: int) -> str:
        selection = self._selection
        since_ns, until_ns = selection.bounds(day)
        conditions = [
            "source IS NOT NULL",  # of a displaced row nothing is here that could be decoded
            f"submission_timestamp >= {sql_moment(since_ns)}",
            f"submission_timestamp < {sql_moment(until_ns)}",
        ]
        for column, value in (("document_namespace", selection.namespace), ("document_type", selection.doctype)):
            if value is not None:
                conditions.append(f"{column} = {sql_text(value)}")
        if selection.codes:
            conditions.append(f"code IN ({', '.join(map(sql_text, selection.codes))})")
        if selection.where is not None:
            conditions.append(f"({selection.where})")
        return " AND ".join(conditions)


def stamp(payload: bytes) -> int | None:
    """When a record was received, ns; None when it is no message. Quick for messages as the edge writes them."""
    if payload.startswith(b"\x0a\x10") and payload[18:_STAMP_AT] == b"\x10":
        number = shift = 0
        for byte in payload[_STAMP_AT : _STAMP_AT + 9]:
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7
    try:
        return message.decode(payload).timestamp
    except Malformed:
        return None


def _deliveries(
    records: Iterable[Record], source: TopicPartition, edge: str, limit: int, since_ns: int, until_ns: int
) -> Iterator[Delivery]:
    for offset, payload in records:
        received_ns = stamp(payload)
        if received_ns is not None and since_ns <= received_ns < until_ns and offset < limit:
            yield Delivery(received_ns, source, offset, edge, payload)


def _chained(parts: list[Iterable[Delivery]]) -> Iterator[Delivery]:
    for part in parts:
        yield from part


def _source_of(text: str) -> TopicPartition:
    topic, _, partition = text.rpartition("/")
    return TopicPartition(topic, int(partition))


def _delivery(row: dict[str, object]) -> Delivery:
    """The message that the edge stored, as far as monitoring.errors has it."""
    names, texts, time_us, offset = row["names"], row["texts"], row["time_us"], row["source_offset"]
    assert isinstance(names, list) and isinstance(texts, list)
    assert isinstance(time_us, int) and isinstance(offset, int)
    source, edge, payload = str(row["source"]), row["edge"], row["payload"]
    fields = [message.Field(name, (str(row[name]),)) for name in ("uri", "args") if row[name] is not None]
    fields += [message.Field(name, (text,)) for name, text in zip(names, texts, strict=True)]
    fields.append(message.Field("content", (payload if isinstance(payload, bytes) else b"",), message.BYTES))
    uuid = hashlib.blake2b(f"{source}@{offset}@{time_us}".encode(), digest_size=message.UUID_BYTES).digest()
    hostname = edge if isinstance(edge, str) else None
    encoded = message.encode(
        message.Message(uuid, time_us * 1000, "raw", "moz_ingest", hostname=hostname, fields=fields)
    )
    return Delivery(time_us * 1000, _source_of(source), offset, source, encoded)
