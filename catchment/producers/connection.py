"""One HTTP/1.1 connection that sends a request and waits for its answer, again and again.

Only the status and Retry-After of an answer are kept. A connection that the server has ended is opened anew for the
next request; one that ends, or is silent for too long, while a request waits is an error of that request: whether the
server has stored it is then not known.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import httptools

from catchment.errors import BadConfig, Malformed

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """Where an edge is: `path` is put before each submission's path, without a slash at its end."""

    host: str
    port: int
    is_encrypted: bool = False
    path: str = ""

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS["https" if self.is_encrypted else "http"] else f"{host}:{self.port}"


def read_address(url: str) -> Address:
    """`url` as an address. Raises BadConfig when it is not http(s)://host[:port][/path]."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadConfig(f"--url {url!r}: {error}; give it like http://127.0.0.1:8000") from error
    if parts.scheme not in PORTS or not parts.hostname or parts.query or parts.fragment:
        raise BadConfig(f"--url {url!r}: must be http://HOST:PORT or https://HOST:PORT, with at most a path behind")
    return Address(parts.hostname, port or PORTS[parts.scheme], parts.scheme == "https", parts.path.rstrip("/"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said. `retry_after_s` is 0 when it named no time."""

    status: int
    retry_after_s: float = 0.0


class _Exchange(asyncio.Protocol):
    """Reads answers off one socket; at most one is awaited."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.waiting: asyncio.Future[Answer] | None = None
        self.is_open = False
        self._parser = httptools.HttpResponseParser(self)
        self._retry_after = ""
        self._has_head = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(Malformed(f"the answer is not HTTP: {error}; does an edge listen there?"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._has_head:  # a body without a length ends with the connection
            self._settle()
        self._fail(exc or ConnectionResetError("ended before it answered"))

    def on_message_begin(self) -> None:
        self._retry_after, self._has_head = "", False

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self._retry_after = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        self._has_head = self._parser.get_status_code() >= 200

    def on_message_complete(self) -> None:
        if not self._has_head:
            return  # 100 Continue
        self._settle()
        self._has_head = False
        if not self._parser.should_keep_alive():
            self.close()

    def close(self) -> None:
        self.is_open = False
        if self.transport is not None:
            self.transport.close()

    def _settle(self) -> None:
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(Answer(self._parser.get_status_code(), _seconds(self._retry_after)))

    def _fail(self, error: Exception) -> None:
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(error)


class Connection:
    """Opens itself when it is first used. One request at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._exchange: _Exchange | None = None
        self._patience: asyncio.Timeout | None = None

    async def open(self) -> None:
        """Connect, if not connected. Raises OSError."""
        if self._exchange is not None and self._exchange.is_open:
            return
        loop = asyncio.get_running_loop()
        secure = ssl.create_default_context() if self._address.is_encrypted else None
        _, self._exchange = await loop.create_connection(_Exchange, self._address.host, self._address.port, ssl=secure)

    async def send(self, request: bytes, timeout_s: float) -> Answer:
        """Send a whole request and return its answer. Raises OSError, TimeoutError, or Malformed for what is no HTTP;
        the connection is then closed, and what became of the request is not known."""
        try:
            async with asyncio.timeout(timeout_s) as self._patience:
                await self.open()
                exchange = self._exchange
                assert exchange is not None and exchange.transport is not None
                exchange.waiting = asyncio.get_running_loop().create_future()
                exchange.transport.write(request)
                return await exchange.waiting
        except BaseException:
            self.close()
            raise
        finally:
            self._patience = None

    def hurry(self, timeout_s: float) -> None:
        """Give the request that waits now, if one does, at most so much longer."""
        if self._patience is None or self._patience.expired():
            return
        sooner = asyncio.get_running_loop().time() + timeout_s
        self._patience.reschedule(min(self._patience.when() or sooner, sooner))

    def close(self) -> None:
        if self._exchange is not None:
            self._exchange.close()


def _seconds(retry_after: str) -> float:
    """The seconds that a Retry-After names; a date, which the edge never sends, counts as none."""
    is_number = retry_after.isascii() and retry_after.isdecimal() and len(retry_after) < 10
    return float(retry_after) if is_number else 0.0
