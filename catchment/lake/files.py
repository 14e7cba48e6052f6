"""Local files under Iceberg: written under a new name, durable when closed.

Iceberg never changes a file. A table's new version becomes visible when the catalog names its metadata file, so what
that file names must be on disk before: `close` of an output flushes the file and then its directory (fsync). A crash
leaves at most files that nothing names; maintenance deletes them. Locations are `file:///absolute/path`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, cast

from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile, OutputStream

from catchment.directories import make_directory, sync_directory

SCHEME = "file://"
_BUFFER_BYTES = 1024 * 1024


def path_of(location: str) -> str:
    """The path that a location means; that of a bucket stays as it is."""
    return location.removeprefix(SCHEME)


class LakeFiles(Protocol):
    """pyiceberg's file port, and what the lake asks of it beside."""

    def new_input(self, location: str) -> InputFile: ...

    def new_output(self, location: str) -> OutputFile: ...

    def delete(self, location: str | InputFile | OutputFile) -> None: ...

    def listed(self, location: str) -> Iterator[tuple[str, float]]:
        """All files below a location, each with the time of its last change (s since the epoch)."""
        ...

    @property
    def remote(self) -> Any:
        """The file system (fsspec) that DuckDB opens locations by; None when they are paths of this machine."""
        ...


class DurableFiles(FileIO):
    """pyiceberg's file port over a local directory."""

    def listed(self, location: str) -> Iterator[tuple[str, float]]:
        for path in Path(path_of(location)).rglob("*"):
            with suppress(FileNotFoundError):  # deleted meanwhile
                found = path.stat()
                if stat.S_ISREG(found.st_mode):
                    yield f"{SCHEME}{path}", found.st_mtime

    @property
    def remote(self) -> None:
        return None

    def new_input(self, location: str) -> InputFile:
        return LocalInput(location)

    def new_output(self, location: str) -> OutputFile:
        return LocalOutput(location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        Path(path_of(location if isinstance(location, str) else location.location)).unlink()


class LocalInput(InputFile):
    def __len__(self) -> int:
        return Path(path_of(self.location)).stat().st_size

    def exists(self) -> bool:
        return Path(path_of(self.location)).exists()

    def open(self, seekable: bool = True) -> InputStream:
        return cast(InputStream, Path(path_of(self.location)).open("rb"))


class LocalOutput(OutputFile):
    def __len__(self) -> int:
        return Path(path_of(self.location)).stat().st_size

    def exists(self) -> bool:
        return Path(path_of(self.location)).exists()

    def to_input_file(self) -> InputFile:
        return LocalInput(self.location)

    def create(self, overwrite: bool = False) -> OutputStream:
        path = Path(path_of(self.location))
        try:
            return DurableStream(path, overwrite)
        except FileNotFoundError:
            make_directory(path.parent)
            return DurableStream(path, overwrite)


class DurableStream(OutputStream):
    """A buffered output that is on disk, name and bytes, once `close` has returned."""

    def __init__(self, path: Path, overwrite: bool) -> None:
        self._path = path
        self._file: BinaryIO = path.open("wb" if overwrite else "xb", buffering=_BUFFER_BYTES)

    @property
    def closed(self) -> bool:
        return self._file.closed

    def write(self, b: bytes) -> int:
        return self._file.write(b)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        if self._file.closed:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        sync_directory(self._path.parent)

    def __enter__(self) -> DurableStream:
        return self

    def __exit__(
        self, exctype: type[BaseException] | None, excinst: BaseException | None, exctb: TracebackType | None
    ) -> None:
        self.close()


def delete_files(io: FileIO, locations: Iterable[str]) -> list[str]:
    """Delete files as far as possible; returns those that could not be deleted. One that is gone already is deleted."""
    left = []
    for location in locations:
        try:
            io.delete(location)
        except FileNotFoundError:
            continue
        except OSError:
            left.append(location)
    return left
