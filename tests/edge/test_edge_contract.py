"""What producers are promised: statuses, their order, and what is stored. Numbers name conformance cases (C…) and
cases of the reference edge's own suite (R…)."""

from __future__ import annotations

import gzip
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import DOCUMENT, Client, Edge, bodies, open_log, request, stored

from catchment.clock import ManualClock, SystemClock
from catchment.config import load
from catchment.errors import BadConfig
from catchment.events import Events
from catchment.ingestion.edge.settings import EdgeSettings
from catchment.ingestion.edge.worker import EdgeWorker
from catchment.log.embedded.log import EmbeddedLog
from catchment.log.port import TopicPartition

LONGEST_BODY = 1024 * 1024


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    log = open_log(tmp_path / "log")
    yield log
    log.close()


@pytest.fixture
def edge(log: EmbeddedLog) -> Iterator[Edge]:
    with Edge(log) as edge:
        yield edge


@pytest.mark.parametrize("method", [b"POST", b"PUT"])
def test_c1_c2_a_submission_is_answered_ok_and_stored_whole(edge: Edge, log: EmbeddedLog, method: bytes) -> None:
    before_ns = time.time_ns()
    with edge.client() as client:
        client.send(request(b"{}", DOCUMENT + b"?v=4", method))
        answer = client.answer()
    assert answer is not None
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"OK", "text/plain")
    (found,) = stored(log)
    assert [(field.name, field.value) for field in found.fields] == [
        ("remote_addr", "127.0.0.1"),
        ("uri", DOCUMENT.decode()),
        ("args", "v=4"),
        ("protocol", "HTTP/1.1"),
        ("Content-Length", "2"),
        ("Host", "edge"),
        ("content", b"{}"),
    ]
    assert (found.logger, found.type, found.hostname, len(found.uuid)) == ("moz_ingest", "raw", "edge-1", 16)
    assert before_ns <= found.timestamp <= time.time_ns()


def test_c3_without_a_query_there_is_no_args_field(edge: Edge, log: EmbeddedLog) -> None:
    assert edge.answers(request(), request(target=DOCUMENT + b"?")) == [200, 200]
    assert [found.field("args") for found in stored(log)] == [None, None]


@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"OPTIONS", b"PATCH", b"BREW", b"post"])
def test_c4_another_method_on_a_submit_path_is_405_with_allow(edge: Edge, log: EmbeddedLog, method: bytes) -> None:
    with edge.client() as client:
        client.send(b"%b %b HTTP/1.1\r\nHost: a\r\n\r\n" % (method, DOCUMENT))
        answer = client.answer()
    assert answer is not None
    assert (answer.status, answer.headers["allow"]) == (405, "POST, PUT")
    assert stored(log) == []


def test_c5_a_chunked_body_is_accepted_and_a_missing_length_is_411(edge: Edge, log: EmbeddedLog) -> None:
    head = b"POST /submit/a HTTP/1.1\r\nHost: a\r\n"
    assert edge.answers(head + b"\r\n") == [411]
    assert edge.answers(head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: b\r\n\r\n") == [
        200
    ]
    assert bodies(log) == [b"abcde"]


def test_c6_an_empty_body_is_stored(edge: Edge, log: EmbeddedLog) -> None:
    assert edge.answers(request(b"")) == [200]
    assert bodies(log) == [b""]


