"""The raw log as receipts need it: one record, what the loader has not committed, and which of that may be of an id.

Limits: of a partition's backlog no more than `SEARCH_BYTES` are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from catchment.errors import Missing
from catchment.ingestion.loader.loop import GROUP
from catchment.ingestion.loader.outputs import OUTPUT_TOPICS, next_source_offset
from catchment.log.port import Log, Record, TopicPartition
from catchment.message import field_prefix

SEARCH_BYTES = 2 * 1024**3
_READ_RECORDS, _READ_BYTES = 10_000, 8 * 1024 * 1024
_PATH = field_prefix("uri") + b"\x22"
"""What stands before the length of the path in a raw record; the path has less than 16,384 bytes."""


def waiting(log: Log) -> int:
    """How many raw records the loader has not committed."""
    return sum(log.bounds(source).end - first for source, first in _begins(log))


def backlog(log: Log) -> Iterator[tuple[TopicPartition, list[Record] | None]]:
    """What the loader has not committed, in portions; None for a partition of which there is more than we read."""
    for source, first in _begins(log):
        end = log.bounds(source).end
        reader = log.open_reader(source, first)
        try:
            size_bytes = 0
            while reader.position < end:
                if size_bytes > SEARCH_BYTES:
                    yield source, None
                    break
                try:
                    records = reader.read(_READ_RECORDS, _READ_BYTES, 0.0)
                except Missing:  # the loader is behind it and retention took it, between the two calls
                    reader.seek(log.bounds(source).start)
                    continue
                size_bytes += sum(len(record.payload) for record in records)
                yield source, records
        finally:
            reader.close()


def handled(log: Log, source: TopicPartition) -> int:
    """The raw offset before which the loader has handed everything out."""
    topics = log.topics()
    return max(
        next_source_offset(log, TopicPartition(topic, source.partition))
        if source.partition < topics.get(topic, 0)
        else 0
        for topic in OUTPUT_TOPICS
    )


def raw_record(log: Log, source: TopicPartition, offset: int) -> bytes | None:
    """The raw record; None when retention has taken it."""
    if source.partition >= log.topics().get(source.topic, 0):
        return None
    bounds = log.bounds(source)
    if not bounds.start <= offset < bounds.end:
        return None
    reader = log.open_reader(source, offset)
    try:
        return reader.read(1, 1, 0.0)[0].payload
    except Missing:
        return None
    finally:
        reader.close()


def may_hold(payload: bytes, document_id: bytes) -> bool:
    """Whether the path in a raw record may name this id, which is in lower case. Looks no further than the path: a
    fiftieth of decoding, and a search through all of a body costs twenty times as much."""
    at = payload.find(_PATH)
    head = payload[at + len(_PATH) : at + len(_PATH) + 2]
    if at < 0 or len(head) < 2:  # not as our edge writes it
        return document_id in payload.lower()
    length = head[0] if head[0] < 128 else head[0] - 128 + 128 * head[1]
    begin = at + len(_PATH) + 1
    path = payload[begin : begin + 1 + length]
    if b"%" in path:
        path = unquote_to_bytes(path)
    return document_id in path.lower()


def _begins(log: Log) -> Iterator[tuple[TopicPartition, int]]:
    """The partitions of raw, and the first record of each that the loader has not committed."""
    for number in range(log.topics().get("raw", 0)):
        source = TopicPartition("raw", number)
        yield source, max(log.committed(GROUP, source) or 0, log.bounds(source).start)
