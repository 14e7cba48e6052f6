"""The log against a model of it: lists. Hypothesis drives both with appends, reads, crashes, commits and retention."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from catchment.clock import ManualClock
from catchment.log.embedded.consumer import EmbeddedConsumer
from catchment.log.embedded.log import EmbeddedLog
from catchment.log.embedded.records import frame
from catchment.log.embedded.writer import EmbeddedWriter
from catchment.log.port import Retention
from tests.log.opening import MANY, RAW, open_embedded, payloads_of, segments

payloads = st.lists(st.binary(max_size=400), max_size=6)
AGE_S = 3600.0


class LogMachine(RuleBasedStateMachine):
    """`records` is everything ever acknowledged, `start` what retention has left of it."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.clock = ManualClock(time.time_ns())
        self.records: list[bytes] = []
        self.start = 0
        self.committed: int | None = None
        self.position = 0
        self.open()

    def open(self) -> None:
        self.log: EmbeddedLog = open_embedded(self.root, clock=self.clock)
        self.log.create("raw", 1, Retention(max_age_s=AGE_S, held_by=("group",)))
        self.writer: EmbeddedWriter = self.log.open_writer(RAW)
        self.reader = self.log.open_reader(RAW, self.position)
        self.consumer: EmbeddedConsumer = self.log.open_consumer("group", ["raw"])
        self.consumer.poll(1, 1, 0)
        self.consumer.seek(RAW, self.next_offset())

    def next_offset(self) -> int:
        return max(self.start, self.committed or 0)

    @rule(batch=payloads)
    def append(self, batch: list[bytes]) -> None:
        begin = len(self.records)
        assert self.writer.append(batch) == range(begin, begin + len(batch))
        self.records += batch

    @rule(batches=st.lists(payloads, max_size=5))
    def submit_several(self, batches: list[list[bytes]]) -> None:
        answers: list[object] = []
        expected = []
        for batch in batches:
            expected.append(range(len(self.records), len(self.records) + len(batch)))
            self.records += batch
            self.writer.submit(batch, answers.append)
        self.writer.append([])
        assert answers == expected

    @rule(limit=st.integers(1, 10), size=st.integers(1, 1000))
    def read(self, limit: int, size: int) -> None:
        if self.position < self.start:
            self.seek(0)
        found = self.reader.read(limit, size, 0)
        expected = self.records[self.position : self.position + limit]
        assert [record.payload for record in found] == expected[: len(found)]
        assert [record.offset for record in found] == list(range(self.position, self.position + len(found)))
        assert found or not expected
        assert len(found) <= 1 or sum(len(record.payload) for record in found) <= size
        self.position += len(found)

    @rule(back=st.integers(0, 60))
    def seek(self, back: int) -> None:
        self.position = max(self.start, len(self.records) - back)
        self.reader.seek(self.position)

    @rule()
    def close_and_open(self) -> None:
        self.log.close()
        self.open()

    @rule(batch=st.lists(st.binary(max_size=50), min_size=1, max_size=3), cut=st.integers(1, 1000), flip=st.booleans())
    def crash_with_a_torn_tail(self, batch: list[bytes], cut: int, flip: bool) -> None:
        """A batch that was never acknowledged is on the disk in part, or whole with a wrong bit."""
        self.log.close()
        pieces: list[bytes] = []
        frame(batch, pieces)
        content = bytearray(b"".join(pieces))
        if flip:
            content[4 + cut % 4] ^= 1
        else:
            del content[max(1, cut % len(content)) :]
        with segments(self.root)[-1].open("ab") as file:
            file.write(content)
        self.open()
        lost_bytes = self.writer.torn.lost_bytes if self.writer.torn else 0
        assert lost_bytes == len(content.rstrip(b"\0"))

    @rule(count=st.integers(1, 8))
    def consume_and_commit(self, count: int) -> None:
        self.consumer.seek(RAW, self.next_offset())
        batch = self.consumer.poll(count, MANY, 0)
        expected = self.records[self.next_offset() :][:count]
        if batch is None:
            assert not expected
            return
        assert [record.payload for record in batch.records] == expected
        self.committed = batch.records[-1].offset + 1
        self.consumer.commit({RAW: self.committed})

    @precondition(lambda self: len(self.records) > 10)
    @rule()
    def let_time_pass(self) -> None:
        """Sealed segments that are old and behind the group go, all others stay."""
        old_ns = self.clock.time_ns() - round(2 * AGE_S * 1e9)
        for path in segments(self.root):
            os.utime(path, ns=(old_ns, old_ns))
        bases = [int(path.stem) for path in segments(self.root)]
        kept = [base for base, next_ in zip(bases, [*bases[1:], None], strict=True) if not self._goes(next_)]
        self.log.enforce()
        assert [int(path.stem) for path in segments(self.root)] == kept
        self.start = kept[0]

    def _goes(self, next_base: int | None) -> bool:
        return next_base is not None and self.committed is not None and self.committed >= next_base

    @invariant()
    def bounds_are_the_models(self) -> None:
        assert self.log.bounds(RAW) == (self.start, len(self.records))
        assert self.log.committed("group", RAW) == self.committed

    def teardown(self) -> None:
        if hasattr(self, "root"):
            assert payloads_of(self.log, self.start) == self.records[self.start :]
            self.log.close()
            shutil.rmtree(self.root)


TestLogAgainstItsModel = LogMachine.TestCase
TestLogAgainstItsModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
