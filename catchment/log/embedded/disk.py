"""The file operations on which durability rests, in one small object, so that tests can fail or stop each of them."""

from __future__ import annotations

import os
from pathlib import Path


class Disk:
    """The operating system's calls, as they are. All raise OSError."""

    def create(self, path: Path) -> int:
        """Open `path` for reading and writing, make it if it is absent; return the descriptor."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def write(self, descriptor: int, content: bytes | memoryview, position: int) -> int:
        """Write at `position`; return how many bytes were taken, perhaps fewer than given."""
        return os.pwrite(descriptor, content, position)

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
