"""The `KeyValue` port: what every backend promises.

A *key* is `<space>/<name>`, at most 1024 bytes of UTF-8: a space keeps together what is listed together, and a store
that spreads its load does so by space. A *value* is at most 350,000 bytes. An entry may have an end: from then on it is
as if it were not there, by the clock of whoever asks, whenever the store removes it.

Backends: `sqlite` (a file of this machine), `dynamodb`. The contract suite in `tests/keyvalue` runs over each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from catchment.errors import Malformed, TooLarge

MAX_KEY_BYTES = 1024
MAX_VALUE_BYTES = 350_000


class Entry(NamedTuple):
    key: str
    value: bytes


class KeyValue(Protocol):
    """Safe to use from several processes and threads. What a backend cannot do now raises Unavailable, Busy or Full;
    a key of another form raises Malformed, one or a value that is too long TooLarge."""

    def get(self, key: str) -> bytes | None:
        """The value, None when there is none. Sees what was put before it was called, by whomever."""
        ...

    def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        """Make this the value, until `ttl_s` from now; None: until it is changed. Durable when it returns."""
        ...

    def put_if(self, key: str, value: bytes, expected: bytes | None, ttl_s: float | None = None) -> bool:
        """`put`, unless the value is another than `expected` (None: there is none); whether it did. Of several callers
        who expect the same, one does. Raises Unknown when the store was lost before it answered: read back."""
        ...

    def delete(self, key: str) -> None:
        """Remove the entry; one that is gone is deleted."""
        ...

    def scan(self, prefix: str) -> Iterator[Entry]:
        """The entries whose keys begin with `prefix`, which holds the space and its `/`; ordered by the bytes of their
        keys. What changes meanwhile may be in it or not."""
        ...

    def close(self) -> None: ...


def space_of(key: str) -> str:
    """The space of a key or of a prefix. Raises Malformed, TooLarge."""
    space, slash, _ = key.partition("/")
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise Malformed(f"key {key!r:.80}: has no UTF-8 form; encode what is no text") from error
    if not slash or not space:
        raise Malformed(f"key {key!r:.80}: must be a space, `/` and a name, like `limits/shop.order`")
    if size > MAX_KEY_BYTES:
        raise TooLarge(f"key {key!r:.80}: has {size} bytes, must have at most {MAX_KEY_BYTES}")
    return space


def check(key: str, value: bytes) -> None:
    """Raises what `put` raises for an entry that no backend takes."""
    space_of(key)
    if len(value) > MAX_VALUE_BYTES:
        raise TooLarge(
            f"value of {key!r:.80}: has {len(value)} bytes, must have at most {MAX_VALUE_BYTES}; put it into the "
            "object store and its key here"
        )
