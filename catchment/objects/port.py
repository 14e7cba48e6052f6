"""The `ObjectStore` port: what every backend promises. A *key* is a path of names joined by `/`; an *object* is bytes
under a key, put whole and never changed.

Backends: `files` (a directory of this machine), `s3` (a bucket). The contract suite in `tests/objects` runs over each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class Stored(NamedTuple):
    """An object as a listing shows it. `modified_ns` is when it was put, ns since the epoch, UTC."""

    key: str
    size_bytes: int
    modified_ns: int


class ObjectStore(Protocol):
    """Safe to use from several processes and threads. What a backend cannot do now raises Unavailable, or Full."""

    def put(self, key: str, content: bytes) -> bool:
        """Store `content` unless the key has an object; whether it did. Durable and visible, whole, when this returns;
        after a crash there is all of it or nothing."""
        ...

    def get(self, key: str) -> bytes:
        """The whole object. Raises Missing."""
        ...

    def list(self, prefix: str) -> Iterator[Stored]:
        """Objects whose key begins with `prefix`, ordered by key. What changes meanwhile may be in it or not."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; one that is gone already is deleted."""
        ...

    def retain(self, prefix: str, days: int) -> bool:
        """Have the store itself delete objects below `prefix` once they are `days` days old; whether it does from now
        on. False: the caller deletes them. Cheap to repeat; the last call for a prefix counts."""
        ...
