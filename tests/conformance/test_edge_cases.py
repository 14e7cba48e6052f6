"""Conformance cases of the edge: those of the reference suite (R…) that the edge's own tests do not name, and C10."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from catchment.clock import ManualClock, SystemClock
from catchment.config import load
from catchment.errors import BadConfig
from catchment.events import Events
from catchment.health import ERROR
from catchment.ingestion.edge.checks import disk_check
from catchment.ingestion.edge.settings import EdgeSettings
from catchment.log.embedded.log import EmbeddedLog
from catchment.log.open import open_log as open_log_of
from catchment.log.settings import LogSettings
from tests.edge.serving import DOCUMENT, PATIENCE_S, Client, Edge, GatedLog, bodies, open_log, request, stored

HEARTBEAT = b"GET /__heartbeat__ HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    log = open_log(tmp_path / "log")
    yield log
    log.close()


def heartbeat(edge: Edge) -> tuple[int, Any]:
    with edge.client() as client:
        client.send(HEARTBEAT)
        answer = client.answer()
    assert answer is not None
    return answer.status, orjson.loads(answer.body)


def test_c10_a_raw_space_in_the_target_is_400(log: EmbeddedLog) -> None:
    with Edge(log) as edge:
        assert edge.answers(request(target=b"/submit/a b")) == [400]
    assert stored(log) == []


def test_r1_the_edge_serves_on_the_host_and_port_of_the_environment(log: EmbeddedLog) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {"CATCHMENT_EDGE__HOST": "127.0.0.1", "CATCHMENT_EDGE__PORT": str(port)}
    settings = load({"edge": EdgeSettings}, environment=environment).section(EdgeSettings)
    with Edge(log, host=settings.host, port=settings.port), Client(port) as client:
        assert client.submit() == 200
    assert bodies(log) == [b"{}"]


def test_r2_r3_r4_r39_r40_r41_a_healthy_edge_says_so(log: EmbeddedLog, tmp_path: Path) -> None:
    with Edge(log, directory=tmp_path, min_free_bytes=0) as edge:
        status, document = heartbeat(edge)
        assert (status, document["status"]) == (200, "ok")
        assert document["checks"] == {"disk": "ok", "flush": "ok"}
        assert document["details"] == {}
        with edge.client() as client:
            for path in (b"/__lbheartbeat__", b"/__version__"):
                client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
                answer = client.answer()
                assert answer is not None and answer.status == 200
                if path == b"/__lbheartbeat__":
                    assert answer.body == b""
                else:
                    assert set(orjson.loads(answer.body)) == {"build", "commit", "source", "version"}


def test_r6_r7_r8_the_disk_check_finds_too_little_space_or_no_directory(tmp_path: Path) -> None:
    assert list(disk_check(tmp_path, 0)()) == []
    [low] = disk_check(tmp_path, 1 << 60)()
    [gone] = disk_check(tmp_path / "gone", 0)()
    assert (low.code, low.level) == ("disk_low", ERROR)
    assert (gone.code, gone.level) == ("log_directory_unreadable", ERROR)


def test_r9_r10_r11_what_waits_for_the_log_is_no_finding_until_it_is_overdue(log: EmbeddedLog) -> None:
    gated, clock = GatedLog(log), ManualClock()
    with Edge(gated, clock, answer_s=60.0) as edge, edge.client() as client:
        assert heartbeat(edge)[1]["checks"] == {"flush": "ok"}
        gated.writer.hold()
        client.send(request(b"waits"))
        assert gated.writer.submitted.acquire(timeout=PATIENCE_S)
        assert heartbeat(edge)[0] == 200
        clock.advance(11)
        status, document = heartbeat(edge)
        assert (status, list(document["details"]["flush"]["messages"])) == (500, ["flush_overdue"])
        gated.writer.let_go()
        assert client.status() == 200
        assert heartbeat(edge)[0] == 200
    assert bodies(log) == [b"waits"]


def test_r13_a_log_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadConfig, match="file"):
        open_log_of(LogSettings(url="file:file"), tmp_path, SystemClock(), Events("test", io.StringIO()))


@pytest.mark.parametrize("method", [b"POST", b"PUT"])
def test_r15_every_path_below_submit_goes_to_topic_raw_and_the_stub_to_none(log: EmbeddedLog, method: bytes) -> None:
    paths = [b"/submit", b"/submit/sslreports", b"/submit/eng/a/1/x=y", DOCUMENT, b"/submit/telemetry/a=b/c"]
    with Edge(log) as edge, edge.client() as client:
        for path in paths:
            assert client.submit(target=path, method=method) == 200
        client.send(b"GET /stub/v6/a/b HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.status() == 404
    assert [found.first("uri") for found in stored(log)] == [path.decode() for path in paths]
    assert {found.type for found in stored(log)} == {"raw"}
