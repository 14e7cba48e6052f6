"""A run against a server on a real socket: what is sent again, when it is given up, how it ends, what it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest
from scripted_edge import HANG_UP, OK, Reply, ScriptedEdge, answer, target

from catchment.clock import ManualClock, SystemClock
from catchment.errors import BadConfig, Unavailable
from catchment.producers.connection import Address, read_address
from catchment.producers.fleet import Delivery, Fleet
from catchment.producers.run import Limits, Run
from catchment.producers.settings import SimulateSettings
from catchment.producers.tally import Record, Tally

PATIENCE_S = 20.0
CLOSES = b"HTTP/1.1 503 Stopping\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
ENDS = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nOK"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n"
CONTINUES = b"HTTP/1.1 100 Continue\r\n\r\n" + OK


class Trial:
    """One run against one scripted edge; pauses are noted and do not take time."""

    def __init__(self, reply: Reply, limits: Limits, record: Path | None = None, **settings: Any) -> None:
        self.edge = ScriptedEdge(reply)
        self.pauses: list[float] = []
        self._limits = limits
        self._settings = SimulateSettings(**{"rate": 0.0, "connections": 1, "clients": 30, **settings})
        self._record = Record(record, ManualClock()) if record else None
        self.run: Run
        self.tally: Tally

    def deliveries(self) -> Iterator[Delivery]:
        settings = self._settings
        return Fleet(1, "", settings.clients).deliveries(ManualClock(), settings.invalid, settings.duplicates)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def _go(self) -> None:
        async with self.edge as edge:
            self.run = Run(
                self._settings,
                edge.address,
                self.deliveries(),
                self._limits,
                SystemClock(),
                self._record,
                self._pause,
            )
            async with asyncio.timeout(PATIENCE_S):
                self.tally = await self.run.go()

    def go(self) -> Trial:
        asyncio.run(self._go())
        if self._record:
            self._record.close()
        return self


def scripted(*answers: bytes) -> Reply:
    """These answers first, then OK."""
    return lambda number: answers[number] if number < len(answers) else OK


def test_everything_is_sent_once_and_counted() -> None:
    trial = Trial(scripted(), Limits(count=200), connections=4, invalid=0.1, duplicates=0.1).go()
    sent = list(islice(trial.deliveries(), 200))
    assert len(trial.edge.requests) == 200
    assert sorted(map(target, trial.edge.requests)) == sorted(delivery.submission.target for delivery in sent)
    assert trial.edge.connections == 4
    tally = trial.tally
    assert (tally.sent, tally.acknowledged, tally.retried, tally.given_up) == (200, 200, 0, 0)
    assert tally.wire_bytes == sum(len(delivery.submission.body) for delivery in sent)
    assert tally.json_bytes == sum(delivery.submission.json_bytes for delivery in sent)
    assert tally.duplicates == sum(delivery.is_repeat for delivery in sent) > 3
    assert tally.rows.total() == len({d.submission.document_id for d in sent if d.submission.expected == "accepted"})
    assert set(tally.rows) <= {
        *("telemetry.main_v4", "telemetry.event_v4", "telemetry.crash_v4", "telemetry.new_profile_v4"),
        *("firefox_desktop.baseline_v1", "firefox_desktop.health_v1"),
    }
    assert tally.is_as_intended


@pytest.mark.parametrize(
    "trouble",
    [answer(503), answer(507), answer(500), answer(429), answer(408), CLOSES, HANG_UP, b"SSH-2.0-OpenSSH_9.2\r\n"],
    ids=["503", "507", "500", "429", "408", "503 and close", "connection ended", "no HTTP"],
)
def test_what_was_not_acknowledged_is_sent_again_unchanged(trouble: bytes) -> None:
    trial = Trial(scripted(OK, trouble, trouble), Limits(count=3), invalid=0.0).go()
    first, *same, last = trial.edge.requests
    assert len(same) == 3
    assert same[0] == same[1] == same[2]
    assert len({target(request) for request in (first, same[0], last)}) == 3
    assert trial.pauses == [0.5, 1.0]
    tally = trial.tally
    assert (tally.sent, tally.acknowledged, tally.retried, tally.repeated_attempts) == (3, 3, 1, 2)
    assert tally.rows.total() == 3
    assert tally.is_as_intended


def test_retry_after_is_honoured_up_to_a_limit() -> None:
    told = (answer(507, Retry_After="30"), answer(503, Retry_After="99999"), answer(503, Retry_After="soon"))
    trial = Trial(scripted(*told), Limits(count=1), longest_wait_s=120.0).go()
    assert trial.pauses == [30.0, 120.0, 2.0]


def test_a_ping_is_given_up_after_its_last_attempt() -> None:
    trial = Trial(scripted(*[answer(503)] * 6), Limits(count=2), attempts=6, last_backoff_s=4.0, invalid=0.0).go()
    assert trial.pauses == [0.5, 1.0, 2.0, 4.0, 4.0]
    tally = trial.tally
    assert (tally.sent, tally.given_up, tally.acknowledged, tally.rows.total()) == (2, 1, 1, 1)
    assert not tally.is_as_intended


def test_an_answer_that_does_not_come_is_not_waited_for_for_ever() -> None:
    silence = asyncio.Event()

    async def reply(number: int) -> bytes:
        if number == 0:
            await silence.wait()
        silence.set()
        return OK

    trial = Trial(reply, Limits(count=1), timeout_s=0.05).go()
    assert trial.edge.requests[0] == trial.edge.requests[1]
    assert trial.edge.connections == 2
    assert trial.tally.is_as_intended


@pytest.mark.parametrize("said", [CHUNKED, CONTINUES, ENDS], ids=["chunked", "100 first", "HTTP/1.0"])
def test_other_servers_ways_to_answer_are_understood(said: bytes) -> None:
    trial = Trial(lambda _: said, Limits(count=3)).go()
    assert trial.tally.acknowledged == 3
    assert len(trial.edge.requests) == 3
    assert trial.edge.connections == (3 if said == ENDS else 1)


def test_a_refusal_is_not_sent_again() -> None:
    trial = Trial(scripted(answer(413), answer(404)), Limits(count=3), invalid=0.0).go()
    tally = trial.tally
    assert len(trial.edge.requests) == 3
    assert (tally.unexpected, tally.statuses[413], tally.statuses[404], tally.rows.total()) == (2, 1, 1, 1)
    assert not tally.is_as_intended


def test_a_spoiled_path_may_be_refused() -> None:
    trial = Trial(lambda _: answer(404), Limits(count=400), invalid=1.0)
    trial.go()
    intended = sum(d.submission.expected_status == 404 for d in islice(trial.deliveries(), 400))
    assert 20 < intended < 100
    assert trial.tally.unexpected == 400 - intended


def test_a_repeat_counts_as_the_document_when_the_first_was_given_up() -> None:
    found = list(islice(Fleet(1, "", 30).deliveries(ManualClock(), 0.0, 1.0), 2))
    repeat = Delivery(found[0].submission, is_repeat=True)
    trial = Trial(scripted(answer(503)), Limits(count=2), attempts=1)
    trial.deliveries = lambda: iter([found[0], repeat])  # type: ignore[method-assign]
    trial.go()
    assert (trial.tally.given_up, trial.tally.rows.total(), trial.tally.duplicates) == (1, 1, 0)


def test_the_record_tells_each_ping(tmp_path: Path) -> None:
    path = tmp_path / "sent.jsonl"
    trial = Trial(scripted(*[answer(503)] * 2), Limits(count=60), path, invalid=0.2, duplicates=0.3, attempts=2).go()
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert len(lines) == 60
    given_up, *others = lines
    assert (given_up["status"], given_up["attempts"], given_up["acknowledged_at"]) == (503, 2, None)
    assert all(line["status"] == 200 and line["acknowledged_at"] == "2017-07-14T02:40:00+00:00" for line in others)
    assert sum(line["expected"] == "invalid" for line in others) == trial.tally.errors.total() + sum(
        line["code"] == "http_404" for line in others
    )
    accepted = [line["document_id"] for line in others if line["expected"] == "accepted"]
    duplicates = [line["document_id"] for line in others if line["expected"] == "duplicate"]
    assert len(accepted) == len(set(accepted)) == trial.tally.rows.total()
    assert duplicates and set(duplicates) <= set(accepted)
    assert {"namespace", "doctype", "version", "code"} <= set(given_up)


def test_a_run_keeps_its_rate() -> None:
    """By the pauses that it asks for: the clock stands still between them."""
    clock = ManualClock()
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)
        clock.advance(seconds)

    async def go() -> Tally:
        async with ScriptedEdge(scripted()) as edge:
            settings = SimulateSettings(rate=50.0, connections=3, clients=5)
            deliveries = Fleet(1, "", 5).deliveries(clock, 0.0, 0.0)
            return await Run(settings, edge.address, deliveries, Limits(duration_s=2.0), clock, pause=pause).go()

    tally = asyncio.run(go())
    assert tally.sent in (100, 101)
    assert tally.seconds == pytest.approx(2.0)
    assert sum(waited) == pytest.approx(2.0)


def test_a_stop_finishes_what_is_under_way() -> None:
    """Three wait for their answers and one to be sent again; the stop comes; nothing new is begun, nothing is lost."""
    arrived, may_answer = asyncio.Semaphore(0), asyncio.Event()

    async def reply(number: int) -> bytes:
        if number == 0:
            return answer(503, Retry_After="100")
        arrived.release()
        await may_answer.wait()
        return OK

    async def go() -> tuple[Tally, ScriptedEdge]:
        async with ScriptedEdge(reply) as edge, asyncio.timeout(PATIENCE_S):
            settings = SimulateSettings(rate=0.0, connections=4, clients=30)
            run = Run(settings, edge.address, Fleet(1, "", 30).deliveries(ManualClock(), 0, 0), Limits(), SystemClock())
            going = asyncio.create_task(run.go())
            for _ in range(3):
                await arrived.acquire()
            run.stop()
            await arrived.acquire()  # the fourth, sent again at once
            may_answer.set()
            return await going, edge

    tally, edge = asyncio.run(go())
    assert len(edge.requests) == 5
    assert len({target(request) for request in edge.requests}) == 4
    assert (tally.sent, tally.acknowledged, tally.retried, tally.given_up) == (4, 4, 1, 0)


def test_a_stop_does_not_wait_long_for_a_silent_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catchment.producers.run.FINISH_S", 0.05)
    arrived, silence = asyncio.Event(), asyncio.Event()

    async def reply(number: int) -> bytes:
        arrived.set()
        await silence.wait()
        return OK

    async def go() -> Tally:
        async with ScriptedEdge(reply) as edge, asyncio.timeout(PATIENCE_S):
            settings = SimulateSettings(rate=0.0, connections=1, clients=30, timeout_s=1000.0)
            run = Run(settings, edge.address, Fleet(1, "", 30).deliveries(ManualClock(), 0, 0), Limits(), SystemClock())
            going = asyncio.create_task(run.go())
            await arrived.wait()
            run.stop()
            tally = await going
            silence.set()
            return tally

    tally = asyncio.run(go())
    assert (tally.sent, tally.given_up, tally.repeated_attempts) == (1, 1, 1)


def test_an_edge_that_is_not_there_is_named() -> None:
    async def go() -> None:
        async with ScriptedEdge(scripted()) as edge:
            address = edge.address
        await Run(SimulateSettings(), address, iter(()), Limits(count=1), SystemClock()).go()

    with pytest.raises(Unavailable, match=r"no edge at http://127\.0\.0\.1:\d+: connection refused; .*`catchment up`"):
        asyncio.run(go())


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://", "http://host:99999", "http://host/?a=b"])
def test_a_url_that_names_no_edge_is_refused(url: str) -> None:
    with pytest.raises(BadConfig, match="--url"):
        read_address(url)


def test_a_url_may_have_a_path_and_a_usual_port() -> None:
    assert read_address("https://telemetry.example.org/in/") == Address("telemetry.example.org", 443, True, "/in")
    assert read_address("https://telemetry.example.org/in/").host_header == "telemetry.example.org"
    assert read_address("http://[::1]:8000").host_header == "[::1]:8000"


def test_an_empty_tally_reads_well() -> None:
    assert Tally().is_as_intended
    assert Tally().lines()[1] == "answered    none"
