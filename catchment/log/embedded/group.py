"""Membership of a consumer group: who lives, how many partitions each may have, and who owns which.

All of it is files that the kernel unlocks when a process dies; nothing is written that a crash could leave wrong.

    members/<id>              locked by the member from before it can be seen until it leaves; text: its topics
    owners/<topic>.<number>   locked by the member that owns the partition

Shares. The living members that want a topic, sorted by id, share its P partitions: the first P mod M get one more
than the rest. Everyone computes the same from the same listing, and takes free partitions up to its share. Who has
more than its share gives some back and touches its member file. Joining (rename), leaving (delete), giving back
(write) and death (the kernel closes the file) all end the others' wait in inotify.

The kernel tells of a closed file an instant before it frees the lock, so after such an event the listing is looked at
again a few times, at growing distances up to a second. Listing opens members' files for reading only, which wakes
nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from catchment.log.embedded.disk import Disk, make_directories
from catchment.log.embedded.watch import LEFT, PLACED, WRITTEN
from catchment.log.names import checked_name
from catchment.log.port import TopicPartition

CHANGES = LEFT | PLACED | WRITTEN
"""What a watch on `members` must report."""
LOOK_AGAIN_S = (0.001, 0.004, 0.016, 0.064, 0.25, 1.0)


class Membership:
    """This member's place in a group. One thread uses it."""

    def __init__(self, root: Path, group: str, topics: Sequence[str], disk: Disk) -> None:
        """Join: from here on the others see this member."""
        directory = root / ".groups" / checked_name("group", group)
        self.members = directory / "members"
        self._owners = directory / "owners"
        for path in (self.members, self._owners, directory / "offsets"):
            make_directories(disk, path)
        self._topics = tuple(topics)
        self._claims: dict[TopicPartition, int] = {}
        self.id = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._path = self.members / self.id
        hidden = self.members / f".{self.id}"
        self._file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.write(self._file, orjson.dumps(self._topics) + b"\n")
        hidden.rename(self._path)

    @property
    def owned(self) -> list[TopicPartition]:
        return sorted(self._claims)

    def shares(self, partitions: dict[str, int]) -> dict[str, int]:
        """How many partitions of each topic this member should own; `partitions` tells how many each topic has."""
        living = dict(self._living())
        shares = {}
        for topic in self._topics:
            rivals = sorted(member for member, topics in living.items() if topic in topics)
            rank = rivals.index(self.id) if self.id in rivals else 0
            whole, rest = divmod(partitions.get(topic, 0), max(len(rivals), 1))
            shares[topic] = whole + (rank < rest)
        return shares

    def excess(self, shares: dict[str, int]) -> list[TopicPartition]:
        """Owned partitions beyond the shares: the highest numbers."""
        return [
            source
            for topic, share in shares.items()
            for source in [owned for owned in self.owned if owned.topic == topic][share:]
        ]

    def claim(self, shares: dict[str, int], partitions: dict[str, int]) -> list[TopicPartition]:
        """Take free partitions up to the shares; return what was taken."""
        taken = []
        for topic, share in shares.items():
            missing = share - sum(source.topic == topic for source in self._claims)
            for number in range(partitions.get(topic, 0)):
                if missing <= 0:
                    break
                source = TopicPartition(topic, number)
                if source not in self._claims and self._take(source):
                    taken.append(source)
                    missing -= 1
        return taken

    def release(self, sources: Sequence[TopicPartition]) -> None:
        """Give partitions back and tell the others."""
        for source in sources:
            os.close(self._claims.pop(source))
        if sources:
            os.pwrite(self._file, b"\n", 0x1000)

    def leave(self) -> None:
        """Give everything back and go; the others see it."""
        self.release(self.owned)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        os.close(self._file)

    def _take(self, source: TopicPartition) -> bool:
        path = self._owners / f"{source.topic}.{source.partition}"
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._claims[source] = descriptor
        return True

    def _living(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Ids and topics of the members that live; the files of the dead are removed on the way."""
        yield self.id, self._topics
        for path in sorted(self.members.glob("[!.]*")):
            if path.name == self.id:
                continue
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)  # nobody holds it: its member is dead; ids are never used again
            except BlockingIOError:
                yield path.name, tuple(orjson.loads(os.pread(descriptor, 0x1000, 0).rstrip(b"\n\0")))
            finally:
                os.close(descriptor)
