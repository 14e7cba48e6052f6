"""Health: what the operational paths answer, over a real socket too."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping

import pytest

from catchment import __version__, health
from catchment.health import ERROR, INFO, WARNING, AdminServer, Check, Finding


def finding(level: int) -> Check:
    return lambda: [Finding("disk_low", level, "2 GiB left")]


def broken() -> list[Finding]:
    raise OSError("no such disk")


def test_a_service_without_findings_is_ok() -> None:
    assert health.heartbeat({"disk": list}) == (200, {"status": "ok", "checks": {"disk": "ok"}, "details": {}})


@pytest.mark.parametrize(
    ("level", "word", "status"), [(INFO, "info", 200), (WARNING, "warning", 200), (ERROR, "error", 500)]
)
def test_the_worst_finding_decides_the_answer(level: int, word: str, status: int) -> None:
    code, document = health.heartbeat({"log": list, "disk": finding(level)})
    assert code == status
    assert document["status"] == word
    assert document["checks"] == {"log": "ok", "disk": word}
    assert document["details"]["disk"] == {"level": level, "messages": {"disk_low": "2 GiB left"}}


def test_a_check_that_raises_is_an_error_finding() -> None:
    code, document = health.heartbeat({"disk": broken})
    assert code == 500
    assert document["details"]["disk"]["messages"] == {"check_failed": "OSError: no such disk"}


@pytest.fixture
def checks() -> dict[str, Check]:
    return {"disk": list}


@pytest.fixture
def server(checks: Mapping[str, Check]) -> Iterator[AdminServer]:
    admin = AdminServer("127.0.0.1", 0, checks)
    admin.start()
    yield admin
    admin.close()


def get(server: AdminServer, path: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


def test_the_operational_paths_answer(server: AdminServer) -> None:
    assert get(server, "/__lbheartbeat__")[0] == 200
    status, kind, body = get(server, "/__heartbeat__")
    assert (status, kind, json.loads(body)["status"]) == (200, "application/json", "ok")
    assert json.loads(get(server, "/__version__")[2])["version"] == __version__
    status, kind, body = get(server, "/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=0.0.4")
    assert b"python_info" in body


def test_another_path_is_not_found(server: AdminServer) -> None:
    assert get(server, "/")[0] == 404


def test_an_unhealthy_service_still_answers_the_balancer(server: AdminServer, checks: dict[str, Check]) -> None:
    checks["log"] = broken
    assert get(server, "/__heartbeat__")[0] == 500
    assert get(server, "/__lbheartbeat__")[0] == 200


def test_a_slow_check_does_not_hold_up_the_other_paths(server: AdminServer, checks: dict[str, Check]) -> None:
    entered, release = threading.Event(), threading.Event()

    def slow() -> list[Finding]:
        entered.set()
        release.wait(30)
        return []

    checks["disk"] = slow
    asking = threading.Thread(target=get, args=(server, "/__heartbeat__"))
    asking.start()
    assert entered.wait(10)
    assert get(server, "/__lbheartbeat__")[0] == 200
    release.set()
    asking.join(10)
    assert not asking.is_alive()


def test_a_taken_port_is_an_error_at_once(server: AdminServer) -> None:
    with pytest.raises(OSError, match="in use"):
        AdminServer("127.0.0.1", server.port, {})
