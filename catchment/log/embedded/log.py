"""The embedded log as a whole: makes topics, opens writers, readers and consumers, and enforces retention."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from catchment.clock import Clock
from catchment.errors import CatchmentError, Closed, Fenced, Missing
from catchment.events import Events
from catchment.log.embedded.consumer import EmbeddedConsumer
from catchment.log.embedded.disk import Disk
from catchment.log.embedded.head import Head, read_head
from catchment.log.embedded.layout import PartitionFiles
from catchment.log.embedded.offsets import Offsets
from catchment.log.embedded.reader import EmbeddedReader
from catchment.log.embedded.retention import enforce
from catchment.log.embedded.topics import Topics
from catchment.log.embedded.writer import EmbeddedWriter
from catchment.log.names import checked_name
from catchment.log.port import Assignment, Bounds, Lost, Retention, TopicPartition
from catchment.log.settings import LogSettings, retention_of

WARM_SEGMENTS = 5
"""So many of a partition's newest segments stay in the page cache."""

Part = TypeVar("Part", EmbeddedWriter, EmbeddedReader, EmbeddedConsumer)


class EmbeddedLog:
    """`Log` in a directory. What it opened is closed with it; safe to use from several threads."""

    def __init__(
        self, root: Path, settings: LogSettings, clock: Clock, events: Events, disk: Disk | None = None
    ) -> None:
        """Use the log under `root`, an existing directory."""
        self._root = root
        self._settings = settings
        self._clock = clock
        self._events = events
        self._disk = disk or Disk()
        self._topics = Topics(root, self._disk)
        self._lock = threading.Lock()
        self._opened: list[EmbeddedWriter | EmbeddedReader | EmbeddedConsumer] = []
        self._is_closed = False

    def create(self, topic: str, partitions: int, retention: Retention | None = None) -> None:
        self._topics.create(topic, partitions, retention)

    def topics(self) -> dict[str, int]:
        return self._topics.all()

    def bounds(self, source: TopicPartition) -> Bounds:
        files = self._files(source)
        head = self._head(files)
        bases = files.bases()
        return Bounds(min(bases[0], head.end) if bases else head.end, head.end)

    def committed(self, group: str, source: TopicPartition) -> int | None:
        return Offsets(self._root, group, self._disk).read(source)

    def open_writer(self, source: TopicPartition) -> EmbeddedWriter:
        files = self._files(source)
        return self._opening(
            EmbeddedWriter(files, self._settings, self._disk, self._clock, self._events, lambda: self._sealed(files))
        )

    def open_reader(self, source: TopicPartition, offset: int) -> EmbeddedReader:
        return self._opening(self._reader(source, offset))

    def open_consumer(
        self,
        group: str,
        topics: Sequence[str],
        on_assigned: Assignment | None = None,
        on_revoked: Assignment | None = None,
        on_lost: Lost | None = None,
    ) -> EmbeddedConsumer:
        for topic in topics:
            checked_name("topic", topic)
        return self._opening(
            EmbeddedConsumer(
                self._root,
                group,
                topics,
                self._topics,
                self._reader,
                self.bounds,
                self._disk,
                self._events,
                on_assigned,
                on_revoked,
                on_lost,
            )
        )

    def enforce(self) -> None:
        for topic in self._topics.all():
            self._enforce(topic)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            opened, self._opened = self._opened, []
        for part in reversed(opened):
            part.close()

    def _sealed(self, files: PartitionFiles) -> None:
        """A segment was sealed just now. The newest are still being read; an older one leaves the page cache, whose
        memory the next appends then get: memory that a virtual machine has to fetch from its host first costs 5.5 µs
        for each 4 KiB, nine times as much as the copying."""
        with suppress(OSError):  # retention, in another process, may have removed it
            for base in files.bases()[-WARM_SEGMENTS - 1 : -WARM_SEGMENTS]:
                self._disk.forget(files.segment(base))
        self._enforce(files.source.topic)

    def _enforce(self, topic: str) -> None:
        rule = self._topics.retention(topic) or retention_of(self._settings, topic)
        count = self._topics.partitions(topic)
        partitions = [PartitionFiles.of(self._root, TopicPartition(topic, number)) for number in range(count)]
        try:
            enforce(self._root, topic, partitions, rule, self._disk, self._clock, self._events)
        except (OSError, CatchmentError) as error:
            self._events.error("retention_failed", topic=topic, error=error)

    def _reader(self, source: TopicPartition, offset: int) -> EmbeddedReader:
        files = self._files(source)
        return EmbeddedReader(files, offset, lambda: self._mend(files))

    def _files(self, source: TopicPartition) -> PartitionFiles:
        known = self._topics.partitions(source.topic)
        if not 0 <= source.partition < known:
            raise Missing(
                f"{source}: no such partition; topic {source.topic} has {known} of them; create the topic, or grow it"
            )
        return PartitionFiles.of(self._root, source)

    def _head(self, files: PartitionFiles) -> Head:
        for _ in range(2):
            try:
                descriptor = os.open(files.head, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                head = None
            else:
                try:
                    head = read_head(descriptor)
                finally:
                    os.close(descriptor)
            if head is not None:
                return head
            self._mend(files)
        return Head(0, 0, 0)  # its first writer is about to publish it

    def _mend(self, files: PartitionFiles) -> None:
        """Make a head that is missing or damaged anew by opening the partition as its writer, unless one lives."""
        try:
            EmbeddedWriter(files, self._settings, self._disk, self._clock, self._events).close()
        except Fenced:
            return

    def _opening(self, part: Part) -> Part:
        with self._lock:
            is_closed = self._is_closed
            if not is_closed:
                self._opened = [*(other for other in self._opened if not other.is_closed), part]
        if is_closed:
            part.close()
            raise Closed("the log is closed; open it again")
        return part
