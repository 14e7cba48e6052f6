"""Retention: which sealed segments go, by the rule of their topic. Any process may enforce it, several at once.

A segment is as old as its last write. `max_bytes` is for the whole topic: the oldest sealed segments of all its
partitions go first. A segment that a group in `held_by` has not passed stays, and so do all that follow it in its
partition, so that a partition never has a hole. Side files of cut-off bytes go by age alone: they hold what the
segments hold, and must not outlive the rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from catchment import metrics
from catchment.clock import Clock
from catchment.events import Events
from catchment.log.embedded.disk import Disk
from catchment.log.embedded.layout import PartitionFiles
from catchment.log.embedded.offsets import Offsets
from catchment.log.port import Retention

REMOVED = metrics.counter("log_removed_bytes_total", "Bytes of segments removed by retention.", "bytes", ("topic",))


@dataclass(frozen=True, slots=True)
class _Segment:
    path: Path
    size_bytes: int
    written_ns: int
    is_removable: bool


def enforce(
    root: Path,
    topic: str,
    partitions: Sequence[PartitionFiles],
    rule: Retention,
    disk: Disk,
    clock: Clock,
    events: Events,
) -> None:
    """Remove what `rule` lets go. Raises OSError from the disk, Corrupt for a damaged offset of a holding group."""
    if rule.max_bytes is None and rule.max_age_s is None:
        return
    groups = [Offsets(root, group, disk) for group in rule.held_by]
    segments = sorted(
        (segment for files in partitions for segment in _segments(files, groups)),
        key=lambda segment: (segment.written_ns, segment.path),
    )
    oldest_ns = clock.time_ns() - round((rule.max_age_s or 0) * 1e9)
    excess_bytes = sum(segment.size_bytes for segment in segments) - (rule.max_bytes or 0)
    stopped: set[Path] = set()
    for segment in segments:
        partition = segment.path.parent
        is_old = rule.max_age_s is not None and segment.written_ns < oldest_ns
        is_excess = rule.max_bytes is not None and excess_bytes > 0
        if not segment.is_removable or partition in stopped or not (is_old or is_excess):
            stopped.add(partition)
            continue
        disk.unlink(segment.path)
        excess_bytes -= segment.size_bytes
        REMOVED.labels(topic).inc(segment.size_bytes)
        events.info(
            "segment_removed",
            topic=topic,
            partition=partition.name,
            segment=segment.path.name,
            size_bytes=segment.size_bytes,
            reason="age" if is_old else "size",
        )
    if rule.max_age_s is not None:
        for files in partitions:
            for path in files.torn():
                if path.stat().st_mtime_ns < oldest_ns:
                    disk.unlink(path)


def _segments(files: PartitionFiles, groups: Sequence[Offsets]) -> list[_Segment]:
    """The partition's segments, oldest first; the last one is in use."""
    committed = [group.read(files.source) for group in groups]
    passed = min((-1 if offset is None else offset for offset in committed), default=None)
    bases = files.bases()
    found = []
    for index, base in enumerate(bases):
        path = files.segment(base)
        try:
            status = path.stat()
        except FileNotFoundError:  # another process has just removed it
            continue
        is_removable = index + 1 < len(bases) and (passed is None or passed >= bases[index + 1])
        found.append(_Segment(path, status.st_size, status.st_mtime_ns, is_removable))
    return found
