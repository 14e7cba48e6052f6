"""Committed offsets: a small file per group, topic and partition, replaced whole; a damaged one is never 0."""

from __future__ import annotations

import re
from pathlib import Path

from google_crc32c import value

from catchment.errors import Corrupt, Full, Unavailable
from catchment.log.embedded.disk import Disk, make_directories, replace_file
from catchment.log.embedded.tail import NO_SPACE
from catchment.log.names import checked_name
from catchment.log.port import TopicPartition

_TEXT = re.compile(rb"(\d{20}) ([0-9a-f]{8})\n")


class Offsets:
    """The offsets that one group has committed."""

    def __init__(self, root: Path, group: str, disk: Disk) -> None:
        self._group = checked_name("group", group)
        self._directory = root / ".groups" / group / "offsets"
        self._disk = disk

    def read(self, source: TopicPartition) -> int | None:
        """The committed offset, None when there never was one. Raises Corrupt."""
        path = self._file(source)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        found = _TEXT.fullmatch(content)
        if found is None or int(found[2], 16) != value(found[1]):
            raise Corrupt(
                f"{path}: not a committed offset of group {self._group}; restore it, or "
                "remove the file to read the partition from its start"
            )
        return int(found[1])

    def write(self, source: TopicPartition, offset: int) -> None:
        """Make `offset` the committed one, atomically and durably. Raises Full, Unavailable."""
        digits = b"%020d" % offset
        path = self._file(source)
        try:
            make_directories(self._disk, path.parent)
            replace_file(self._disk, path, b"%b %08x\n" % (digits, value(digits)))
        except OSError as error:
            kind = Full if error.errno in NO_SPACE else Unavailable
            raise kind(f"{path}: committing offset {offset} failed: {error.strerror}; the old one stays") from error

    def _file(self, source: TopicPartition) -> Path:
        return self._directory / f"{source.topic}.{source.partition}"
