"""Objects as files of a directory. An object is written beside its place under a hidden name, synced (fsync), linked
to its name, which fails when that is taken, and the directory synced. A crash leaves at most a hidden file, which the
next put of the key removes.

Not `obstore`, whose local store does not sync: an archived record may leave the log, so it must survive the machine.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from catchment.directories import make_directory, sync_directory
from catchment.errors import CatchmentError, Full, Missing, Unavailable
from catchment.objects.port import Stored

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class FileObjects:
    """`ObjectStore` in a directory."""

    def __init__(self, root: Path) -> None:
        """`root` is made with the first object, if it is absent."""
        self._root = root

    def put(self, key: str, content: bytes) -> bool:
        path = self._root / key
        hidden = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            if path.exists():
                return False
            make_directory(path.parent)
            with hidden.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            try:
                path.hardlink_to(hidden)
            except (FileExistsError, FileNotFoundError):  # whoever was faster has removed the hidden file too
                if not path.exists():
                    raise
                return False
            finally:
                for left in path.parent.glob(f".{path.name}.*"):
                    left.unlink(missing_ok=True)
            sync_directory(path.parent)
            return True
        except OSError as error:
            raise _refused(f"putting {key}", error) from error

    def get(self, key: str) -> bytes:
        try:
            return (self._root / key).read_bytes()
        except FileNotFoundError as error:
            raise Missing(f"object {key}: is not in {self._root}; see `catchment landfill ls`") from error
        except OSError as error:
            raise _refused(f"getting {key}", error) from error

    def list(self, prefix: str) -> Iterator[Stored]:
        folder, _, start = prefix.rpartition("/")
        try:
            yield from self._below(folder, start)
        except OSError as error:
            raise _refused(f"listing {prefix}", error) from error

    def delete(self, key: str) -> None:
        try:
            (self._root / key).unlink(missing_ok=True)
        except OSError as error:
            raise _refused(f"deleting {key}", error) from error

    def retain(self, prefix: str, days: int) -> bool:
        return False  # a directory deletes nothing by itself

    def _below(self, folder: str, start: str) -> Iterator[Stored]:
        try:
            with os.scandir(self._root / folder) as entries:
                found = sorted((e for e in entries if e.name.startswith(start)), key=_order)
        except FileNotFoundError:
            return
        for entry in found:
            key = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._below(key, "")
                continue
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue  # deleted since it was listed
            yield Stored(key, status.st_size, status.st_mtime_ns)


def _order(entry: os.DirEntry[str]) -> str:
    """Keys compare by their whole text, so a folder `a` comes behind a file `a.b`."""
    return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name


def _refused(doing: str, error: OSError) -> CatchmentError:
    kind = Full if error.errno in _NO_SPACE else Unavailable
    return kind(f"objects: {doing} failed: {error.strerror}; nothing was changed, try again once the disk works")
