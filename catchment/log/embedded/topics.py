"""The list of topics: one small file each, with partitions and retention. Topics are made and grown, never shrunk."""

from __future__ import annotations

import fcntl
import os
from dataclasses import asdict
from pathlib import Path

import orjson

from catchment.errors import BadConfig, Corrupt
from catchment.log.embedded.disk import Disk, make_directories, replace_file
from catchment.log.embedded.head import Head, publish
from catchment.log.embedded.layout import PartitionFiles
from catchment.log.names import checked_name
from catchment.log.port import Retention, TopicPartition


def _begin_head(disk: Disk, files: PartitionFiles) -> None:
    """Give a new partition a head, so that readers need no writer to have been there before them."""
    if files.head.exists():
        return
    descriptor = disk.create(files.head)
    try:
        publish(disk, descriptor, Head(0, 0, 0))
    finally:
        os.close(descriptor)


class Topics:
    """The topics under one root. `directory` changes (a file is renamed into it) when a topic does."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self._root = root
        self._disk = disk
        self.directory = root / ".topics"
        make_directories(disk, self.directory)

    def create(self, topic: str, partitions: int, retention: Retention | None) -> None:
        """Make or grow `topic`; None keeps the retention that it has."""
        checked_name("topic", topic)
        if partitions < 1:
            raise BadConfig(f"topic {topic}: {partitions} partitions, must be at least 1")
        lock = os.open(self.directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known, rule = self._read(topic)
            wanted = max(known, partitions), retention or rule
            if wanted == (known, rule):
                return
            for number in range(wanted[0]):
                files = PartitionFiles.of(self._root, TopicPartition(topic, number))
                make_directories(self._disk, files.directory)
                _begin_head(self._disk, files)
            document = {"partitions": wanted[0], "retention": asdict(wanted[1]) if wanted[1] else None}
            replace_file(self._disk, self._file(topic), orjson.dumps(document) + b"\n")
        finally:
            os.close(lock)

    def partitions(self, topic: str) -> int:
        """How many partitions `topic` has; 0 when it does not exist."""
        return self._read(topic)[0]

    def retention(self, topic: str) -> Retention | None:
        """The rule that the topic was created with, None when it was created without."""
        return self._read(topic)[1]

    def all(self) -> dict[str, int]:
        names = sorted(path.stem for path in self.directory.glob("[!.]*.json"))
        return {name: self.partitions(name) for name in names}

    def _file(self, topic: str) -> Path:
        return self.directory / f"{topic}.json"

    def _read(self, topic: str) -> tuple[int, Retention | None]:
        path = self._file(topic)
        try:
            document = orjson.loads(path.read_bytes())
            rule = document["retention"]
            if rule is not None:
                rule = Retention(rule["max_bytes"], rule["max_age_s"], tuple(rule["held_by"]))
            return int(document["partitions"]), rule
        except FileNotFoundError:
            return 0, None
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise Corrupt(
                f"{path}: not a topic's description ({error}); remove it, then create the topic again"
            ) from error
