"""Which documents were here before: exact, over a window of message time, shared by all loaders of a machine.

A *sighting* is a document at a place in the raw log. It is a repeat when another sighting of the same namespace,
doctype and document id, accepted or not, has a receipt time within the window (25 h) before or after it. The same
record seen again (same partition and offset, after a crash) is never a repeat of itself: `mark` says the same of it as
the first time, so a loader may replay what it had not committed.

Time is the messages' own, absolute; the wall clock only decides when disk is given back. So a replay of last year's
landfill is deduplicated among itself, and one message from a broken clock neither drops nor hides anything.

    mark     decides over a batch, under a lock file that all loaders share; visible to them at once
    note     makes documents known that a replay brings in, without a place: what comes after is a repeat of them
    sync     makes decisions durable, with what they were based on; the loader calls it before it commits its offsets

What a crash leaves: of a process, everything that `mark` decided; of the machine, everything before the last `sync`.
Ids live in half-windows of message time (`sightings.py`); one is removed as a whole, when the newest message is more
than a window past it *and* nobody has written to it for a window by the wall clock. What it costs
is in `docs/performance.md`.

Source of the window: 256 intervals of 6 minutes in the original; its filter was approximate, and a replay of old data
needed a fresh one.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, TypeVar

from catchment import metrics
from catchment.clock import Clock
from catchment.config import option
from catchment.document import Document
from catchment.errors import Closed
from catchment.events import Events
from catchment.ingestion import marking
from catchment.ingestion.marking import Accepted, Repeat, Sighted
from catchment.ingestion.sightings import Generation, Slot, last_used_ns, read_slots
from catchment.log.port import TopicPartition

DIRECTORY = "deduplication"
"""Where the ids are, below the home."""
EXPIRY_CHECK_S = 60.0
MAX_OPEN = 16

REPEATS = metrics.counter("deduplication_repeats_total", "Documents that were here before.", "documents")
GENERATIONS = metrics.gauge("deduplication_generations", "Half-windows of document ids on disk.", "half-windows")
EXPIRED = metrics.counter("deduplication_expired_total", "Half-windows of document ids removed.", "half-windows")

T = TypeVar("T")
_Rule = Callable[[Sequence[Sighted], int, int, Mapping[int, Generation]], list[T | None]]
"""`marking.mark` or `marking.note`."""


@dataclass(frozen=True, slots=True)
class DeduplicationSettings:
    window_h: float = option(
        25.0, "Time between two deliveries of a document within which the second is a duplicate.", unit="h", minimum=0.1
    )

    @property
    def window_ns(self) -> int:
        return round(self.window_h * 3_600e9)

    @property
    def half_ns(self) -> int:
        """A half-window; two of them are a window or a nanosecond more."""
        return -(-self.window_ns // 2)


class Sighting(NamedTuple):
    """A document at a place in the raw log."""

    key: bytes
    submission_ns: int
    topic: int
    partition: int
    offset: int

    @classmethod
    def of(cls, document: Document, source: TopicPartition, offset: int) -> Sighting:
        key = _id_bytes(document.document_id) + doctype_hash(document.namespace, document.doctype)
        topic, partition = source
        return cls._make((key, document.submission_ns, _topic_hash(topic), partition, offset))


class Deduplicator:
    """One process's hand on the shared ids. One thread calls it."""

    def __init__(self, directory: Path, settings: DeduplicationSettings, clock: Clock, events: Events) -> None:
        """`directory` is made if it is not there; all loaders of a platform share it."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._window_ns = settings.window_ns
        self._half_ns = settings.half_ns
        self._clock = clock
        self._events = events
        self._journal_name = secrets.token_hex(8)
        self._open: dict[int, Generation] = {}
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._next_expiry_s = clock.monotonic_s()

    def mark(self, sightings: Sequence[Sighting]) -> list[Repeat | None]:
        """Decide over a batch, in its order: None for a document to keep, a `Repeat` for one that was here.

        Takes any number, of any ages. Raises Full when the disk is, Corrupt when the index cannot be read. Calling it
        again with the same sightings gives the same answers, after such an error too.
        """
        if self._lock < 0:
            raise Closed("marking documents: the deduplicator is closed; open another")
        with self._exclusive():
            there = self._there()
            if self._clock.monotonic_s() >= self._next_expiry_s:
                self._expire(there)
            outcomes = self._decide(sightings, there, marking.mark)
        REPEATS.inc(len(outcomes) - outcomes.count(None))
        return outcomes

    def note(self, sightings: Sequence[Sighting]) -> list[Accepted | None]:
        """Make documents known that come into the tables by another way than `mark`: a delivery within the window of
        one is a repeat from here on. Nothing is noted of a half-window that is over.

        Returns for each a record of the same document, accepted by `mark` within the window, if it is another than the
        one noted. Noting again changes nothing. Raises Full, Corrupt as `mark`; durable after `sync`.
        """
        if self._lock < 0:
            raise Closed("noting documents: the deduplicator is closed; open another")
        with self._exclusive():
            there = self._there()
            newest_ns = self._newest_ns(there, self._clock.time_ns())
            fresh = [sighting for sighting in sightings if not self._is_over(sighting[1] // self._half_ns, newest_ns)]
            found = dict(zip(fresh, self._decide(fresh, there, marking.note), strict=True))
        return [found.get(sighting) for sighting in sightings]

    def sync(self) -> None:
        """Return when everything that this process has decided is durable. Raises Full; then call it again."""
        for generation in self._open.values():
            generation.sync()

    def close(self) -> None:
        """Let go. Does not sync: what was not synced survives this process, but not a crash of the machine."""
        if self._lock < 0:
            return
        for generation in self._open.values():
            generation.close()
        self._open.clear()
        os.close(self._lock)
        self._lock = -1

    def _decide(self, sightings: Sequence[Sighting], there: dict[int, int], rule: _Rule[T]) -> list[T | None]:
        """`rule` with all half-windows open that the sightings may concern; one concerns five."""
        half_ns = self._half_ns
        homes = Counter([sighting[1] // half_ns for sighting in sightings])
        numbers = {near for home in homes for near in range(home - 2, home + 3) if near in there or near in homes}
        if len(numbers) > MAX_OPEN:
            middle = len(sightings) // 2
            return self._decide(sightings[:middle], there, rule) + self._decide(sightings[middle:], there, rule)
        generations = {number: self._generation(number, there) for number in sorted(numbers)}
        now_ns = self._clock.time_ns()
        for number, generation in generations.items():
            if number in homes:
                generation.reserve(homes[number], now_ns)
            else:
                generation.table.follow()
        return rule(sightings, half_ns, self._window_ns, generations)

    def _generation(self, number: int, there: dict[int, int]) -> Generation:
        """The open half-window. One that another loader has removed (and perhaps begun anew) is let go first."""
        generation = self._open.pop(number, None)
        if generation is not None and there.get(number) != generation.inode:
            generation.close()
            generation = None
        if generation is None:
            while len(self._open) >= MAX_OPEN:
                oldest = next(iter(self._open))
                self._open[oldest].sync()
                self._open.pop(oldest).close()
            before = self._open.get(number - 1)
            expected_ids = before.table.ids if before else 0
            generation = Generation(self._directory / _name(number), self._journal_name, expected_ids)
            there[number] = generation.inode
        self._open[number] = generation  # at the end: the first one is the least lately used
        return generation

    def _there(self) -> dict[int, int]:
        """Half-windows on disk, and the inode of each."""
        with os.scandir(self._directory) as entries:
            return {int(entry.name): entry.inode() for entry in entries if entry.name.lstrip("-").isdecimal()}

    def _expire(self, there: dict[int, int]) -> None:
        """Remove the oldest half-window that is over; the next one a minute later, so a call's work is bounded."""
        self._next_expiry_s = self._clock.monotonic_s() + EXPIRY_CHECK_S
        GENERATIONS.set(len(there))
        if not there:
            return
        now_ns = self._clock.time_ns()
        newest_ns = self._newest_ns(there, now_ns)
        for number in sorted(there):
            if not self._is_over(number, newest_ns):
                return
            directory = self._directory / _name(number)
            used_ns = last_used_ns(directory)
            if used_ns is not None and used_ns + self._window_ns >= now_ns:
                continue
            generation = self._open.pop(number, None)
            if generation is not None:
                generation.close()
            shutil.rmtree(directory)
            del there[number]
            EXPIRED.inc()
            self._events.info("document_ids_expired", half_window=number)
            return

    def _newest_ns(self, there: dict[int, int], now_ns: int) -> int:
        """The time of the newest messages, about."""
        return min(max(there) * self._half_ns, now_ns) if there else now_ns

    def _is_over(self, number: int, newest_ns: int) -> bool:
        """Whether no message of the newest time has a half-window's last within its window."""
        return (number + 1) * self._half_ns + self._window_ns < newest_ns

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Only this process among all loaders; the kernel gives the lock back if it dies."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)


