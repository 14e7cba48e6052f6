"""Logs as events: a past-tense name and fields, one line each, on standard error.

    2026-11-23T08:11:27.123Z info edge segment_sealed topic=raw partition=3 size_bytes=67108864

Never a payload, an address or a token. Values with spaces, quotes or line ends are written as JSON strings, so a
line is always one event.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from typing import Any, TextIO


class Events:
    """Writes the events of one service to a stream."""

    def __init__(self, service: str, stream: TextIO | None = None) -> None:
        self._service = service
        self._stream = stream

    def info(self, event: str, **fields: Any) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        now = time.time_ns()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1_000_000_000))
        head = f"{stamp}.{now // 1_000_000 % 1000:03d}Z {level} {self._service} {event}"
        line = head + "".join(f" {name}={_text(value)}" for name, value in fields.items()) + "\n"
        stream = self._stream or sys.stderr
        with suppress(OSError):  # a full disk or a reader that has died: the work goes on without being told of
            stream.write(line)
            stream.flush()


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    if text and text.isprintable() and not set(text) & {" ", '"', "="}:
        return text
    return json.dumps(text)
