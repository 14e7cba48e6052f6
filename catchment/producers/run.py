"""A run of the fleet: paced, over several connections, until it has sent enough or is told to stop.

Each connection takes the next delivery when it is due, sends it, and sends it again, the same bytes with the same
document id, when it is answered 5xx, 408 or 429, or not at all: after 0.5 s, twice that, and so on up to
`last_backoff_s`, or when Retry-After says. When told to stop, no new ping is begun, those that wait for their turn
to be sent again are sent once more at once, and the run ends when all are answered or given up, after FINISH_S for an
attempt at the most.

A fleet that was held up does not catch up, but for a second's worth: it goes on at its rate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from catchment.clock import Clock
from catchment.errors import Malformed, Unavailable
from catchment.producers.connection import Address, Answer, Connection
from catchment.producers.fleet import Delivery
from catchment.producers.settings import SimulateSettings
from catchment.producers.submission import Submission
from catchment.producers.tally import Outcome, Record, Tally

TRY_AGAIN = frozenset({408, 425, 429})
"""Answers below 500 after which the same request may succeed."""
FINISH_S = 10.0
"""Longest wait for an answer once the run is to stop; two of them end before a supervisor loses its patience."""
_NO_LIMIT = float("inf")
Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run ends by itself: after so many pings or seconds. None: no limit."""

    count: int | None = None
    duration_s: float | None = None


class Run:
    """One run. `stop()` may be called from a signal handler of the loop, more than once."""

    def __init__(
        self,
        settings: SimulateSettings,
        address: Address,
        deliveries: Iterator[Delivery],
        limits: Limits,
        clock: Clock,
        record: Record | None = None,
        pause: Pause | None = None,
    ) -> None:
        self._settings = settings
        self._address = address
        self._deliveries = deliveries
        self._clock = clock
        self._record = record
        self._pause = pause or self._wait
        self._left = _NO_LIMIT if limits.count is None else limits.count
        self._lasts_s = _NO_LIMIT if limits.duration_s is None else limits.duration_s
        self._due_s = 0.0
        self._ends_s = _NO_LIMIT
        self._connections: list[Connection] = []
        self._turn = asyncio.Lock()
        self._stopping = asyncio.Event()
        self.tally = Tally()

    def stop(self) -> None:
        """Begin no more pings; what is under way is finished."""
        if not self._stopping.is_set():
            self._stopping.set()
            for connection in self._connections:
                connection.hurry(FINISH_S)

    async def go(self, on_begin: Callable[[], None] = lambda: None) -> Tally:
        """Send until the limits are reached or `stop` is called. `on_begin` is called once the edge has been reached.

        Raises Unavailable when the edge cannot be reached at the start; later it is waited for.
        """
        self._connections = [Connection(self._address) for _ in range(self._settings.connections)]
        await self._reach(self._connections[0])
        begun_s = self._due_s = self._clock.monotonic_s()
        self._ends_s = begun_s + self._lasts_s
        on_begin()
        try:
            async with asyncio.TaskGroup() as tasks:
                for connection in self._connections:
                    tasks.create_task(self._serve(connection))
        finally:
            for connection in self._connections:
                connection.close()
        self.tally.seconds = self._clock.monotonic_s() - begun_s
        return self.tally

    async def _reach(self, connection: Connection) -> None:
        url = f"{'https' if self._address.is_encrypted else 'http'}://{self._address.host_header}{self._address.path}"
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await connection.open()
        except (OSError, TimeoutError) as error:
            why = "connection refused" if isinstance(error, ConnectionRefusedError) else str(error) or "no answer"
            raise Unavailable(
                f"no edge at {url}: {why}; start the platform with `catchment up`, or name another edge with --url"
            ) from error

    async def _serve(self, connection: Connection) -> None:
        while (delivery := await self._next()) is not None:
            outcome = await self._deliver(connection, delivery.submission)
            expected = self.tally.count(delivery, outcome)
            if self._record is not None:
                self._record.write(delivery, expected, outcome)

    async def _next(self) -> Delivery | None:
        """The next delivery once it is due; None when the run ends."""
        async with self._turn:
            now_s = self._clock.monotonic_s()
            if self._settings.rate:
                self._due_s = max(self._due_s, now_s - 1.0)
                wait_s = min(self._due_s, self._ends_s) - now_s
                if wait_s > 0 and self._left > 0 and not self._stopping.is_set():
                    await self._pause(wait_s)
                self._due_s += 1 / self._settings.rate
            if self._stopping.is_set() or self._left <= 0 or self._clock.monotonic_s() >= self._ends_s:
                return None
            self._left -= 1
            return next(self._deliveries)

    async def _deliver(self, connection: Connection, submission: Submission) -> Outcome:
        """Send until it is answered for good, at most `attempts` times."""
        request = request_of(submission, self._address)
        backoff_s, attempt, status = self._settings.first_backoff_s, 0, None
        while True:
            attempt += 1
            is_last = attempt >= self._settings.attempts or self._stopping.is_set()
            answer = await self._try(connection, request)
            if answer is not None:
                status = answer.status
                if status < 500 and status not in TRY_AGAIN:
                    return Outcome(status, attempt)
            if is_last:
                return Outcome(status, attempt, is_given_up=True)
            asked_s = min(answer.retry_after_s, self._settings.longest_wait_s) if answer is not None else 0.0
            await self._pause(max(backoff_s, asked_s))
            backoff_s = min(backoff_s * 2, self._settings.last_backoff_s)

    async def _try(self, connection: Connection, request: bytes) -> Answer | None:
        """The answer, or None when there was none."""
        try:
            longest_s = min(self._settings.timeout_s, FINISH_S if self._stopping.is_set() else _NO_LIMIT)
            return await connection.send(request, longest_s)
        except (OSError, TimeoutError, Malformed):
            return None

    async def _wait(self, seconds: float) -> None:
        """Until the time is over or the run is to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def request_of(submission: Submission, address: Address) -> bytes:
    """The whole request; the same for each attempt."""
    lines = [f"POST {address.path}{submission.target} HTTP/1.1", f"Host: {address.host_header}"]
    lines += [f"{name}: {value}" for name, value in submission.headers.items()]
    lines += [f"Content-Length: {len(submission.body)}", "Connection: keep-alive", "", ""]
    return "\r\n".join(lines).encode("latin-1") + submission.body