class Known(NamedTuple):
    """What the window knows of a document id in one namespace and doctype, whose hash is `doctype`."""

    doctype: bytes
    earliest_ns: int
    latest_ns: int
    """The first and the last delivery within the window, ns, message time."""
    source: TopicPartition | None
    offset: int
    """The accepted raw record; None and −1 when only repeats are still in the window."""
    accepted_ns: int
    """About when that came: the earliest delivery in its half of the window."""


class Window(NamedTuple):
    """What a look into the window found, and how far back it reaches (ns, message time; None when it is empty)."""

    known: list[Known]
    begin_ns: int | None


def look_up(directory: Path, settings: DeduplicationSettings, document_id: str) -> Window:
    """All that the loaders know of a document id now, by namespace and doctype. Reads only; never makes the directory.

    Raises Corrupt when the index cannot be read.
    """
    half_ns = settings.half_ns
    if not (directory / "lock").exists():
        return Window([], None)
    prefix = _id_bytes(document_id)
    slots: dict[bytes, list[Slot]] = {}
    lock = os.open(directory / "lock", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        numbers = sorted(int(path.name) for path in directory.iterdir() if path.name.lstrip("-").isdecimal())
        for number in numbers:
            for key, slot in read_slots(directory / _name(number), prefix).items():
                slots.setdefault(key, []).append(slot)
    finally:
        os.close(lock)
    return Window(
        [_known(key, found) for key, found in sorted(slots.items())], numbers[0] * half_ns if numbers else None
    )


def _known(key: bytes, slots: Sequence[Slot]) -> Known:
    accepted = next((slot for slot in slots if slot.offset >= 0), None)
    source = None if accepted is None else TopicPartition("raw", accepted.partition)
    return Known(
        key[16:],
        min(slot.earliest_ns for slot in slots),
        max(slot.latest_ns for slot in slots),
        source,
        -1 if accepted is None else accepted.offset,
        (accepted or slots[0]).earliest_ns,
    )


def _name(number: int) -> str:
    return f"{number:08d}"


def _id_bytes(document_id: str) -> bytes:
    """The UUID's 16 bytes; of the other ids that lenient namespaces have, as many bytes of a hash."""
    try:
        key = bytes.fromhex(document_id.replace("-", ""))
    except ValueError:
        key = b""
    return key if len(key) == 16 else blake2b(document_id.encode(), digest_size=16).digest()


@lru_cache(4096)
def doctype_hash(namespace: str, doctype: str) -> bytes:
    return blake2b(f"{namespace}/{doctype}".encode(), digest_size=8).digest()


@lru_cache(64)
def _topic_hash(topic: str) -> int:
    return zlib.crc32(topic.encode())
