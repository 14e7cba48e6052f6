"""A member of a group: polls its partitions in turn, shares them with the others, commits.

poll:  anything happened? ─▶ rebalance (give back, claim) ─▶ next partition with records ─▶ wait
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from catchment.errors import Closed, Corrupt, Fenced, Missing
from catchment.events import Events
from catchment.log.embedded.disk import Disk
from catchment.log.embedded.group import CHANGES, LOOK_AGAIN_S, Membership
from catchment.log.embedded.layout import PartitionFiles
from catchment.log.embedded.offsets import Offsets
from catchment.log.embedded.reader import EmbeddedReader
from catchment.log.embedded.topics import Topics
from catchment.log.embedded.watch import PLACED, WRITTEN, Watch, now_s
from catchment.log.port import Assignment, Batch, Bounds, Lost, Record, TopicPartition


class EmbeddedConsumer:
    """`Consumer` over the files of a group."""

    def __init__(
        self,
        root: Path,
        group: str,
        wanted: Sequence[str],
        topics: Topics,
        open_reader: Callable[[TopicPartition, int], EmbeddedReader],
        bounds: Callable[[TopicPartition], Bounds],
        disk: Disk,
        events: Events,
        on_assigned: Assignment | None,
        on_revoked: Assignment | None,
        on_lost: Lost | None = None,
    ) -> None:
        self._root = root
        self._group = group
        self._topics = topics
        self._wanted = tuple(wanted)
        self._open_reader = open_reader
        self._bounds = bounds
        self._events = events
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._on_lost = on_lost
        self._offsets = Offsets(root, group, disk)
        self._readers: dict[TopicPartition, EmbeddedReader] = {}
        self._head_watches: dict[TopicPartition, int] = {}
        self._turn: list[TopicPartition] = []
        self._look_again_at_s: list[float] = []
        self.is_closed = False
        self._is_stale = True  # the shares must be computed anew
        self._closing = threading.RLock()
        self._membership = Membership(root, group, wanted, disk)
        try:
            self._watch = Watch()
            self._group_watches = {
                self._watch.add(self._membership.members, CHANGES),
                self._watch.add(topics.directory, PLACED),
                -1,
            }
        except BaseException:
            self._membership.leave()
            raise

    def poll(self, max_records: int, max_bytes: int, timeout_s: float) -> Batch | None:
        self._refuse_closed("poll")
        deadline_s = now_s() + timeout_s
        while True:
            was_woken = self._notice()
            if self._is_stale:
                self._rebalance()
            batch = self._next(max_records, max_bytes)
            if batch is not None or was_woken:
                return batch
            until_s = min([deadline_s, *self._look_again_at_s[:1]])
            if not self._watch.wait(until_s - now_s()) and until_s == deadline_s:
                return None

    def wake(self) -> None:
        with self._closing:
            if not self.is_closed:
                self._watch.wake()

    def seek(self, source: TopicPartition, offset: int) -> None:
        self._refuse_closed("seek")
        self._require_owned("seek in", source).seek(offset)

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._refuse_closed("commit")
        for source in offsets:
            self._require_owned("commit", source)
        for source, offset in offsets.items():
            self._offsets.write(source, offset)

    def close(self) -> None:
        if self.is_closed:
            return
        try:
            self._revoke(self._membership.owned)
        finally:
            with self._closing:
                self.is_closed = True
                self._membership.leave()
                self._watch.close()

    def _notice(self) -> bool:
        """Take what happened in; return whether `wake` was called."""
        touched, was_woken = self._watch.drain()
        if touched & self._group_watches:
            self._is_stale = True
            self._look_again_at_s = [now_s() + distance for distance in LOOK_AGAIN_S]
        while self._look_again_at_s and self._look_again_at_s[0] <= now_s():
            self._look_again_at_s.pop(0)
            self._is_stale = True
        return was_woken

    def _rebalance(self) -> None:
        partitions = {topic: self._topics.partitions(topic) for topic in self._wanted}
        shares = self._membership.shares(partitions)
        self._revoke(self._membership.excess(shares))
        self._membership.claim(shares, partitions)
        fresh = [source for source in self._membership.owned if source not in self._turn]
        for source in fresh:
            if source not in self._readers:
                self._begin(source)
        if fresh and self._on_assigned is not None:
            self._on_assigned(fresh)
        self._turn += fresh
        self._is_stale = False

    def _begin(self, source: TopicPartition) -> None:
        offset = self._offsets.read(source)
        bounds = self._bounds(source)
        if offset is not None and offset > bounds.end:
            self._events.error("committed_beyond_end", group=self._group, source=source, offset=offset, end=bounds.end)
        start = bounds.start if offset is None else offset
        self._head_watches[source] = self._watch.add(PartitionFiles.of(self._root, source).head, WRITTEN)
        self._readers[source] = self._open_reader(source, start)

    def _revoke(self, sources: Sequence[TopicPartition]) -> None:
        if not sources:
            return
        try:
            told = [source for source in sources if source in self._turn]
            if told and self._on_revoked is not None:
                self._on_revoked(told)
        finally:
            self._turn = [source for source in self._turn if source not in sources]
            for source in sources:
                if source in self._readers:
                    self._readers.pop(source).close()
                if source in self._head_watches:
                    self._watch.remove(self._head_watches.pop(source))
            self._membership.release(sources)

    def _next(self, max_records: int, max_bytes: int) -> Batch | None:
        for _ in range(len(self._turn)):
            source = self._turn.pop(0)
            self._turn.append(source)
            reader = self._readers[source]
            if records := self._read(source, reader, max_records, max_bytes):
                return Batch(source, records)
        return None

    def _read(self, source: TopicPartition, reader: EmbeddedReader, max_records: int, max_bytes: int) -> list[Record]:
        """The next records, behind what is lost."""
        while True:
            try:
                return reader.read(max_records, max_bytes, 0)
            except Missing as error:
                if (kept := reader.next_kept()) is None:
                    raise
                lost, event, why = range(reader.position, kept), "gap", str(error)
                reader.seek(kept)
            except Corrupt as error:
                behind = reader.skip_damage() if self._on_lost else None
                if behind is None:
                    raise
                lost, event, why = behind, "records_damaged", str(error)
            self._events.error(event, group=self._group, source=source, first=lost.start, next=lost.stop)
            if lost and self._on_lost is not None:
                self._on_lost(source, lost, why)

    def _require_owned(self, doing: str, source: TopicPartition) -> EmbeddedReader:
        if source not in self._readers:
            raise Fenced(
                f"group {self._group}: {doing} {source}, which this member does not own; only poll assigns partitions"
            )
        return self._readers[source]

    def _refuse_closed(self, doing: str) -> None:
        if self.is_closed:
            raise Closed(f"group {self._group}: {doing} after close; join again")
