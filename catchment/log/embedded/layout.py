"""Names of the log's files and directories; the package text draws them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from catchment.log.port import TopicPartition

_SEGMENT = re.compile(r"(\d{20})\.log")
_TORN = re.compile(r"\d{20}\.torn-\d+")


@dataclass(frozen=True, slots=True)
class PartitionFiles:
    """Where the files of one partition are."""

    directory: Path
    source: TopicPartition

    @classmethod
    def of(cls, root: Path, source: TopicPartition) -> PartitionFiles:
        return cls(root / source.topic / str(source.partition), source)

    @property
    def lock(self) -> Path:
        return self.directory / "lock"

    @property
    def head(self) -> Path:
        return self.directory / "head"

    @property
    def spare(self) -> Path:
        return self.directory / "spare"

    def segment(self, base: int) -> Path:
        return self.directory / f"{base:020d}.log"

    def unused_torn(self, base: int) -> Path:
        """The first `<base>.torn-<n>` that does not exist."""
        number = 0
        while (path := self.directory / f"{base:020d}.torn-{number}").exists():
            number += 1
        return path

    def bases(self) -> list[int]:
        """Bases of the segments, ascending; empty when the partition does not exist."""
        try:
            names = [entry.name for entry in self.directory.iterdir()]
        except FileNotFoundError:
            return []
        return sorted(int(found[1]) for name in names if (found := _SEGMENT.fullmatch(name)))

    def torn(self) -> list[Path]:
        """The side files."""
        return sorted(path for path in self.directory.iterdir() if _TORN.fullmatch(path.name))
