"""Crashing writers on purpose: a disk that dies or fails at a chosen operation, the work it dies in, and the proof.

    parent ── fork ──▶ child: seeded work over a FailingDisk ──lines on a pipe──▶ parent: reopen, compare

The child says what it tries before it tries it and what was answered after it was answered, so that the parent knows
what must be in the log (acknowledged), what may be (tried), and what must not be (refused). `sync` lines tell what a
loss of power would leave; `lose_power` then takes the rest away.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from catchment.clock import SystemClock
from catchment.errors import CatchmentError, Unknown
from catchment.events import Events
from catchment.log.embedded.disk import Disk
from catchment.log.embedded.log import EmbeddedLog
from catchment.log.port import TopicPartition
from catchment.log.settings import LogSettings

SOURCE = TopicPartition("raw", 0)
SETTINGS = LogSettings(segment_bytes=2000, min_free_bytes=0, prepare_from_bytes=500)
OPERATIONS = 75
"""A generation of work needs about so many file operations; the fatal one is drawn from these and a few more."""
SECTOR_BYTES = 512

T = TypeVar("T")
Tell = Callable[[str], None]


class FailingDisk(Disk):
    """Counts the operations; the `fatal` one kills this process (before, in or after it), some others fail.

    Nothing is synced for real: a killed process leaves its writes to the kernel, and `lose_power` does the rest.
    """

    def __init__(self, random_source: random.Random, fatal: int, failure_rate: float, tell: Tell) -> None:
        self._random = random_source
        self._left = fatal
        self._failure_rate = failure_rate
        self._tell = tell
        self._paths: dict[int, Path] = {}
        self._lock = threading.RLock()

    def create(self, path: Path) -> int:
        def act() -> int:
            descriptor = Disk.create(self, path)
            self._paths[descriptor] = path
            self._tell(f"create {path}")
            return descriptor

        return self._do(act)

    def write(self, descriptor: int, content: bytes | memoryview, position: int) -> int:
        part = content[: self._random.randrange(len(content) + 1)]
        return self._do(
            lambda: Disk.write(self, descriptor, content, position),
            lambda: Disk.write(self, descriptor, part, position),
        )

    def write_durably(self, descriptor: int, pieces: Sequence[bytes | memoryview], position: int) -> int:
        content = b"".join(pieces)
        part = content[: self._random.randrange(len(content) + 1)]

        def act() -> int:
            written = Disk.write(self, descriptor, content, position)
            self._tell(f"sync {position + written} {self._paths[descriptor]}")
            return written

        return self._do(act, lambda: Disk.write(self, descriptor, part, position))

    def zero(self, path: Path, size_bytes: int, stopping: threading.Event) -> None:
        self._do(lambda: path.write_bytes(bytes(size_bytes)), lambda: path.write_bytes(bytes(size_bytes // 2)))

    def datasync(self, descriptor: int) -> None:
        self._do(lambda: self._synced(descriptor))

    def sync(self, descriptor: int) -> None:
        self._do(lambda: self._synced(descriptor))

    def truncate(self, descriptor: int, size: int) -> None:
        self._do(lambda: Disk.truncate(self, descriptor, size))

    def rename(self, source: Path, target: Path) -> None:
        self._do(lambda: Disk.rename(self, source, target))

    def sync_directory(self, path: Path) -> None:
        self._do(lambda: self._tell(f"directory {path}"))

    def unlink(self, path: Path) -> None:
        self._do(lambda: Disk.unlink(self, path))

    def _synced(self, descriptor: int) -> None:
        self._tell(f"sync {os.fstat(descriptor).st_size} {self._paths[descriptor]}")

    def _do(self, act: Callable[[], T], in_part: Callable[[], T] | None = None) -> T:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                moment = self._random.choice(["before", "in", "after"])
                if moment == "in" and in_part is not None:
                    in_part()
                elif moment == "after":
                    act()
                os.kill(os.getpid(), signal.SIGKILL)
            if self._random.random() < self._failure_rate:
                if in_part is not None and self._random.random() < 0.5:
                    in_part()
                raise OSError(self._random.choice([errno.ENOSPC, errno.EIO, errno.EFBIG]), "injected")
            return act()


def payload(batch: int, index: int) -> bytes:
    return b"%d.%d." % (batch, index) + b"x" * ((batch * 7919 + index * 104729) % 300)


def work(root: Path, seed: int, generation: int, failure_rate: float, tell: Tell) -> None:
    """What the child does: opens the log, appends batches in several ways, commits; dies somewhere on the way."""
    chance = random.Random(seed * 10 + generation)
    disk = FailingDisk(chance, chance.randrange(1, OPERATIONS + 20), 0.0, tell)
    events = Events("child", Path(os.devnull).open("w"))  # noqa: SIM115  lives as long as the process
    settings = replace(SETTINGS, segment_bytes=chance.choice([2000, 4096]))  # the second may be filled without zeros
    log = EmbeddedLog(root, settings, SystemClock(), events, disk)
    log.create(SOURCE.topic, 1)
    writer = log.open_writer(SOURCE)
    consumer = log.open_consumer("group", [SOURCE.topic])
    consumer.poll(1, 1, 0)
    disk._failure_rate = failure_rate
    number = generation * 1000
    for _ in range(12):
        waiting = []
        for _ in range(chance.choice([1, 1, 2, 4])):
            number += 1
            payloads = [payload(number, index) for index in range(chance.randrange(1, 6))]
            answered = threading.Event()
            tell(f"try {number} {len(payloads)}")

            writer.submit(payloads, partial(_tell_answer, tell, number, answered))
            waiting.append(answered)
        for answered in waiting:
            answered.wait()
        if chance.random() < 0.2:
            tell(f"committing {writer.end}")
            try:
                consumer.commit({SOURCE: writer.end})
            except CatchmentError:
                continue
            tell(f"committed {writer.end}")
    tell("end")
    log.close()


def _tell_answer(tell: Tell, number: int, answered: threading.Event, answer: range | CatchmentError) -> None:
    if isinstance(answer, range):
        tell(f"ack {number} {answer.start}")
    elif not isinstance(answer, Unknown):
        tell(f"refuse {number}")
    answered.set()


def run_child(root: Path, seed: int, generation: int, failure_rate: float) -> list[str]:
    """Fork a child, let it work until it dies or ends; return its lines."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work(root, seed, generation, failure_rate, lambda line: _write_line(writing, line))
        except CatchmentError as error:  # an injected failure while opening: the next generation opens again
            _write_line(writing, f"gave up {error}")
        except BaseException as error:  # noqa: BLE001  must reach the parent
            _write_line(writing, f"broken {error!r}")
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().decode().splitlines()
    os.waitpid(child, 0)
    return lines