def test_c7_the_longest_body_passes_and_one_byte_more_is_413_unread(edge: Edge, log: EmbeddedLog) -> None:
    body = bytes(range(256)) * (LONGEST_BODY // 256)
    with edge.client() as client:
        assert client.submit(body) == 200
        client.send(b"POST /submit/a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (LONGEST_BODY + 1))
        assert client.status() == 413
        assert client.answer() is None
    head = b"POST /submit/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert edge.answers(head + b"%x\r\n" % LONGEST_BODY + body + b"\r\n1\r\n") == [413]
    assert bodies(log) == [body]


def test_c8_the_longest_uri_passes_and_one_byte_more_is_414(edge: Edge, log: EmbeddedLog) -> None:
    path = b"/submit/" + b"x" * 1040
    longest = path + b"?" + b"y" * (2048 - len(path) - 1)
    with edge.client() as client:
        for method in (b"POST", b"PUT", b"POST", b"PUT"):
            assert client.submit(target=longest, method=method) == 200
            assert client.submit(target=longest + b"y", method=method) == 414
    assert len(stored(log)) == 4


def test_c9_the_first_fault_in_order_decides(edge: Edge) -> None:
    long_uri, wide = b"/submit/" + b"x" * 4000, b"User-Agent: %b\r\n" % (b"u" * 1025)
    big = b"Content-Length: 99999999\r\n"

    def status(method: bytes, target: bytes, headers: bytes) -> list[int]:
        return edge.answers(b"%b %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (method, target, headers))

    assert status(b"GET", long_uri, wide + big) == [405]
    assert status(b"POST", long_uri, wide) == [411]
    assert status(b"POST", long_uri, wide + big) == [414]
    assert status(b"POST", b"/submit/a", wide + big) == [413]
    assert status(b"POST", b"/submit/a", wide + b"Content-Length: 2\r\n") == [431]
    assert status(b"POST", b"/other" + long_uri, wide + big) == [404]


def test_c11_c12_c24_operational_paths_and_no_others(edge: Edge) -> None:
    with edge.client() as client:
        for path, status in (
            (b"/status", 200), (b"/__heartbeat__", 200), (b"/__lbheartbeat__", 200), (b"/__version__", 200),
            (b"/metrics", 404), (b"/nothing", 404), (b"/submitx", 404), (b"/status/", 404), (b"/", 404),
        ):  # fmt: skip
            client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            answer = client.answer()
            assert answer is not None
            assert answer.status == status, path
            client.send(b"HEAD %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            only_head = client.answer(is_head=True)
            assert only_head is not None
            assert (only_head.status, only_head.headers["content-length"]) == (status, str(len(answer.body)))
        client.send(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.answer()
        assert answer is not None and answer.body == b"OK"
        assert client.submit(target=b"/status") == 405
        assert client.submit(target=b"/nothing") == 404


@pytest.mark.parametrize(
    "body", [b"foo", gzip.compress(b"{}"), bytes(range(256)), b"\x1f\x8b broken"], ids=["text", "gzip", "bytes", "torn"]
)
def test_c13_c14_the_body_is_stored_as_it_came(edge: Edge, log: EmbeddedLog, body: bytes) -> None:
    assert edge.answers(request(body, headers=b"Content-Encoding: gzip\r\n")) == [200]
    assert bodies(log) == [body]


def test_c15_listed_headers_are_stored_in_the_configured_spelling_and_order(edge: Edge, log: EmbeddedLog) -> None:
    sent = (
        b"POST /submit/a HTTP/1.1\r\nuser-AGENT: \t u \t\r\nCookie: c\r\nhost: h\r\ndnt: 1\r\nDNT: 0\r\nx-debug-id:\r\n"
        b"Content-Type: text/plain\r\nCONTENT-LENGTH: 2\r\nX-Forwarded-For: \xe9\r\n\r\n{}"
    )
    assert edge.answers(sent, sent) == [200, 200]
    for found in stored(log):
        assert [(field.name, field.value) for field in found.fields[3:-1]] == [
            ("Content-Length", "2"), ("DNT", "1"), ("Host", "h"), ("User-Agent", "u"), ("X-Forwarded-For", "é"),
            ("X-Debug-ID", ""),
        ]  # fmt: skip


def test_c19_the_same_document_twice_is_stored_twice(edge: Edge, log: EmbeddedLog) -> None:
    assert edge.answers(request(b"1"), request(b"1")) == [200, 200]
    assert bodies(log) == [b"1", b"1"]


def test_c21_r43_a_stored_header_may_have_1024_bytes_as_utf8(edge: Edge, log: EmbeddedLog) -> None:
    with edge.client() as client:
        for name in (b"User-Agent", b"X-Forwarded-For", b"Date", b"DNT", b"X-Source-Tags"):
            for value, status in ((b"x" * 1024, 200), (b"\xff" * 512, 200), (b"x" * 1025, 431), (b"\xff" * 513, 431)):
                client.send(request(headers=b"%b: %b\r\n" % (name, value)))
                answer = client.answer()
                assert answer is not None
                assert answer.status == status
                assert status == 200 or answer.body == b"header too large\n"
        assert client.submit(headers=b"X-Not-Stored: %b\r\n" % (b"x" * 5000)) == 200
    assert len(stored(log)) == 11


def test_r42_every_mix_of_query_body_path_and_headers_is_stored_alike(edge: Edge, log: EmbeddedLog) -> None:
    latin = bytes(byte for byte in range(32, 256) if byte != 127)
    headers = [b"", b"", b"text", latin.strip(), b"x" * 1024]
    queries = [b"", b"args", b"q" * 1024]
    sent = []
    with edge.client() as client:
        for turn in range(30):
            body = [b"", b"data", gzip.compress(b"data", mtime=0), bytes(range(256)), bytes(300_000)][turn % 5]
            path = b"/submit/" + [b"x", b"p/a/t/h", b"l" * 1015, b"a=b;c/%2F//.."][turn % 4]
            query, agent = queries[turn % 3], headers[(turn // 2) % 5]
            line = b"User-Agent: %b\r\n" % agent if turn % 10 else b""
            assert client.submit(body, target=path + b"?" + query, headers=line) == 200
            sent.append((path, query or None, agent.decode("latin-1") if line else None, body))
    assert sent == [
        (
            str(found.first("uri")).encode(),
            str(args).encode() if (args := found.first("args")) is not None else None,
            found.first("User-Agent"),
            found.first("content"),
        )
        for found in stored(log)
    ]


def test_r44_two_large_bodies_at_once_are_both_stored(edge: Edge, log: EmbeddedLog) -> None:
    first, second = b"a" * LONGEST_BODY, b"b" * LONGEST_BODY
    with edge.client() as one, edge.client() as two:
        for at in range(0, LONGEST_BODY, 256 * 1024):
            for client, body in ((one, first), (two, second)):
                whole = request(body)
                start = len(whole) - LONGEST_BODY if at else 0
                client.send(whole[start + at : len(whole) - LONGEST_BODY + at + 256 * 1024])
        assert (one.status(), two.status()) == (200, 200)
    assert sorted(bodies(log)) == [first, second]


def test_expect_100_continue_is_answered_before_the_body(edge: Edge, log: EmbeddedLog) -> None:
    with edge.client() as client:
        whole = request(b"abc", headers=b"Expect: 100-continue\r\n")
        client.send(whole[:-3])
        assert client.status() == 100
        client.send(b"abc")
        assert client.status() == 200
        client.send(request(b"x", target=b"/submit/" + b"x" * 3000, headers=b"Expect: 100-continue\r\n")[:-1])
        assert client.status() == 414
        assert client.answer() is None
    assert edge.answers(request(headers=b"Expect: tea\r\n")) == [417]
    assert bodies(log) == [b"abc"]


def test_pipelined_requests_of_different_fate_are_answered_in_order(edge: Edge, log: EmbeddedLog) -> None:
    line = [
        (request(b"1"), 200),
        (b"GET /submit/a HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (request(b"2"), 200),
        (request(b"dropped", target=b"/submit/" + b"x" * 3000), 414),
        (b"GET /__version__ HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (request(b"3"), 200),
        (b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    ] * 20
    assert edge.answers(b"".join(sent for sent, _ in line)) == [status for _, status in line]
    assert bodies(log) == [b"1", b"2", b"3"] * 20


def test_http_1_0_and_connection_close_end_the_connection_after_the_answer(edge: Edge, log: EmbeddedLog) -> None:
    for sent in (request(b"0", version=b"1.0"), request(b"1", headers=b"Connection: foo, Close\r\n")):
        with edge.client() as client:
            client.send(sent + request(b"never read"))
            answer = client.answer()
            assert answer is not None
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert client.answer() is None
    assert edge.answers(b"POST /submit/a HTTP/1.0\r\nContent-Length: 1\r\n\r\nx") == [200]
    assert [(found.first("protocol"), found.first("content")) for found in stored(log)] == [
        ("HTTP/1.0", b"0"), ("HTTP/1.1", b"1"), ("HTTP/1.0", b"x"),
    ]  # fmt: skip


def test_an_absolute_target_and_an_upgrade_offer_are_ordinary_submissions(edge: Edge, log: EmbeddedLog) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    assert edge.answers(request(b"1", target=b"http://edge:80/submit/a?b"), request(b"2", headers=upgrade)) == [
        200,
        200,
    ]
    assert [found.first("uri") for found in stored(log)] == ["/submit/a", DOCUMENT.decode()]


def test_the_answers_carry_a_date_and_the_clock_turns_it(log: EmbeddedLog) -> None:
    clock = ManualClock()
    with Edge(log, clock, keep_alive_s=10_000.0) as edge, edge.client() as client:
        dates = []
        for _ in range(2):
            client.send(request())
            answer = client.answer()
            assert answer is not None
            dates.append(answer.headers["date"])
            clock.advance(3600)
            client.send(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.status() == 200
        assert dates[0] == "Fri, 14 Jul 2017 02:40:00 GMT"
        assert [found.timestamp for found in stored(log)] == [1_500_000_000_000_000_000, 1_500_003_600_000_000_000]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_the_same_bytes_mean_the_same_wherever_they_are_cut(edge: Edge, log: EmbeddedLog, data: st.DataObject) -> None:
    several = st.lists(
        st.sampled_from(
            [
                request(b"one"), request(b"two", headers=b"DNT: 1\r\n"), request(b"", method=b"PUT"),
                b"POST /submit/c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                b"GET /submit/a HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n" + request(b"x", target=b"/submit/" + b"y" * 3000),
            ]
        ),
        min_size=1, max_size=4,
    )  # fmt: skip
    whole = b"".join(data.draw(several)) + data.draw(st.sampled_from([b"", b"garbage\r\n\r\n"]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    start = len(stored(log))
    statuses = edge.answers(whole)
    middle = len(stored(log))
    assert edge.answers(*pieces) == statuses
    found = bodies(log)
    assert found[start:middle] == found[middle:]
    assert statuses.count(200) == middle - start


def test_a_list_of_namespaces_closes_all_other_paths(log: EmbeddedLog) -> None:
    def post(target: bytes, method: bytes = b"POST") -> bytes:
        return request(target=target, method=method)

    with Edge(log, namespaces=("telemetry", "foo-x")) as edge:
        for target, status in (
            (DOCUMENT, 200), (DOCUMENT + b"?v=4", 200), (b"/submit/foo-x/", 200), (b"/submit/foo-x/a/1/b", 200),
            (b"/submit", 404), (b"/submit/", 404), (b"/submit/foo-x", 404), (b"/submit/foo/a/1/b", 404),
            (b"/submit/foo-xy/a/1/b", 404), (b"/submit/Telemetry/a/1/b", 404), (b"/submit/\xff/a", 400),
            (b"/submitted/telemetry/a", 404), (b"//submit/telemetry/a", 404), (b"/status", 405),
        ):  # fmt: skip
            assert edge.answers(post(target)) == [status], target
            assert edge.answers(b"\r\n" + post(target)) == [status], target  # not by the short cut
        assert edge.answers(post(b"/submit/bar/a/1/b", b"GET"), post(DOCUMENT, b"GET")) == [404, 405]
    assert len(stored(log)) == 8
    with pytest.raises(BadConfig, match=r"namespaces.*'a/b' cannot be a namespace"):
        load({"edge": EdgeSettings}, environment={"CATCHMENT_EDGE__NAMESPACES": "a/b"})


def test_r14_a_header_name_over_256_bytes_stops_the_start() -> None:
    for bad in ("x" * 257, "a b", "", "DNT,dnt"):
        with pytest.raises(BadConfig, match="headers"):
            load({"edge": EdgeSettings}, environment={"CATCHMENT_EDGE__HEADERS": bad or "é"})


def test_a_taken_port_is_refused_by_name(edge: Edge, tmp_path: Path) -> None:
    other = open_log(tmp_path / "other")
    worker = EdgeWorker(EdgeSettings(port=edge.port), 0, other, SystemClock(), Events("edge"))
    with pytest.raises(BadConfig, match=re.escape(f"127.0.0.1:{edge.port} cannot be bound")):
        worker.run(lambda port: None)
    other.close()


def test_two_workers_share_a_port_and_each_owns_a_partition(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    with socket.socket() as holder:  # keeps a free port from others without listening on it
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        chosen = EdgeSettings(port=holder.getsockname()[1], workers=2)
        workers = [EdgeWorker(chosen, number, log, SystemClock(), Events("edge")) for number in range(2)]
        ready = threading.Semaphore(0)
        threads = [threading.Thread(target=worker.run, args=(lambda port: ready.release(),)) for worker in workers]
        for thread in threads:
            thread.start()
        for _ in workers:
            assert ready.acquire(timeout=20)
        for turn in range(40):
            with Client(chosen.port) as client:
                assert client.submit(b"%d" % turn) == 200
    for worker, thread in zip(workers, threads, strict=True):
        worker.stop()
        thread.join(20)
    found = {one.first("content") for number in range(2) for one in stored(log, TopicPartition("raw", number))}
    assert found == {b"%d" % turn for turn in range(40)}
    log.close()
