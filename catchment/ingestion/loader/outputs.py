"""What a loader writes to the topics `decoded`, `errors`, `duplicates` and `deferred`.

Partition *p* of each belongs to the loader that owns `raw/p`. Every message carries the offset of its raw record, and
they come in its order; so after a crash the last message of each topic tells where to go on, and nothing is written
twice. (After a power failure the look-up of document ids may decide anew for records whose commit had not happened; a
topic can then hold both decisions. Tables cannot.)
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from catchment import message
from catchment.errors import CatchmentError
from catchment.log.port import Log, TopicPartition, Writer

OUTPUT_TOPICS = ("decoded", "errors", "duplicates", "deferred")
SOURCE_OFFSET = "sourceOffset"

Stamped = tuple[int, bytes]
"""Offset of the raw record, and the encoded message made of it."""


class TopicOutput:
    """Appends to one output partition, behind what an earlier owner already wrote there.

    One batch is written at a time, and what is put meanwhile is the next one. Nothing follows a batch that was refused:
    the topic would have a hole that its last message hides.
    """

    def __init__(self, log: Log, target: TopicPartition) -> None:
        self._writer: Writer = log.open_writer(target)
        self._next_source = next_source_offset(log, target)
        self._lock = threading.Condition()
        self._gathered: list[bytes] = []
        self._is_writing = False
        self._error: CatchmentError | None = None

    def put(self, items: Sequence[Stamped]) -> None:
        """Queue the messages whose raw record is new to this topic; they are durable after `wait`. Raises what the log
        refused something before with."""
        fresh = [encoded for offset, encoded in items if offset >= self._next_source]
        if not fresh:
            return
        self._next_source = items[-1][0] + 1
        with self._lock:
            self._refuse()
            self._gathered += fresh
            if self._is_writing:
                return
            batch, self._gathered, self._is_writing = self._gathered, [], True
        self._submit(batch)

    def wait(self) -> None:
        """Return when everything put is durable. Raises what the log refused with."""
        with self._lock:
            self._lock.wait_for(lambda: not self._is_writing)
            self._refuse()

    def close(self) -> None:
        self._writer.close()

    def _refuse(self) -> None:
        if self._error is not None:
            raise self._error

    def _submit(self, batch: list[bytes]) -> None:
        try:
            self._writer.submit(batch, self._answered)
        except CatchmentError as error:
            self._answered(error)

    def _answered(self, outcome: range | CatchmentError) -> None:
        with self._lock:
            batch, self._gathered = self._gathered, []
            if isinstance(outcome, CatchmentError):
                self._error, batch = outcome, []
            self._is_writing = bool(batch)
            self._lock.notify_all()
        if batch:
            self._submit(batch)


class PartitionOutputs:
    """The outputs of one raw partition."""

    def __init__(self, log: Log, partition: int) -> None:
        self._outputs = {topic: TopicOutput(log, TopicPartition(topic, partition)) for topic in OUTPUT_TOPICS}

    def put(self, topic: str, items: Sequence[Stamped]) -> None:
        self._outputs[topic].put(items)

    def wait(self) -> None:
        for output in self._outputs.values():
            output.wait()

    def close(self) -> None:
        for output in self._outputs.values():
            output.close()


def next_source_offset(log: Log, target: TopicPartition) -> int:
    """The raw offset after the one that the last message of `target` was made of; 0 when it is empty."""
    bounds = log.bounds(target)
    if bounds.end == bounds.start:
        return 0
    reader = log.open_reader(target, bounds.end - 1)
    try:
        last = reader.read(1, 1, 0.0)[0]
    finally:
        reader.close()
    source_offset = message.decode(last.payload).first(SOURCE_OFFSET)
    assert isinstance(source_offset, int)
    return source_offset + 1
