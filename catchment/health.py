"""Health of a service: checks, the Dockerflow answers made of them, and the small HTTP server that gives them.

A check is a function that returns findings; a service is unhealthy (500) from level ERROR on. Paths (Dockerflow):
`/__lbheartbeat__` the process is up, `/__heartbeat__` runs the checks, `/__version__` says what is running, and
`/metrics` holds the declared metrics. The edge answers the first three on its own port too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from catchment import __version__, metrics

OK, INFO, WARNING, ERROR = 0, 20, 30, 40
_LEVELS = {OK: "ok", INFO: "info", WARNING: "warning", ERROR: "error"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: `level` INFO, WARNING or ERROR, a stable `code`, and a line for the operator."""

    code: str
    level: int
    text: str


Check = Callable[[], Sequence[Finding]]


def heartbeat(checks: Mapping[str, Check]) -> tuple[int, dict[str, Any]]:
    """Run the checks; return the HTTP status and the document. A check that raises is an ERROR finding of its own."""
    levels: dict[str, int] = {}
    details: dict[str, Any] = {}
    for name, check in checks.items():
        try:
            findings = list(check())
        except Exception as error:  # noqa: BLE001  a broken check is a finding, not a crash
            findings = [Finding("check_failed", ERROR, f"{type(error).__name__}: {error}")]
        levels[name] = max((finding.level for finding in findings), default=OK)
        if findings:
            details[name] = {
                "level": levels[name],
                "messages": {finding.code: finding.text for finding in findings},
            }
    worst = max(levels.values(), default=OK)
    document = {
        "status": _LEVELS[worst],
        "checks": {name: _LEVELS[level] for name, level in levels.items()},
        "details": details,
    }
    return (500 if worst >= ERROR else 200), document


def version_document() -> dict[str, str]:
    """What `/__version__` answers."""
    return {"source": "catchment", "version": __version__, "commit": "", "build": ""}


def answer(path: str, checks: Mapping[str, Check]) -> tuple[int, str, bytes] | None:
    """Status, content type and body for an operational path; None when `path` is not one."""
    if path == "/__lbheartbeat__":
        return 200, "text/plain", b""
    if path == "/__heartbeat__":
        status, document = heartbeat(checks)
        return status, "application/json", orjson.dumps(document)
    if path == "/__version__":
        return 200, "application/json", orjson.dumps(version_document())
    if path == "/metrics":
        return 200, "text/plain; version=0.0.4; charset=utf-8", metrics.exposition()
    return None


class AdminServer:
    """Serves the operational paths of one service on a thread of its own, so that a busy service still answers."""

    def __init__(self, host: str, port: int, checks: Mapping[str, Check]) -> None:
        """Bind `host:port` (0 picks a free one). Raises OSError when the port is taken."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = answer(self.path, checks) or (404, "text/plain", b"not found\n")
                status, content_type, body = found
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Scrapes are not events."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="admin", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
