"""Several processes on one log: readers are woken, members share the partitions, and the dead ones' work goes on."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from catchment.errors import Fenced
from catchment.log.port import TopicPartition
from tests.log.backends import WITHIN_S
from tests.log.member import open_shared

ROOT = Path(__file__).parent.parent.parent
RAW = TopicPartition("raw", 0)


class Member:
    """A child process and the lines that it has told so far."""

    def __init__(self, *arguments: str) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.log.member", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.lines: list[list[str]] = []
        self.killed_ns: int | None = None
        self._rest = b""

    def listen(self, timeout_s: float) -> bool:
        """Take the lines that come within the timeout; False when none did."""
        assert self._child.stdout is not None
        if not select.select([self._child.stdout], [], [], timeout_s)[0]:
            return False
        told = os.read(self._child.stdout.fileno(), 1 << 20)
        *whole, self._rest = (self._rest + told).split(b"\n")
        self.lines += [line.decode().split() for line in whole]
        return bool(told)

    @property
    def owned(self) -> set[int]:
        owned: set[int] = set()
        for _, word, *numbers in self.lines:
            if word == "assigned":
                owned.add(int(numbers[0]))
            elif word == "revoked":
                owned.discard(int(numbers[0]))
        return owned

    def told(self, word: str) -> bool:
        return any(line[1] == word for line in self.lines)

    def kill(self) -> None:
        self.killed_ns = time.monotonic_ns()
        self._child.kill()
        self._child.wait(WITHIN_S)
        while self.listen(0):
            continue

    def end(self) -> None:
        """Close its standard input and wait until it has left."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        while self.listen(WITHIN_S):
            continue
        assert self._child.wait(WITHIN_S) == 0

    def discard(self) -> None:
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None and not stream.closed:
                stream.close()


Start = Callable[..., Member]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    members: list[Member] = []

    def start_one(what: str, argument: object) -> Member:
        members.append(Member(what, str(tmp_path), str(argument)))
        return members[-1]

    yield start_one
    for member in members:
        member.discard()


def await_until(is_so: Callable[[], bool], *members: Member) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not is_so():
        for member in members:
            member.listen(0.01)
        assert time.monotonic() < deadline_s, [(member.owned, member.lines[-3:]) for member in members]


def test_many_readers_in_other_processes_are_woken_for_every_record(tmp_path: Path, start: Start) -> None:
    count = 300
    log = open_shared(tmp_path)
    log.create("raw", 1)
    readers = [start("read", count) for _ in range(3)]
    for reader in readers:
        await_until(lambda reader=reader: reader.told("ready"), reader)  # type: ignore[misc]
    writer = log.open_writer(RAW)
    for number in range(count):
        writer.append([b"%d" % number])
    for reader in readers:
        reader.end()
        assert not reader.told("wrong")
        assert reader.lines[-1][1:] == ["read", str(count)]
    log.close()


def test_a_writer_in_another_process_fences_until_it_is_killed(tmp_path: Path) -> None:
    log = open_shared(tmp_path)
    log.create("raw", 1)
    program = (
        "import sys, pathlib; from tests.log.member import open_shared, TopicPartition\n"
        "writer = open_shared(pathlib.Path(sys.argv[1])).open_writer(TopicPartition('raw', 0))\n"
        "writer.append([b'mine']); print('open', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        with pytest.raises(Fenced, match="another writer lives"):
            log.open_writer(RAW)
        child.kill()
    assert log.open_writer(RAW).append([b"ours"]) == range(1, 2)
    log.close()


def test_members_join_leave_and_are_killed_and_each_partition_has_one_owner_and_no_gap(
    tmp_path: Path, start: Start
) -> None:
    log = open_shared(tmp_path)
    log.create("raw", 4)
    writers = [log.open_writer(TopicPartition("raw", number)) for number in range(4)]
    written = 0

    def write_more() -> bool:
        nonlocal written
        for writer in writers:
            writer.append([b"x" * 100] * 5)
        written += 5
        return False

    def settle(*shares: tuple[Member, int]) -> None:
        """Write on until every member owns as many partitions as said."""
        members = [member for member, _ in shares]
        await_until(lambda: write_more() or all(len(member.owned) == share for member, share in shares), *members)

    one = start("consume", "group")
    settle((one, 4))
    two = start("consume", "group")
    settle((one, 2), (two, 2))
    three = start("consume", "group")
    await_until(
        lambda: write_more() or sorted(map(len, (one.owned, two.owned, three.owned))) == [1, 1, 2], one, two, three
    )
    two.kill()
    settle((one, 2), (three, 2))
    one.end()
    settle((three, 4))
    for _ in range(20):
        write_more()

    def is_all_taken() -> bool:
        return all(log.committed("group", TopicPartition("raw", number)) == written for number in range(4))

    await_until(is_all_taken, three)
    three.end()
    log.close()
    members = [one, two, three]
    assert_owned_by_one(members)
    assert_without_gaps(members, written)


def test_a_group_outlives_many_kills(tmp_path: Path, start: Start) -> None:
    chance = random.Random(7)
    log = open_shared(tmp_path)
    log.create("raw", 4)
    writers = [log.open_writer(TopicPartition("raw", number)) for number in range(4)]
    living = [start("consume", "group") for _ in range(3)]
    dead: list[Member] = []
    written = 0

    def is_shared_out() -> bool:
        nonlocal written
        for writer in writers:
            writer.append([b"x" * 100])
        written += 1
        owned = [number for member in living for number in member.owned]
        return sorted(owned) == [0, 1, 2, 3] and all(member.owned for member in living)

    for _ in range(6):
        await_until(is_shared_out, *living)
        victim = living.pop(chance.randrange(3))
        victim.kill()
        dead.append(victim)
        if chance.random() < 0.5:  # the others first notice the death, or the birth and the death together
            await_until(is_shared_out, *living)
        living.append(start("consume", "group"))
    await_until(is_shared_out, *living)

    def is_all_taken() -> bool:
        return all(log.committed("group", TopicPartition("raw", number)) == written for number in range(4))

    await_until(is_all_taken, *living)
    for member in living:
        member.end()
    log.close()
    assert_owned_by_one([*living, *dead])
    assert_without_gaps([*living, *dead], written)


def assert_owned_by_one(members: list[Member]) -> None:
    """No two times of ownership of one partition overlap."""
    times: dict[str, list[tuple[int, int]]] = {}
    for member in members:
        since: dict[str, int] = {}
        for at, word, *numbers in member.lines:
            if word == "assigned":
                since[numbers[0]] = int(at)
            elif word == "revoked":
                times.setdefault(numbers[0], []).append((since.pop(numbers[0]), int(at)))
        for partition, began in since.items():
            assert member.killed_ns is not None
            times.setdefault(partition, []).append((began, member.killed_ns))
    assert sorted(times) == ["0", "1", "2", "3"]
    for spans in times.values():
        spans.sort()
        for (_, ended), (began, _) in pairwise(spans):
            assert ended <= began


def assert_without_gaps(members: list[Member], written: int) -> None:
    """What all members took, together, covers every offset."""
    for partition in range(4):
        taken = sorted(
            (int(first), int(last))
            for member in members
            for _, word, *numbers in member.lines
            if word == "took" and int(numbers[0]) == partition
            for first, last in [numbers[1:]]
        )
        expected = 0
        for first, last in taken:
            assert first <= expected, f"partition {partition}: offsets {expected} to {first - 1} were skipped"
            expected = max(expected, last + 1)
        assert expected == written
