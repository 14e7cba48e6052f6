"""A real edge on a thread, and a client that speaks bytes: what the tests of the edge stand on."""

from __future__ import annotations

import io
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from catchment import message
from catchment.clock import Clock, SystemClock
from catchment.errors import CatchmentError
from catchment.events import Events
from catchment.ingestion.edge.settings import EdgeSettings
from catchment.ingestion.edge.worker import EdgeWorker
from catchment.log.embedded.disk import Disk
from catchment.log.embedded.log import EmbeddedLog
from catchment.log.port import Log, Retention, TopicPartition, Writer
from catchment.log.settings import LogSettings

PATIENCE_S = 20.0
Done = Callable[[range | CatchmentError], None]
RAW = TopicPartition("raw", 0)
DOCUMENT = b"/submit/telemetry/0055FAC4-8A1A-4FCA-B380-EBFDC8571A01/main/Firefox/61.0a1/nightly/20180328030202"


def request(
    body: bytes = b"{}",
    target: bytes = DOCUMENT,
    method: bytes = b"POST",
    headers: bytes = b"",
    version: bytes = b"1.1",
) -> bytes:
    """A whole request; `headers` are further lines, each with its CRLF."""
    length = b"Content-Length: %d\r\n" % len(body)
    return b"%b %b HTTP/%b\r\nHost: edge\r\n%b%b\r\n%b" % (method, target, version, length, headers, body)


def open_log(root: Path, told: io.StringIO | None = None, disk: Disk | None = None) -> EmbeddedLog:
    settings = LogSettings(min_free_bytes=0)
    root.mkdir(exist_ok=True)
    return EmbeddedLog(root, settings, SystemClock(), Events("log", told or io.StringIO()), disk)


def stored(log: Log, source: TopicPartition = RAW) -> list[message.Message]:
    """Every message of the partition, strictly decoded."""
    bounds = log.bounds(source)
    reader = log.open_reader(source, bounds.start)
    found: list[message.Message] = []
    while records := reader.read(10_000, 1 << 30, 0):
        found += [message.decode(record.payload) for record in records]
    reader.close()
    return found


def bodies(log: Log) -> list[Any]:
    return [found.first("content") for found in stored(log)]


class GatedWriter:
    """A log's writer that keeps what it is given while `hold` is on, or refuses with `refusal`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._lock = threading.Lock()
        self._held: list[tuple[Any, Done]] | None = None
        self.refusal: CatchmentError | None = None
        self.submitted = threading.Semaphore(0)

    def hold(self) -> None:
        self._held = []

    def let_go(self) -> None:
        """Pass on what was kept, in order, and everything from now on."""
        with self._lock:
            held, self._held = self._held or [], None
            for payloads, done in held:
                self._writer.submit(payloads, done)

    def append(self, payloads: Any) -> range:
        return self._writer.append(payloads)

    def submit(self, payloads: Any, done: Done) -> None:
        self.submitted.release()
        if self.refusal is not None:
            raise self.refusal
        with self._lock:
            if self._held is None:
                self._writer.submit(payloads, done)
            else:
                self._held.append((payloads, done))

    def close(self) -> None:
        self._writer.close()


class GatedLog:
    """A real log with a GatedWriter before its writer."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.writer: GatedWriter

    def open_writer(self, source: TopicPartition) -> GatedWriter:
        self.writer = GatedWriter(self._log.open_writer(source))
        return self.writer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class Edge:
    """A worker serving on a thread; `with Edge(log) as edge:`. Leaving drains it."""

    def __init__(self, log: Log, clock: Clock | None = None, directory: Path | None = None, **settings: Any) -> None:
        self.told = io.StringIO()
        self.log = log
        settings = {"port": 0, "hostname": "edge-1", "sweep_s": 0.01, "linger_s": 0.2, **settings}
        self.worker = EdgeWorker(
            EdgeSettings(**settings),
            0,
            log,
            clock or SystemClock(),
            Events("edge", self.told),
            retention=Retention(),
            directory=directory,
        )
        self.port = 0
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        def ready(port: int) -> None:
            self.port = port
            self._is_ready.set()

        self.worker.run(ready)

    def __enter__(self) -> Edge:
        self._thread.start()
        assert self._is_ready.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.join()

    def stop(self) -> None:
        self.worker.stop()

    def join(self) -> None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the edge did not stop"

    def client(self) -> Client:
        return Client(self.port)

    def answers(self, *sent: bytes) -> list[int]:
        """Send on a fresh connection, then end it; the statuses of all answers."""
        with self.client() as client:
            for piece in sent:
                client.send(piece)
            client.end()
            return client.statuses_to_the_end()


class Answer:
    """One parsed answer."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.split(b"\r\n")
        self.status = int(lines[0].split(b" ")[1])
        self.headers = {
            name.lower().decode(): value.strip().decode()
            for name, _, value in (line.partition(b":") for line in lines[1:])
        }
        self.body = body


class Client:
    """A socket that can be read answer by answer."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def end(self) -> None:
        """Say that no more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def answer(self, *, is_head: bool = False) -> Answer | None:
        """The next answer; None when the edge has ended the connection instead."""
        while b"\r\n\r\n" not in self._read:
            if not self._more():
                assert not self._read, self._read
                return None
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        match = re.search(rb"(?i)content-length: (\d+)", head)
        length = 0 if match is None or is_head else int(match[1])
        while len(self._read) < length:
            assert self._more(), "the answer was cut"
        body, self._read = self._read[:length], self._read[length:]
        return Answer(head, body)

    def status(self) -> int:
        found = self.answer()
        assert found is not None, "no answer"
        return found.status

    def submit(self, body: bytes = b"{}", **more: bytes) -> int:
        self.send(request(body, **more))
        return self.status()

    def statuses_to_the_end(self) -> list[int]:
        found = []
        while (one := self.answer()) is not None:
            found.append(one.status)
        return found

    def _more(self) -> bool:
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        self._read += piece
        return bool(piece)
