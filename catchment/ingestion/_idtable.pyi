from collections.abc import Callable, Sequence
from mmap import mmap
from typing import TypeVar

T = TypeVar("T")

def mark(
    sightings: Sequence[tuple[bytes, int, int, int, int]],
    half_ns: int,
    window_ns: int,
    tables: tuple[tuple[int, mmap, mmap, bytearray], ...],
    repeat: Callable[[int], T],
    /,
) -> list[T | None]: ...
def merge(index: mmap, entries: mmap, records: bytes, /) -> None: ...
def fill(index: mmap, entries: mmap, ids: int, /) -> None: ...
