"""Which records of one partition are confirmed: in any order, since records go to many partitions."""

from __future__ import annotations

from collections import deque


class Progress:
    """Offsets on their way, in order."""

    def __init__(self) -> None:
        self._sent: deque[int] = deque()
        self._confirmed: set[int] = set()
        self._end: int | None = None

    def sent(self, offset: int) -> None:
        self._sent.append(offset)
        self._end = offset + 1

    def confirmed(self, offset: int) -> None:
        self._confirmed.add(offset)
        while self._sent and self._sent[0] in self._confirmed:
            self._confirmed.discard(self._sent.popleft())

    @property
    def checkpoint(self) -> int | None:
        """Everything below is confirmed; None before the first record."""
        return self._sent[0] if self._sent else self._end

    @property
    def waiting(self) -> int:
        """Records that are not confirmed, or stand behind one that is not."""
        return len(self._sent)
