"""io_uring as the log uses it: what the ring tells, what the loop's driver makes of it, and who takes its place."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import fcntl
import io
import os
import select
import signal
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from catchment.errors import CatchmentError, Full
from catchment.log.embedded.disk import Disk
from catchment.log.embedded.ring import Ring
from catchment.log.embedded.writer import EmbeddedWriter
from catchment.log.port import Retention
from tests.log.backends import WITHIN_S
from tests.log.opening import RAW, LoopedLog, open_embedded, payloads_of, segments, skip_without_ring

NOT_DONE = [errno.EAGAIN, errno.EINTR, errno.ECANCELED]
Answers = list[range | CatchmentError]


@pytest.fixture
def ring() -> Iterator[Ring]:
    skip_without_ring()
    ring = Ring()
    yield ring
    ring.close()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def is_readable(ring: Ring, within_s: float) -> bool:
    poll = select.poll()
    poll.register(ring.descriptor, select.POLLIN)
    return bool(poll.poll(within_s * 1000))


def result_of(ring: Ring) -> int:
    ring.wait()
    result = ring.finished()
    assert result is not None
    return result


class TestRing:
    def test_its_descriptor_tells_when_a_write_has_finished_and_its_result_is_told_once(
        self, ring: Ring, target: int
    ) -> None:
        for turn in range(100):  # many times round both rings
            assert (is_readable(ring, 0), ring.finished()) == (False, None)
            ring.write(target, b"%04d" % turn, turn * 4)
            assert is_readable(ring, WITHIN_S)
            assert ring.finished() == 4
        assert os.pread(target, 1000, 0) == b"".join(b"%04d" % turn for turn in range(100))

    def test_a_failure_is_told_by_its_number(self, ring: Ring, target: int) -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        ring.write(full, b"never fits", 0)
        assert result_of(ring) == -errno.ENOSPC
        os.close(full)
        ring.write(full, b"nowhere", 0)
        assert result_of(ring) == -errno.EBADF
        ring.write(target, b"here", 0)
        assert result_of(ring) == 4

    def test_bytes_that_nobody_else_holds_are_written_unchanged_however_late(self, ring: Ring) -> None:
        reading, writing = os.pipe()
        room = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)
        os.write(writing, bytes(room))  # so that the write waits
        ring.write(writing, b"x" * room, 0)
        others = [b"y" * room for _ in range(100)]
        assert (is_readable(ring, 0), ring.finished()) == (False, None)
        assert os.read(reading, room) == bytes(room)
        assert result_of(ring) == room
        assert os.read(reading, room) == b"x" * room
        assert len(others) == 100
        os.close(reading)
        os.close(writing)

    def test_a_write_that_the_kernel_does_not_take_is_never_written(self, ring: Ring, target: int) -> None:
        kept, other = os.dup(ring.descriptor), os.open(os.devnull, os.O_RDWR)
        os.dup2(other, ring.descriptor)
        for _ in range(3):
            with pytest.raises(OSError, match="io_uring_enter"):
                ring.write(target, b"refused", 0)
        os.dup2(kept, ring.descriptor)
        os.close(kept)
        os.close(other)
        ring.write(target, b"taken", 100)
        assert result_of(ring) == 5
        assert os.pread(target, 1000, 0) == bytes(100) + b"taken"
        assert ring.finished() is None

    def test_a_killed_process_keeps_its_locks_until_its_write_has_ended(self, tmp_path: Path) -> None:
        skip_without_ring()
        reading, writing = os.pipe()
        for _ in range(3):
            child = os.fork()
            if child == 0:
                lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
                fcntl.flock(lock, fcntl.LOCK_EX)
                ring = Ring()
                ring.write(os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT | os.O_TRUNC), b"x" * (64 << 20), 0)
                os.write(writing, b"!")
                signal.pause()
            assert os.read(reading, 1) == b"!"
            lock = os.open(tmp_path / "lock", os.O_RDWR)
            os.kill(child, signal.SIGKILL)
            fcntl.flock(lock, fcntl.LOCK_EX)
            left = (tmp_path / "target").stat()
            os.waitpid(child, 0)
            after = (tmp_path / "target").stat()
            assert (after.st_size, after.st_mtime_ns) == (left.st_size, left.st_mtime_ns)
            os.close(lock)
        os.close(reading)
        os.close(writing)


class ScriptedRing(Ring):
    """Takes `taken` bytes of a write at most, then tells `results` in place of its own."""

    def __init__(self, taken: int, results: list[int]) -> None:
        super().__init__()
        self._taken = taken
        self._results = results

    def write(self, descriptor: int, content: bytes, position: int) -> None:
        super().write(descriptor, content[: self._taken], position)

    def finished(self) -> int | None:
        result = super().finished()
        return self._results.pop(0) if result is not None and self._results else result


class HeldRing(Ring):
    """Says that a write is on its way until `let_go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()
        self.waited = threading.Event()

    def finished(self) -> int | None:
        return super().finished() if self.let_go.is_set() else None

    def wait(self) -> None:
        self.waited.set()
        assert self.let_go.wait(WITHIN_S)
        super().wait()


class RingDisk(Disk):
    """Gives out `rings`; without one it is a kernel that has none."""

    def __init__(self, *rings: Ring) -> None:
        self.rings = list(rings)

    def ring(self) -> Ring:
        if not self.rings:
            raise OSError(errno.ENOSYS, "io_uring_setup: none here")
        return self.rings.pop(0)


class TestLoopDriver:
    @pytest.fixture(autouse=True)
    def needs_a_ring(self) -> None:
        skip_without_ring()

    @pytest.mark.parametrize("result", [*(-number for number in NOT_DONE), 0, 1, 50])
    def test_what_the_ring_leaves_undone_is_done_before_the_answer(self, tmp_path: Path, result: int) -> None:
        disk = RingDisk(ScriptedRing(taken=max(result, 1), results=[result] * 3))
        log = open_embedded(tmp_path, disk=disk, kind=LoopedLog)
        writer = log.open_writer(RAW)
        batches = [[b"%d-%d" % (batch, record) * 20 for record in range(3)] for batch in range(6)]
        for number, batch in enumerate(batches):
            assert writer.append(batch) == range(3 * number, 3 * number + 3)
        assert payloads_of(log) == [payload for batch in batches for payload in batch]
        log.close()

    @pytest.mark.parametrize("closer", ["a thread", "the loop", "nobody's loop"])
    def test_closing_waits_for_the_write_that_is_on_its_way_and_flushes_the_rest(
        self, tmp_path: Path, closer: str
    ) -> None:
        ring = HeldRing()
        log = open_embedded(tmp_path, disk=RingDisk(ring), kind=LoopedLog)
        assert isinstance(log, LoopedLog)
        writer = log.open_writer(RAW)
        answers: Answers = []
        for number in range(3):
            writer.submit([b"%d" % number], answers.append)
        if closer == "nobody's loop":
            log.stop()
        if closer == "the loop":
            log.loop.call_soon_threadsafe(writer.close)
        closing = threading.Thread(target=writer.close)
        closing.start()
        assert ring.waited.wait(WITHIN_S)
        assert (answers, closing.is_alive()) == ([], True)
        ring.let_go.set()
        closing.join(WITHIN_S)
        assert answers == [range(1), range(1, 2), range(2, 3)]
        assert payloads_of(log) == [b"0", b"1", b"2"]
        log.close()

    def test_nobody_is_answered_within_submit_and_an_answer_may_submit(self, tmp_path: Path) -> None:
        log = open_embedded(tmp_path, kind=LoopedLog, min_free_bytes=1 << 60)
        assert isinstance(log, LoopedLog)
        writer = log.open_writer(RAW)
        answers: Answers = []
        counts: list[int] = []

        async def submit() -> None:
            answered = asyncio.Event()

            def again(answer: range | CatchmentError) -> None:
                answers.append(answer)
                if len(answers) < 4:
                    writer.submit([b"refused"], again)
                    counts.append(len(answers))
                else:
                    answered.set()

            writer.submit([b"refused"], again)
            counts.append(len(answers))
            await answered.wait()

        asyncio.run_coroutine_threadsafe(submit(), log.loop).result(WITHIN_S)
        assert counts == [0, 1, 2, 3]
        assert [type(answer) for answer in answers] == [Full] * 4
        log.close()

    def test_waiting_for_an_append_on_the_loop_that_would_have_to_do_it_is_refused(self, tmp_path: Path) -> None:
        log = open_embedded(tmp_path, kind=LoopedLog)
        assert isinstance(log, LoopedLog)
        writer = log.open_writer(RAW)

        async def append() -> range:
            return writer.append([b"never"])

        with pytest.raises(RuntimeError, match="submit"):
            asyncio.run_coroutine_threadsafe(append(), log.loop).result(WITHIN_S)
        assert writer.append([b"after"]) == range(1)
        log.close()

    def test_sealed_segments_go_while_the_loop_goes_on(self, tmp_path: Path) -> None:
        log = open_embedded(tmp_path, kind=LoopedLog, segment_bytes=500)
        log.create(RAW.topic, 1, Retention(max_bytes=2000))
        writer = log.open_writer(RAW)
        for _ in range(50):
            writer.append([bytes(100)])
        writer.close()
        assert 1 < len(segments(tmp_path)) < 9
        log.close()


def told_by(writer: EmbeddedWriter, told: io.StringIO) -> str:
    """Who flushes, by the event, after an append that shows that somebody does."""
    assert writer.append([b"durable"]) == range(1)
    writer.close()
    return next(line for line in told.getvalue().splitlines() if "log_writer_opened" in line)


def test_a_writer_tells_who_flushes(tmp_path: Path) -> None:
    skip_without_ring()
    told = io.StringIO()
    log = open_embedded(tmp_path, told, kind=LoopedLog)
    assert "flushed_by=io_uring" in told_by(log.open_writer(RAW), told)
    log.close()


def test_without_a_ring_or_when_told_so_a_thread_flushes(tmp_path: Path) -> None:
    for name, disk, io_uring, because in (
        ("kernel", RingDisk(), True, "io_uring_setup: none here"),
        ("setting", None, False, "io_uring is false"),
    ):
        told = io.StringIO()
        log = open_embedded(tmp_path / name, told, disk, kind=LoopedLog, io_uring=io_uring)
        line = told_by(log.open_writer(RAW), told)
        assert "flushed_by=thread" in line
        assert because in line
        log.close()


def test_where_a_sandbox_forbids_io_uring_a_thread_flushes(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        told = io.StringIO()
        try:
            forbid_io_uring()
            log = open_embedded(tmp_path, told, kind=LoopedLog)
            os.write(writing, told_by(log.open_writer(RAW), told).encode())
            log.close()
        except BaseException as error:  # noqa: BLE001  must reach the parent
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        line = pipe.read().decode()
    os.waitpid(child, 0)
    assert "flushed_by=thread" in line
    assert "Operation not permitted" in line


def forbid_io_uring() -> None:
    """As containers do it: a seccomp filter that answers `io_uring_setup` (425) with EPERM."""
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in ((0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x0005_0001), (0x06, 0, 0, 0x7FFF_0000))
    )
    code = ctypes.create_string_buffer(program)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    filter_ = struct.pack("HxxxxxxP", 4, ctypes.addressof(code))
    assert prctl(22, 2, filter_, 0, 0) == 0, os.strerror(ctypes.get_errno())  # PR_SET_SECCOMP
