"""A disk that is full, fails or gets well again: refused batches never appear, and the writer goes on by itself."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from catchment.clock import ManualClock
from catchment.errors import CatchmentError, Full, Unavailable, Unknown
from catchment.log.embedded.disk import Disk
from catchment.log.embedded.writer import EmbeddedWriter
from tests.log.opening import RAW, open_embedded, payloads_of, segments


class BrokenDisk(Disk):
    """Fails the named operations with an error number, until they are taken out of `broken`."""

    def __init__(self) -> None:
        self.broken: dict[str, int] = {}
        self.head_writes: list[str] = []  # the moments at which the next ones fail: before, after
        self.free = 1 << 40
        self.zeroed = threading.Event()

    def _check(self, operation: str) -> None:
        if operation in self.broken:
            raise OSError(self.broken[operation], os.strerror(self.broken[operation]))

    def create(self, path: Path) -> int:
        self._check("create")
        return super().create(path)

    def write(self, descriptor: int, content: bytes | memoryview, position: int) -> int:
        self._check("write")
        moment = self.head_writes.pop(0) if self.head_writes else ""
        if moment == "before":
            raise OSError(errno.EIO, "injected")
        taken = super().write(descriptor, content, position)
        if moment == "after":
            raise OSError(errno.EIO, "injected")
        return taken

    def write_durably(self, descriptor: int, pieces: Sequence[bytes | memoryview], position: int) -> int:
        content = b"".join(pieces)
        if "write" in self.broken:
            super().write_durably(descriptor, [content[: len(content) // 2]], position)
            self._check("write")
        taken = super().write_durably(descriptor, [content[:100]], position)  # a short write, as the system may do
        self._check("sync")
        return taken

    def zero(self, path: Path, size_bytes: int, stopping: threading.Event) -> None:
        self._check("zero")
        super().zero(path, size_bytes, stopping)
        self.zeroed.set()

    def rename(self, source: Path, target: Path) -> None:
        self._check("rename")
        super().rename(source, target)

    def truncate(self, descriptor: int, size: int) -> None:
        self._check("truncate")
        super().truncate(descriptor, size)

    def sync_directory(self, path: Path) -> None:
        self._check("sync_directory")
        super().sync_directory(path)

    def free_bytes(self, path: Path) -> int:
        self._check("free_bytes")
        return self.free


@pytest.mark.parametrize("operation", ["write", "sync", "create", "sync_directory"])
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, Full),
        (errno.EDQUOT, Full),
        (errno.EFBIG, Full),
        (errno.EIO, Unavailable),
        (errno.EROFS, Unavailable),
    ],
)
def test_a_failure_refuses_the_batch_and_leaves_nothing_and_the_next_goes_through(
    tmp_path: Path, operation: str, number: int, kind: type[CatchmentError]
) -> None:
    disk = BrokenDisk()
    log = open_embedded(tmp_path, disk=disk, segment_bytes=100)
    writer = log.open_writer(RAW)
    writer.append([b"before" * 20])
    disk.broken = {operation: number}
    for _ in range(3):
        with pytest.raises(kind, match="raw/0"):
            writer.append([b"refused", b"refused too"])
    assert payloads_of(log) == [b"before" * 20]
    disk.broken = {}
    assert writer.append([b"after"]) == range(1, 2)
    log.close()
    again = open_embedded(tmp_path)
    assert again.open_writer(RAW).torn is None
    assert payloads_of(again) == [b"before" * 20, b"after"]
    again.close()


def test_when_even_taking_back_fails_the_outcome_is_unknown_and_nothing_is_written_until_it_succeeds(
    tmp_path: Path,
) -> None:
    disk = BrokenDisk()
    log = open_embedded(tmp_path, disk=disk)
    writer = log.open_writer(RAW)
    disk.broken = {"sync": errno.EIO, "truncate": errno.EIO}
    with pytest.raises(Unknown, match="read back"):
        writer.append([b"perhaps"])
    size = segments(tmp_path)[-1].stat().st_size
    disk.broken = {"truncate": errno.EIO}
    with pytest.raises(Unavailable, match="cutting"):
        writer.append([b"refused"])
    assert segments(tmp_path)[-1].stat().st_size == size
    assert payloads_of(log) == []
    disk.broken = {}
    assert writer.append([b"after"]) == range(1)
    assert payloads_of(log) == [b"after"]
    log.close()


def test_a_head_that_was_written_though_its_write_failed_never_runs_ahead_of_what_is_cut(tmp_path: Path) -> None:
    disk = BrokenDisk()
    log = open_embedded(tmp_path, disk=disk)
    writer = log.open_writer(RAW)
    writer.append([b"before"])
    disk.head_writes = ["after", *["before"] * 10]  # and then the process dies
    with pytest.raises(Unknown):
        writer.append([b"perhaps", b"both"])
    log.close()
    again = open_embedded(tmp_path)
    torn = again.open_writer(RAW).torn
    assert torn is None or torn.lost_records == 0
    assert payloads_of(again) in ([b"before"], [b"before", b"perhaps", b"both"])
    again.close()


def test_a_batch_whose_outcome_was_unknown_is_there_whole_or_not_at_all_after_a_restart(tmp_path: Path) -> None:
    disk = BrokenDisk()
    log = open_embedded(tmp_path, disk=disk)
    writer = log.open_writer(RAW)
    disk.broken = {"sync": errno.EIO, "truncate": errno.EIO}
    with pytest.raises(Unknown):
        writer.append([b"perhaps", b"both"])
    log.close()
    again = open_embedded(tmp_path)
    again.open_writer(RAW)
    assert payloads_of(again) in ([], [b"perhaps", b"both"])
    again.close()


def test_the_guard_refuses_before_the_disk_is_full_and_lets_go_when_there_is_space_again(tmp_path: Path) -> None:
    disk, clock = BrokenDisk(), ManualClock()
    log = open_embedded(tmp_path, disk=disk, clock=clock, min_free_bytes=1_000_000)
    writer = log.open_writer(RAW)
    disk.free = 1_000_500
    assert writer.append([b"x" * 300]) == range(1)
    with pytest.raises(Full, match=r"1000000 must stay free.*min_free_bytes"):
        writer.append([b"x" * 300])
    disk.free = 2_000_000
    clock.advance(0.2)
    assert writer.append([b"after"]) == range(1, 2)
    disk.broken = {"free_bytes": errno.EIO}
    clock.advance(0.2)
    with pytest.raises(Unavailable, match="free space"):
        writer.append([b"refused"])
    assert payloads_of(log) == [b"x" * 300, b"after"]
    log.close()


def test_opening_on_a_broken_disk_is_refused_and_frees_the_partition(tmp_path: Path) -> None:
    disk = BrokenDisk()
    log = open_embedded(tmp_path, disk=disk)
    for number, kind in ((errno.ENOSPC, Full), (errno.EIO, Unavailable)):
        disk.broken = {"create": number}
        with pytest.raises(kind, match="opening for writing"):
            log.open_writer(RAW)
    disk.broken = {}
    assert log.open_writer(RAW).append([b"first"]) == range(1)
    log.close()


def test_a_limit_on_the_size_of_files_starts_the_next_segment(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        log = open_embedded(tmp_path, segment_bytes=1 << 30)
        writer = log.open_writer(RAW)
        refused = 0
        for number in range(40):
            try:
                writer.append([b"%03d" % number * 300])
            except Full:
                refused += 1
        log.close()
        os._exit(refused)
    refused = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert refused == 3
    log = open_embedded(tmp_path)
    assert len(payloads_of(log)) == 40 - refused
    assert len(segments(tmp_path)) == 1 + refused
    log.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 1 MiB of its own."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"mounting a small disk needs root: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full_refuses_and_takes_again_when_space_is_freed(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(500_000))
    log = open_embedded(small_disk / "log", segment_bytes=100_000)
    writer = log.open_writer(RAW)
    kept = fill(writer, 0)
    assert len(kept) >= 100
    assert payloads_of(log) == kept
    for _ in range(3):
        with pytest.raises(Full):
            writer.append([bytes(3000)])
    ballast.unlink()
    kept += fill(writer, 1)
    assert len(kept) >= 200
    log.close()
    again = open_embedded(small_disk / "log")
    assert payloads_of(again) == kept
    again.close()


def fill(writer: EmbeddedWriter, round_: int) -> list[bytes]:
    """Append until the disk is full; return what was taken."""
    kept = []
    for number in range(1000):
        payload = b"%d.%d." % (round_, number) + bytes(3000)
        try:
            writer.append([payload])
        except Full:
            return kept
        kept.append(payload)
    raise AssertionError("the small disk never got full")