def _write_line(descriptor: int, line: str) -> None:
    os.write(descriptor, line.encode() + b"\n")


def lose_power(root: Path, lines: list[str], chance: random.Random) -> None:
    """Take from the files what was not synced: each unsynced sector stays, becomes zero, or the file ends there. A
    segment whose directory was not synced since it was made may be gone."""
    directory = root / SOURCE.topic / str(SOURCE.partition)
    synced: dict[str, int] = {}
    made: set[str] = set()
    listed: set[str] = set()
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "sync":
            size, _, path = rest.partition(" ")
            synced[path] = int(size)
        elif kind == "create":
            made.add(rest)
        elif kind == "directory":
            listed |= {path for path in made if Path(path).parent == Path(rest)}
    for path in directory.glob("*.log"):
        if str(path) not in listed and chance.random() < 0.5:
            path.unlink()
            continue
        durable = synced.get(str(path), 0)
        with path.open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            for begin in range(durable, size, SECTOR_BYTES):
                fate = chance.choice(["stays", "zero", "stays", "ends"])
                if fate == "ends":
                    file.truncate(begin)
                    break
                if fate == "zero":
                    os.pwrite(file.fileno(), bytes(min(SECTOR_BYTES, size - begin)), begin)
    head = directory / "head"
    if head.exists():
        fate = chance.choice(["stays", "empty", "zero", "gone"])
        if fate == "gone":
            head.unlink()
        elif fate != "stays":
            head.write_bytes(b"" if fate == "empty" else bytes(32))


class Expectation:
    """What the lines of all generations so far allow the log to hold."""

    def __init__(self) -> None:
        self.tried: dict[int, int] = {}
        self.acknowledged: dict[int, int] = {}
        self.refused: set[int] = set()
        self.committed: set[int | None] = {None}

    def take(self, lines: list[str]) -> None:
        for line in lines:
            kind, *numbers = line.split(" ")
            assert kind != "broken", line
            match kind:
                case "try":
                    self.tried[int(numbers[0])] = int(numbers[1])
                case "ack":
                    self.acknowledged[int(numbers[0])] = int(numbers[1])
                case "refuse":
                    self.refused.add(int(numbers[0]))
                case "committing":
                    self.committed.add(int(numbers[0]))
                case "committed":
                    self.committed = {int(numbers[0])}

    def compare(self, root: Path) -> None:
        """Open the log in this process and hold it to what is expected."""
        with Path(os.devnull).open("w") as silent:
            log = EmbeddedLog(root, SETTINGS, SystemClock(), Events("parent", silent))
            try:
                if SOURCE.topic not in log.topics():
                    assert not self.acknowledged
                    return
                log.open_writer(SOURCE).close()
                found = read_all(log)
                committed = log.committed("group", SOURCE)
            finally:
                log.close()
        batches = [int(text.split(b".", 1)[0]) for text in found]
        assert batches == sorted(batches), "records are out of order"
        for number, offset in self.acknowledged.items():
            whole = [payload(number, index) for index in range(self.tried[number])]
            assert found[offset : offset + len(whole)] == whole, f"acknowledged batch {number} is not at {offset}"
        for number in set(batches):
            assert number in self.tried, f"batch {number} was never tried"
            assert number not in self.refused, f"refused batch {number} was kept"
            assert batches.count(number) == self.tried[number], f"batch {number} is there in part, or twice"
        assert committed in self.committed
        self.committed = {committed}


def read_all(log: EmbeddedLog) -> list[bytes]:
    reader = log.open_reader(SOURCE, 0)
    payloads: list[bytes] = []
    while records := reader.read(1000, 1 << 20, 0):
        assert [record.offset for record in records] == list(range(len(payloads), len(payloads) + len(records)))
        payloads += [record.payload for record in records]
    return payloads
