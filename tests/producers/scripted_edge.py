"""A server on a real socket that answers as it is told, and keeps what it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from catchment.producers.connection import Address

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
HANG_UP = b""
Reply = Callable[[int], bytes] | Callable[[int], Awaitable[bytes]]


def answer(status: int, **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status} Told", *lines, "Content-Length: 0", "", ""]).encode()


@dataclass
class ScriptedEdge:
    """`reply(number)` gives the bytes to send after request `number` (from 0); HANG_UP ends the connection instead."""

    reply: Reply
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    address: Address = field(default_factory=lambda: Address("127.0.0.1", 0))

    async def __aenter__(self) -> ScriptedEdge:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = Address("127.0.0.1", self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://{self.address.host_header}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (request := await self._request(reader)) is not None:
                number = len(self.requests)
                self.requests.append(request)
                said = self.reply(number)
                told = said if isinstance(said, bytes) else await said
                if told == HANG_UP:
                    return
                writer.write(told)
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> bytes | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return None
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return head + await reader.readexactly(length)


def target(request: bytes) -> str:
    return request.split(b" ", 2)[1].decode()
