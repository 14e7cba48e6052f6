"""The hostile table: what a socket can do to the edge, and what the edge answers.

After each case a neighbour on another connection still gets its 200, and the log holds exactly what was accepted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from serving import Client, Edge, bodies, open_log, request

from catchment.clock import ManualClock
from catchment.log.embedded.log import EmbeddedLog

END = None
"""The client says that it sends no more."""

Step = bytes | float | int | None
"""Bytes to send, seconds to pass (float), a status to read (int), or END."""

P = b"POST /submit/a HTTP/1.1\r\nHost: a\r\n"
CHUNKED = P + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Case:
    """`statuses` of all answers up to the end of the connection; `accepted` bodies, in order."""

    cause: str
    steps: tuple[Step, ...]
    statuses: tuple[int, ...]
    accepted: tuple[bytes, ...] = ()


def one(cause: str, sent: bytes, *statuses: int, accepted: tuple[bytes, ...] = ()) -> Case:
    return Case(cause, (sent, END), statuses, accepted)


def length(value: bytes) -> bytes:
    return P + b"Content-Length: " + value + b"\r\n\r\nabc"


CASES = [
    # request lines
    one("raw space in target (C10)", request(target=b"/submit/a b"), 400),
    one("two spaces after method", request(target=b" /submit/a"), 400),
    one("tab instead of space", b"POST\t/submit/a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    one("no version", b"POST /submit/a\r\nHost: a\r\n\r\n", 400),
    one("version 1.2", b"POST /submit/a HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    one("version 2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    one("version without dot", b"POST /submit/a HTTP/11\r\nHost: a\r\n\r\n", 400),
    one("another protocol", b"POST /submit/a RTSP/1.0\r\nHost: a\r\n\r\n", 400),
    one("lower-case protocol", b"POST /submit/a http/1.1\r\nHost: a\r\n\r\n", 400),
    one("fragment in target", request(target=b"/submit/a#b"), 400),
    one("high byte in target", request(target=b"/submit/\xff"), 400),
    one("NUL in target", request(target=b"/submit/\0"), 400),
    one("relative target", request(target=b"submit/a"), 400),
    one("authority target", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    one("asterisk target", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    one("unknown method on another path", b"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    one("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    one("binary noise", bytes(range(256)) * 4, 400),
    one("lone LF line ends", b"POST /submit/a HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc", 400),
    one("lone CR line ends", b"POST /submit/a HTTP/1.1\rHost: a\r\r", 400),
    one("empty lines before the request", b"\r\n\r\n" + request(b"1"), 200, accepted=(b"1",)),
    one("only empty lines", b"\r\n" * 1000),
    one("nothing at all", b""),
    # header lines
    one("folded header", P + b"A: b\r\n c\r\nContent-Length: 3\r\n\r\nabc", 400),
    one("space before first header", b"POST /submit/a HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    one("space before colon", P + b"Content-Length : 3\r\n\r\nabc", 400),
    one("no colon", P + b"abc\r\nContent-Length: 3\r\n\r\nabc", 400),
    one("empty header name", P + b": a\r\nContent-Length: 3\r\n\r\nabc", 400),
    one("NUL in header value", P + b"A: b\0c\r\nContent-Length: 3\r\n\r\nabc", 400),
    one("NUL in header name", P + b"A\0: b\r\nContent-Length: 3\r\n\r\nabc", 400),
    one("control character in header value", P + b"A: \x01\r\nContent-Length: 3\r\n\r\nabc", 400),
    one("lone CR in header value", P + b"A: b\rContent-Length: 0\r\nContent-Length: 3\r\n\r\nabc", 400),
    one("lone LF in header value", P + b"A: b\nContent-Length: 3\r\n\r\nabc", 400),
    one("lone LF before the empty line", P + b"Content-Length: 3\n\r\nabc", 400),
    one("no Host in HTTP/1.1", b"POST /submit/a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 400),
    one("two Hosts", P + b"Host: b\r\nContent-Length: 3\r\n\r\nabc", 400),
    one("101 headers", P + b"A: b\r\n" * 99 + b"Content-Length: 3\r\n\r\nabc", 431),
    one("100 headers", P + b"A: b\r\n" * 98 + b"Content-Length: 3\r\n\r\nabc", 200, accepted=(b"abc",)),
    one("head over 32 KiB", P + (b"A: " + b"b" * 8000 + b"\r\n") * 5 + b"Content-Length: 3\r\n\r\nabc", 431),
    one("endless header line", P + b"A: " + b"b" * 40_000, 431),
    one("endless request line", b"POST /submit/" + b"x" * 40_000, 414),
    # where the body ends
    one("length and chunked", P + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    one("chunked and length", P + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    one("two lengths", P + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    one("the same length twice", P + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    *[
        one(f"length {value.decode()!r}", length(value), 400)
        for value in (b"+3", b"-3", b"3, 3", b"", b"0x3", b"3 4", b"3.0", b"9" * 30, b"3\x0b")
    ],
    one("length with blanks and zeros", length(b" 003 \t"), 200, accepted=(b"abc",)),
    *[
        one(f"coding {value.decode()!r}", P + b"Transfer-Encoding: " + value + b"\r\n\r\n0\r\n\r\n", 400)
        for value in (
            b"gzip, chunked",
            b"chunked, gzip",
            b"xchunked",
            b"identity",
            b"chunked, chunked",
            b"",
            b"\x0bchunked",
        )
    ],
    one("two codings", P + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    one("chunked in HTTP/1.0", b"POST /submit/a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    one("misspelt coding header", P + b"Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
    *[
        one(f"chunk {value!r}", CHUNKED + value, 400)
        for value in (
            b"g\r\n",
            b"-1\r\n",
            b"0x3\r\nabc\r\n0\r\n\r\n",
            b"\r\n",
            b" 3\r\nabc\r\n",
            b"3\nabc\r\n",
            b"3\r\nabcd\r\n",
            b"3\r\nabc\n0\r\n\r\n",
            b"3;\x01\r\nabc",
            b"123456789\r\n",
            b"0\r\nbad trailer\r\n\r\n",
            b"1" * 300,
        )
    ],
    one("chunk over the limit", CHUNKED + b"100001\r\n", 413),
    one("trailers over 8 KiB", CHUNKED + b"0\r\n" + b"A: %b\r\n" % (b"b" * 4000) * 3 + b"\r\n", 400),
    one("a chunk extension of 64 KiB in small chunks", CHUNKED + (b"1;%b\r\nx\r\n" % (b"e" * 250)) * 300, 400),
    one("truncated chunks", CHUNKED + b"3\r\nab", 400),
    one("truncated body", request(b"abc")[:-1], 400),
    one("truncated head", request(b"abc")[:20], 400),
    # pipelines
    one("garbage behind a good request", request(b"1") + b"\0\0\r\n\r\n", 200, 400, accepted=(b"1",)),
    one("body longer than declared", request(b"1") + b"surplus", 200, 400, accepted=(b"1",)),
    one("a request hidden in a body", request(request(b"inner")), 200, accepted=(request(b"inner"),)),
    one("good requests behind a bad one", b"\0\r\n\r\n" + request(b"1"), 400),
    one("good requests behind a 413", P + b"Content-Length: 9999999\r\n\r\n" + request(b"1"), 413),
    one("a GET with a body", request(b"x", method=b"GET") + request(b"1"), 405, 200, accepted=(b"1",)),
    one("a thousand requests at once", request(b"1") * 1000, *[200] * 1000, accepted=(b"1",) * 1000),
    # time
    Case("head never finished", (P, 9.0, b"A: b\r\n", 2.0), (408,)),
    Case("head in single bytes", (*[bytes((byte,)) for byte in P[:30]], 11.0), (408,)),
    Case("body never begun", (P + b"Content-Length: 3\r\n\r\n", 11.0), (408,)),
    Case("body too slow", (P + b"Content-Length: 90000\r\n\r\n" + b"x" * 5000, 9.0, b"x" * 3000, 10.0), (408,)),
    Case("slow but steady body", (request(bytes(90_000))[:-1], 60.0, b"\0", END), (200,), (bytes(90_000),)),
    Case("chunks too slow", (CHUNKED + b"3\r\nabc\r\n", 11.0), (408,)),
    Case("dropped body never sent", (request(b"abc", method=b"GET")[:-3], 405, 11.0), (408,)),
    Case("idle after an answer", (request(b"1"), 200, 76.0), (), (b"1",)),
    Case("idle from the start", (76.0,), ()),
    Case("empty lines only, slowly", (b"\r\n", 76.0), ()),
]


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedLog]:
    log = open_log(tmp_path_factory.mktemp("hostile") / "log")
    yield log
    log.close()


@pytest.fixture(scope="module")
def edge(log: EmbeddedLog, clock: ManualClock) -> Iterator[Edge]:
    with Edge(log, clock) as edge:
        yield edge


def pass_time(edge: Edge, clock: ManualClock, seconds: float) -> None:
    """Turn the clock once the edge has read what was sent before: it reads in order of arrival."""
    for _ in range(2):
        with edge.client() as other:
            other.send(b"GET /__lbheartbeat__ HTTP/1.1\r\nHost: a\r\n\r\n")
            assert other.status() == 200
    clock.advance(seconds)


def play(edge: Edge, clock: ManualClock, client: Client, steps: tuple[Step, ...]) -> None:
    for step in steps:
        if isinstance(step, int):
            assert client.status() == step
            continue
        if isinstance(step, float):
            pass_time(edge, clock, step)
            continue
        try:
            if step is END:
                client.end()
            else:
                client.send(step)
        except OSError:
            return  # the edge has ended the connection: its answer tells


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.cause)
def test_a_hostile_client_gets_its_answer_and_harms_nobody(
    edge: Edge, log: EmbeddedLog, clock: ManualClock, case: Case
) -> None:
    before = len(bodies(log))
    with edge.client() as client:
        play(edge, clock, client, case.steps)
        assert tuple(client.statuses_to_the_end()) == case.statuses
    with edge.client() as neighbour:
        assert neighbour.submit(b"neighbour") == 200
    assert bodies(log)[before:] == [*case.accepted, b"neighbour"]


def test_every_cause_has_its_line_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "edge.md").read_text()
    refused = {status for case in CASES for status in case.statuses} | {503, 507, 417, 405, 404}
    missing = sorted(status for status in refused if f"| {status} |" not in page)
    assert missing == []
