"""What a 200 is worth: killed processes, full disks, slow disks, clients that vanish, stops."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from serving import PATIENCE_S, RAW, Client, Edge, GatedLog, bodies, open_log, request

from catchment.clock import ManualClock
from catchment.errors import Busy, Closed, Full, Unavailable
from catchment.log.embedded.log import EmbeddedLog

SERVE = Path(__file__).parent / "serve_process.py"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    log = open_log(tmp_path / "log")
    yield log
    log.close()


@contextmanager
def edge_process(root: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen(
        [sys.executable, str(SERVE), str(root), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


class Producer(threading.Thread):
    """Sends numbered submissions on one connection and remembers which were answered 200."""

    def __init__(self, port: int, name: bytes, at_count: threading.Semaphore) -> None:
        super().__init__()
        self._client = Client(port)
        self._name = name
        self._at_count = at_count
        self.answered: list[bytes] = []
        self.sent: list[bytes] = []

    def run(self) -> None:
        with self._client as client:
            for turn in range(100_000):
                body = b"%b-%d;" % (self._name, turn) * (1 + turn % 50)
                self.sent.append(body)
                try:
                    client.send(request(body))
                    answer = client.answer()
                except (OSError, AssertionError):
                    return
                if answer is None:
                    return
                assert answer.status == 200
                self.answered.append(body)
                self._at_count.release()


@pytest.mark.parametrize("answers_before", [1, 300, 1500])
def test_after_a_kill_each_answered_submission_is_there_once(tmp_path: Path, answers_before: int) -> None:
    root = tmp_path / "log"
    root.mkdir()
    counted = threading.Semaphore(0)
    with edge_process(root) as (process, port):
        producers = [Producer(port, b"p%d" % number, counted) for number in range(8)]
        for producer in producers:
            producer.start()
        for _ in range(answers_before):
            assert counted.acquire(timeout=PATIENCE_S)
        process.kill()
        for producer in producers:
            producer.join(PATIENCE_S)
    log = open_log(root)
    log.open_writer(RAW).close()  # mends a torn tail, as the next worker does
    found = Counter(bodies(log))
    log.close()
    answered = [body for producer in producers for body in producer.answered]
    sent = {body for producer in producers for body in producer.sent}
    assert len(answered) >= answers_before
    assert [body for body in answered if found[body] != 1] == []
    assert set(found) <= sent
    assert max(found.values()) == 1


def test_a_disk_that_is_really_full_is_507_with_nothing_half_written_and_recovers(tmp_path: Path) -> None:
    root = tmp_path / "log"
    root.mkdir()
    accepted = []
    with edge_process(root, str(3 * 1024 * 1024)) as (process, port):
        with Client(port) as client:
            for turn in range(8):
                body = random.Random(turn).randbytes(800 * 1024)
                client.send(request(body))
                answer = client.answer()
                assert answer is not None
                if answer.status == 200:
                    accepted.append(body)
                    continue
                assert answer.status == 507
                assert answer.headers["retry-after"] == "30"
                limits = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)
                assert client.submit(body) == 200
                accepted.append(body)
                break
            else:
                pytest.fail("the limit was never met")
        process.terminate()
        process.wait(PATIENCE_S)
    log = open_log(root)
    assert bodies(log) == accepted
    log.close()


@pytest.mark.parametrize(
    ("error", "status"),
    [(Full("full"), 507), (Unavailable("broken"), 507), (Busy("queue"), 503), (Closed("closed"), 503)],
)
def test_c18_c23_what_the_log_refuses_is_answered_so_that_clients_send_again(
    log: EmbeddedLog, error: Full | Unavailable | Busy | Closed, status: int
) -> None:
    gated = GatedLog(log)
    with Edge(gated) as edge, edge.client() as client:
        assert client.submit(b"before") == 200
        gated.writer.refusal = error
        for _ in range(3):
            client.send(request(b"refused"))
            answer = client.answer()
            assert answer is not None
            assert (answer.status, answer.headers["retry-after"]) == (status, "30")
        client.send(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.status() == (200 if isinstance(error, Busy) else 500)
        gated.writer.refusal = None
        assert client.submit(b"after") == 200
        client.send(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.status() == 200
    assert bodies(log) == [b"before", b"after"]


def test_no_answer_is_given_before_the_flush(log: EmbeddedLog) -> None:
    gated = GatedLog(log)
    with Edge(gated) as edge, edge.client() as client, edge.client() as gone:
        gated.writer.hold()
        client.send(request(b"waits"))
        assert gated.writer.submitted.acquire(timeout=PATIENCE_S)
        client.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.socket.recv(1)
        client.socket.settimeout(PATIENCE_S)
        gone.send(request(b"gone"))
        assert gated.writer.submitted.acquire(timeout=PATIENCE_S)
        gone.socket.close()
        gated.writer.let_go()
        assert client.status() == 200
        assert client.submit(b"after a client vanished") == 200
    assert sorted(bodies(log)) == [b"after a client vanished", b"gone", b"waits"]


def test_refusals_wait_behind_an_unflushed_submission(log: EmbeddedLog) -> None:
    gated = GatedLog(log)
    with Edge(gated) as edge, edge.client() as client:
        gated.writer.hold()
        client.send(request(b"1"))
        assert gated.writer.submitted.acquire(timeout=PATIENCE_S)
        client.send(
            b"GET /submit/a HTTP/1.1\r\nHost: a\r\n\r\n" + request(b"2", headers=b"Expect: 100-continue\r\n")[:-1]
        )
        with edge.client() as other:
            other.send(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n")
            assert other.status() == 200
        gated.writer.let_go()
        assert [client.status() for _ in range(3)] == [200, 405, 100]
        client.send(b"2")
        assert client.status() == 200


def test_a_log_that_does_not_answer_is_503_in_time(log: EmbeddedLog) -> None:
    gated, clock = GatedLog(log), ManualClock()
    with Edge(gated, clock) as edge, edge.client() as client:
        gated.writer.hold()
        client.send(request(b"1"))
        assert gated.writer.submitted.acquire(timeout=PATIENCE_S)
        clock.advance(11)
        with edge.client() as other:
            other.send(b"GET /__heartbeat__ HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = other.answer()
            assert answer is not None
            assert answer.status == 500
            assert b"flush_overdue" in answer.body
        clock.advance(50)
        assert client.status() == 503
        gated.writer.let_go()
        assert client.submit(b"2") == 200
    assert bodies(log) == [b"1", b"2"]


def test_memory_is_bounded_by_refusing_bodies_and_by_not_reading(log: EmbeddedLog) -> None:
    gated = GatedLog(log)
    limit = 1024 * 1024
    with Edge(gated, max_in_flight_bytes=limit) as edge, edge.client() as slow, edge.client() as other:
        slow.send(request(bytes(700_000))[:-1])
        with edge.client() as probe:
            probe.send(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n")
            assert probe.status() == 200
        other.send(request(bytes(400_000)))
        assert other.status() == 503
        slow.send(b"\0")
        assert slow.status() == 200

        gated.writer.hold()
        slow.send(request(bytes(600_000)))
        assert gated.writer.submitted.acquire(timeout=PATIENCE_S)
        assert gated.writer.submitted.acquire(timeout=PATIENCE_S)
        with edge.client() as held:
            held.send(request(b"held"))
            gated.writer.let_go()
            assert slow.status() == 200
            assert held.status() == 200
    assert [len(body) for body in bodies(log)] == [700_000, 600_000, 4]


def test_a_client_that_does_not_read_is_ended(log: EmbeddedLog) -> None:
    clock = ManualClock()
    with Edge(log, clock) as edge, edge.client() as client:
        many = b"GET /submit/a HTTP/1.1\r\nHost: a\r\n\r\n" * 20_000
        client.socket.settimeout(0.2)
        for _ in range(200):
            try:
                client.send(many)
            except TimeoutError:
                clock.advance(11)
            except ConnectionError:
                break
        else:
            pytest.fail("the connection was never ended")
        with edge.client() as other:
            assert other.submit() == 200


def test_connections_over_the_limit_are_503(log: EmbeddedLog) -> None:
    with Edge(log, max_connections=2) as edge, edge.client() as one, edge.client() as two:
        assert (one.submit(), two.submit()) == (200, 200)
        with edge.client() as third:
            assert third.status() == 503
            assert third.answer() is None
        assert one.submit() == 200
    assert len(bodies(log)) == 3


def test_a_drain_finishes_what_was_begun_and_refuses_the_rest(log: EmbeddedLog) -> None:
    gated = GatedLog(log)
    with Edge(gated, drain_s=PATIENCE_S) as edge:
        idle, waiting, sending, late = (edge.client() for _ in range(4))
        assert idle.submit(b"idle") == 200
        gated.writer.submitted.acquire(timeout=PATIENCE_S)
        gated.writer.hold()
        waiting.send(request(b"waiting"))
        assert gated.writer.submitted.acquire(timeout=PATIENCE_S)
        sending.send(request(b"sending")[:-3])
        late.send(request(b"late")[:10])
        with edge.client() as probe:
            probe.send(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n")
            assert probe.status() == 200
        edge.stop()
        assert idle.answer() is None
        with pytest.raises(ConnectionRefusedError):
            edge.client()
        late.send(request(b"late")[10:])
        answer = late.answer()
        assert answer is not None
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        sending.send(b"ing")
        gated.writer.let_go()
        for client in (waiting, sending):
            answer = client.answer()
            assert answer is not None
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert client.answer() is None
        edge.join()
        for client in (idle, waiting, sending, late):
            client.socket.close()
    assert bodies(log) == [b"idle", b"waiting", b"sending"]
    assert "edge_drained" in edge.told.getvalue()


def test_a_drain_ends_at_its_deadline(log: EmbeddedLog) -> None:
    with Edge(log, drain_s=0.1) as edge, edge.client() as client:
        client.send(request(b"never whole")[:-1])
        edge.stop()
        assert client.answer() is None
        edge.join()
    assert "edge_drain_cut" in edge.told.getvalue()
    assert bodies(log) == []


def test_sigterm_drains_a_process_and_frees_its_partition(tmp_path: Path) -> None:
    root = tmp_path / "log"
    root.mkdir()
    with edge_process(root) as (process, port), Client(port) as client:
        assert client.submit(b"1") == 200
        process.terminate()
        assert client.answer() is None
        assert process.wait(PATIENCE_S) == 0
    log = open_log(root)
    assert bodies(log) == [b"1"]
    with Edge(log) as edge, edge.client() as client:
        assert client.submit(b"2") == 200
    assert bodies(log) == [b"1", b"2"]
    log.close()


def test_low_disk_makes_the_edge_unhealthy(log: EmbeddedLog, tmp_path: Path) -> None:
    with Edge(log, directory=tmp_path, min_free_bytes=1 << 60) as edge, edge.client() as client:
        client.send(b"GET /__heartbeat__ HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.answer()
        assert answer is not None
        assert answer.status == 500
        assert b"disk_low" in answer.body
        assert client.submit() == 200
