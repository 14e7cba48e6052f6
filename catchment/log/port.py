"""The `Log` port: what every backend of the log promises, whatever carries the bytes.

Words. A *topic* has *partitions*, numbered from 0; a partition is a sequence of *records*; a record's *offset* is its
place in the partition, from 0, without gaps. Wherever an offset stands alone (a committed offset, a reader's position,
the end of a partition) it is **the next to read**: everything below it is done. `(topic, partition)` has at most one
writer at a time and any number of readers, in other processes too. A record is *durable* when it survives a crash of
the machine; readers never see one that is not.

A consumer is a member of a *group*: the partitions of its topics are shared out among the living members, each to
exactly one. What a member has committed is where the next owner starts. A crash between handling and commit repeats
records, so whoever must not repeat keeps the offsets together with the results (as the lake does).

Backends: `embedded` (files on this machine), `kafka` (whose package text says what it does not promise). The contract
suite in `tests/log` runs over each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from catchment.errors import CatchmentError

MAX_PAYLOAD_BYTES = 8 * 1024 * 1024 + 64 * 1024
"""Largest record: the decoder's 8 MiB of JSON with its envelope."""


class TopicPartition(NamedTuple):
    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class Record(NamedTuple):
    offset: int
    payload: bytes


class Bounds(NamedTuple):
    """What a partition holds: `start` is the first offset still kept, `end` the next to be written (durable)."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Retention:
    """When sealed segments go. A segment goes when one of the limits is passed *and* every group in `held_by` has
    committed an offset behind it (one that never committed holds everything); None sets no limit. Without a limit
    nothing ever goes. `max_bytes` is for the whole topic; the age of a segment is that of its last record."""

    max_bytes: int | None = None
    max_age_s: float | None = None
    held_by: tuple[str, ...] = ()


class Writer(Protocol):
    """The one writer of a partition. Safe to call from several threads. Payloads must not change until answered."""

    def append(self, payloads: Sequence[bytes]) -> range:
        """Write the batch at the end and return its offsets. Order is kept; returns when it is durable.

        Takes any number of payloads of at most MAX_PAYLOAD_BYTES. Raises Full (the disk, or the free-space guard),
        Unavailable (the disk does not take it), TooLarge, Busy, Closed. All of the batch or none, also after a crash;
        after these errors nothing of it is ever seen by a reader. Raises Unknown when the disk did not even let it be
        taken back: then it may turn up after a restart. The writer goes on by itself once the disk works again.
        """
        ...

    def submit(self, payloads: Sequence[bytes], done: Callable[[range | CatchmentError], None]) -> None:
        """`append` without waiting: `done` is called once, from the writer's thread, with the offsets when the batch
        is durable, or with the error. Batches submitted while a flush runs share the next flush (group commit);
        answers come in the order of submission. `done` must be quick, and must not call `append` or `close`.
        Raises Busy when the bounded queue is full (a queue that is empty takes a batch of any size), TooLarge, Closed
        after `close`; then `done` is not called."""
        ...

    def close(self) -> None:
        """Flush what was submitted, answer every `done`, release the partition. May be called again."""
        ...


class Reader(Protocol):
    """Reads one partition forward from a position, which may lie beyond the end. Not shared between threads."""

    @property
    def position(self) -> int:
        """Offset of the next record that `read` returns."""
        ...

    def read(self, max_records: int, max_bytes: int, timeout_s: float) -> list[Record]:
        """The next durable records, in order, at least one if any is there (even one over `max_bytes`).

        At the end it waits up to `timeout_s` to be woken by the writer (0: does not wait) and may return []. Raises
        Missing when the position was removed (by retention, or as damaged), Corrupt when stored bytes are damaged;
        the position stays, and records before the damage are returned first.
        """
        ...

    def seek(self, offset: int) -> None: ...

    def close(self) -> None: ...


class Batch(NamedTuple):
    """Records of one partition, in order."""

    source: TopicPartition
    records: list[Record]


class Consumer(Protocol):
    """A member of a group. One thread calls it, but for `wake`."""

    def poll(self, max_records: int, max_bytes: int, timeout_s: float) -> Batch | None:
        """The next batch of any assigned partition, fair among them; None when nothing came within `timeout_s`.

        Assignment changes happen only inside `poll` and `close`: `on_revoked(partitions)` is called while this member
        still owns them (so it can finish and commit), `on_assigned(partitions)` before their first record. A new
        partition starts at the group's committed offset, else at the partition's start. When the next record has
        been removed, the consumer goes on at the first one kept and reports the event `gap`; so it does, with the
        event `records_damaged`, behind damage when somebody is told (`on_lost`). Raises what `read` does otherwise,
        but for Missing. A member that does not poll keeps its partitions.
        """
        ...

    def wake(self) -> None:
        """End the waiting of the present or next `poll`. From any thread, or a signal handler; never raises."""
        ...

    def seek(self, source: TopicPartition, offset: int) -> None:
        """Read `source` (assigned) from `offset` next."""
        ...

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Make these offsets (next to read) the group's; atomic and durable per partition. Raises Fenced for a
        partition that this member does not own."""
        ...

    def close(self) -> None:
        """Give the partitions back (after `on_revoked`) and leave the group."""
        ...


Assignment = Callable[[Sequence[TopicPartition]], None]
Lost = Callable[[TopicPartition, range, str], None]


class Log(Protocol):
    """A log as a whole. Safe to use from several processes."""

    def create(self, topic: str, partitions: int, retention: Retention | None = None) -> None:
        """Make the topic, or grow it to `partitions` (it never shrinks), and set its retention; None keeps what it has,
        which at first is the rule of the settings. Doing it again changes nothing."""
        ...

    def topics(self) -> dict[str, int]:
        """Topics and their numbers of partitions."""
        ...

    def bounds(self, source: TopicPartition) -> Bounds:
        """What the partition holds now. Raises Missing for an unknown partition."""
        ...

    def committed(self, group: str, source: TopicPartition) -> int | None:
        """The group's committed offset (next to read), None when it never committed."""
        ...

    def open_writer(self, source: TopicPartition) -> Writer:
        """Become the writer of the partition. Raises Fenced when another writer lives."""
        ...

    def open_reader(self, source: TopicPartition, offset: int) -> Reader: ...

    def open_consumer(
        self,
        group: str,
        topics: Sequence[str],
        on_assigned: Assignment | None = None,
        on_revoked: Assignment | None = None,
        on_lost: Lost | None = None,
    ) -> Consumer:
        """Join a group for these topics, which need not exist yet. All topics are shared out one by one.

        `on_lost(source, offsets, why)` is called inside `poll` for records that were removed or are damaged, before
        the first record behind them; so they can be named. Without it damage is raised as Corrupt."""
        ...

    def enforce(self) -> None:
        """Apply every topic's retention now; a service calls it now and then. Failures are events, not errors."""
        ...

    def close(self) -> None: ...
