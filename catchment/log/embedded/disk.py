"""The file operations on which durability rests, in one small object, so that tests can fail or stop each of them."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Sequence
from mmap import mmap
from pathlib import Path

_MOST_PIECES = 1024
"""IOV_MAX of Linux."""
_ZERO_BYTES = 512 * 1024


class Disk:
    """The operating system's calls, as they are. All raise OSError."""

    def create(self, path: Path) -> int:
        """Open `path` for reading and writing, make it if it is absent; return the descriptor."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def write(self, descriptor: int, content: bytes | memoryview, position: int) -> int:
        """Write at `position`; return how many bytes were taken, perhaps fewer than given."""
        return os.pwrite(descriptor, content, position)

    def write_durably(self, descriptor: int, pieces: Sequence[bytes | memoryview], position: int) -> int:
        """Write `pieces`, joined, at `position`, and return when they are on the disk; how many bytes were taken,
        perhaps fewer than given. One call for both: a thread of Python waits for the interpreter after each."""
        return os.pwritev(descriptor, pieces, position, os.RWF_DSYNC)

    def zero(self, path: Path, size_bytes: int, stopping: threading.Event) -> None:
        """Make `path` a file of zeros that are on the disk, or leave it unfinished when `stopping` is set.

        It takes half of the disk's time at most, and no memory of the page cache: other writes go on beside it.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags | os.O_DIRECT, 0o640)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            descriptor = os.open(path, flags, 0o640)  # a filesystem without direct writes
        try:
            os.posix_fallocate(descriptor, 0, size_bytes)
            with mmap(-1, _ZERO_BYTES) as chunk, memoryview(chunk) as zeros:
                for at in range(0, size_bytes, _ZERO_BYTES):
                    started_s = time.monotonic()
                    os.pwrite(descriptor, zeros[: size_bytes - at], at)
                    if stopping.wait(time.monotonic() - started_s):
                        return
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def datasync(self, descriptor: int) -> None:
        os.fdatasync(descriptor)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def rename(self, source: Path, target: Path) -> None:
        source.replace(target)

    def sync_directory(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def forget(self, path: Path) -> None:
        """Let the page cache drop what it holds of `path`; whoever reads it again waits for the disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)

    def free_bytes(self, path: Path) -> int:
        """Bytes that an ordinary user may still write on the filesystem of `path`."""
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize


def write_all(disk: Disk, descriptor: int, content: bytes, position: int) -> None:
    """Write all of `content` at `position`."""
    written = disk.write(descriptor, content, position)
    if written < len(content):
        rest = memoryview(content)
        while written < len(content):
            written += disk.write(descriptor, rest[written:], position + written)


def write_all_durably(disk: Disk, descriptor: int, pieces: Sequence[bytes], size_bytes: int, position: int) -> None:
    """Write all of `pieces`, which have `size_bytes`, at `position`, and return when they are on the disk."""
    if len(pieces) > _MOST_PIECES:
        pieces = [b"".join(pieces)]
    written = disk.write_durably(descriptor, pieces, position)
    if written < size_bytes:
        rest = memoryview(b"".join(pieces))
        while written < size_bytes:
            written += disk.write_durably(descriptor, [rest[written:]], position + written)


def make_directories(disk: Disk, path: Path) -> None:
    """Make `path` and what is missing above it, durably."""
    if path.is_dir():
        return
    make_directories(disk, path.parent)
    path.mkdir(exist_ok=True)
    disk.sync_directory(path.parent)


def replace_file(disk: Disk, path: Path, content: bytes) -> None:
    """Make `content` the whole of `path`, atomically and durably: a crash leaves the old file or the new one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = disk.create(fresh)
    try:
        disk.truncate(descriptor, 0)
        write_all(disk, descriptor, content, 0)
        disk.datasync(descriptor)
    finally:
        os.close(descriptor)
    disk.rename(fresh, path)
    disk.sync_directory(path.parent)
