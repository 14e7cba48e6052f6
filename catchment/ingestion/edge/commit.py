"""Group commit: what one turn of the event loop accepted goes to the log together, and is answered when it is durable.

    accept, accept, refuse … ─▶ submit (end of the turn) ─▶ log writer's thread: flush ─▶ answer (loop's thread)

While a flush runs, the next turns' submissions gather behind it, so the loop reads during the flush and the batch grows
with the load. Answers are given in the order of submission: a refusal behind unanswered submissions travels through the
same line. The writer's thread wakes the loop once, however many batches it has finished.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from catchment.clock import Clock
from catchment.errors import Busy, CatchmentError, Full, Unavailable, Unknown
from catchment.events import Events
from catchment.ingestion.edge.answers import BUSY, NO_SPACE, NOT_STORED, Refusal
from catchment.ingestion.edge.meters import BATCHES, FLUSHES, Meters
from catchment.log.port import Writer


class Client(Protocol):
    """Who waits for an answer."""

    def answer(self, refusal: Refusal | bytes | None) -> None:
        """Give the next answer: None for 200, a refusal, or an answer already rendered."""
        ...


Waiting = tuple[Client, bytes | None]
"""A client, and its answer when that does not depend on the log."""


class _Batch:
    __slots__ = ("clients", "outcome", "payloads", "size_bytes", "submitted_s")

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.clients: list[Waiting] = []
        self.size_bytes = 0
        self.submitted_s = 0.0
        self.outcome: range | CatchmentError | None = None


class Committer:
    """Belongs to one event loop; only `_flushed` runs on the writer's thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        writer: Writer,
        clock: Clock,
        events: Events,
        meters: Meters,
        on_submit: Callable[[], None],
        on_answered: Callable[[], None],
    ) -> None:
        """`on_submit` is called at the end of each turn that accepted something, `on_answered` after each round of
        answers."""
        self._loop = loop
        self._writer = writer
        self._clock = clock
        self._events = events
        self._meters = meters
        self._on_submit = on_submit
        self._on_answered = on_answered
        self._batch = _Batch()
        self._line: deque[_Batch] = deque()
        self._finished: deque[tuple[_Batch, range | CatchmentError]] = deque()
        self._is_waking = False
        self.pending_bytes = 0
        self.failed_s: float | None = None
        self.failure = ""

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits."""
        return not self._line and not self._batch.clients

    @property
    def oldest_wait_s(self) -> float:
        """Age of the oldest batch that the log has not answered, 0 when there is none."""
        return self._clock.monotonic_s() - self._line[0].submitted_s if self._line else 0.0

    def accept(self, client: Client, message: bytes) -> None:
        """Store `message`, then answer `client`."""
        batch = self._batch
        if not batch.clients:
            self._loop.call_soon(self._submit)
        batch.payloads.append(message)
        batch.clients.append((client, None))
        self.pending_bytes += len(message)

    def refuse(self, client: Client, answer: bytes) -> None:
        """Give `answer` to `client` behind everything accepted so far."""
        batch = self._batch
        if not batch.clients:
            self._loop.call_soon(self._submit)
        batch.clients.append((client, answer))

    def give_up(self, after_s: float) -> None:
        """Answer the batches that the log has had for more than `after_s` as not stored. What it does with them later
        is no longer told; should it store them, the clients' repeats are the same documents."""
        while self._line and self.oldest_wait_s > after_s:
            self._finish(self._line[0], Unknown(f"the log has not answered for {after_s:g} s"))

    def _submit(self) -> None:
        self._on_submit()
        batch, self._batch = self._batch, _Batch()
        batch.size_bytes = sum(map(len, batch.payloads))
        batch.submitted_s = self._clock.monotonic_s()
        self._line.append(batch)
        if not batch.payloads:
            self._finish(batch, range(0))
            return
        try:
            self._writer.submit(batch.payloads, partial(self._flushed, batch))
        except CatchmentError as error:
            self._finish(batch, error)

    def _flushed(self, batch: _Batch, outcome: range | CatchmentError) -> None:
        """The log's answer; on the writer's thread."""
        self._finished.append((batch, outcome))
        if not self._is_waking:
            self._is_waking = True
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._is_waking = False  # before the line is emptied: what comes later wakes again
        while self._finished:
            batch, outcome = self._finished.popleft()
            self._measure(batch, outcome)
            batch.outcome = outcome
        self._answer()

    def _finish(self, batch: _Batch, outcome: range | CatchmentError) -> None:
        if isinstance(outcome, CatchmentError):
            self._measure(batch, outcome)
        batch.outcome = outcome
        self._answer()

    def _measure(self, batch: _Batch, outcome: range | CatchmentError) -> None:
        FLUSHES.observe(self._clock.monotonic_s() - batch.submitted_s)
        BATCHES.observe(len(batch.payloads))
        if isinstance(outcome, range):
            self._meters.accepted += len(batch.payloads)
            self._meters.accepted_bytes += batch.size_bytes
            return
        if not isinstance(outcome, Busy):
            if self.failure != outcome.code:
                self._events.error("edge_flush_failed", code=outcome.code, error=str(outcome))
            self.failure, self.failed_s = outcome.code, self._clock.monotonic_s()

    def _answer(self) -> None:
        line = self._line
        while line and line[0].outcome is not None:
            batch = line.popleft()
            self.pending_bytes -= batch.size_bytes
            outcome = batch.outcome
            if isinstance(outcome, range):
                if self.failure and batch.payloads:
                    self._events.info("edge_flush_recovered", after=self.failure)
                    self.failure = ""
                for client, answer in batch.clients:
                    client.answer(answer)
            elif outcome is not None:
                refusal = _refusal(outcome)
                for client, answer in batch.clients:
                    client.answer(answer or refusal)
        self._on_answered()


def _refusal(error: CatchmentError) -> Refusal:
    """What a client hears of the log's error: always that it should send again."""
    if isinstance(error, Full | Unavailable):
        return NO_SPACE
    return BUSY if isinstance(error, Busy) else NOT_STORED
