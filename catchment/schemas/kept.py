"""The last good registry, kept in the home: what a restart goes on with when the sources have been broken meanwhile.

One file, `<home>/registry/last-good.zst`: zstd over JSON with the names of the sources, the time, and every file of
every source, byte for byte as Latin-1. It is replaced whole, under a lock, so any number of services may keep what they
have loaded; they all keep the same. A copy that cannot be read is as good as none, and is told.
"""

from __future__ import annotations

import fcntl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import zstandard

from catchment.directories import make_directory, replace_file
from catchment.errors import Corrupt
from catchment.schemas.sources import Tree

FILE = "registry/last-good.zst"


@dataclass(frozen=True, slots=True)
class Good:
    """A registry that was good: its trees, when it was loaded (ns since the epoch), and its identity."""

    trees: tuple[Tree, ...]
    loaded_ns: int
    identity: str


class Kept:
    """The copy in one home, for one list of sources: what was good for other sources says nothing about these."""

    def __init__(self, home: Path, sources: Sequence[str], file: str = FILE) -> None:
        self._path = home / file
        self._sources = list(sources)

    def read(self) -> Good | None:
        """The last good registry of these sources; None when there is none. Raises Corrupt."""
        try:
            packed = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Corrupt(
                f"{self._path}: the kept schemas cannot be read: {error.strerror}; delete the file"
            ) from error
        try:
            document = orjson.loads(zstandard.decompress(packed))
            if document["sources"] != self._sources:
                return None
            trees = tuple(
                Tree(
                    tree["place"],
                    {name: text.encode("latin-1") for name, text in tree["files"].items()},
                    tree["revision"],
                )
                for tree in document["trees"]
            )
            return Good(trees, document["loaded_ns"], document["identity"])
        except (zstandard.ZstdError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise Corrupt(f"{self._path}: is no copy of schemas: {error}; delete the file") from error

    def write(self, good: Good) -> None:
        """Keep this one. Raises OSError."""
        document = {
            "sources": self._sources,
            "identity": good.identity,
            "loaded_ns": good.loaded_ns,
            "trees": [
                {
                    "place": tree.place,
                    "revision": tree.revision,
                    "files": {name: content.decode("latin-1") for name, content in tree.files.items()},
                }
                for tree in good.trees
            ],
        }
        packed = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(orjson.dumps(document))
        make_directory(self._path.parent)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            replace_file(self._path, packed)


def _files(texts: Mapping[str, str]) -> dict[str, bytes]:
    return {name: text.encode("latin-1") for name, text in texts.items()}
