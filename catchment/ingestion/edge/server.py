"""One worker's listening socket, deadlines and drain, on the running event loop.

A stop goes: close the listening socket, answer new requests 503, finish and answer what was begun, close idle
connections, and at the deadline abort what is left. Whoever owns the log's writer closes it afterwards.
"""

from __future__ import annotations

import asyncio
import socket

from catchment.errors import BadConfig
from catchment.ingestion.edge.commit import Committer
from catchment.ingestion.edge.connection import Connection
from catchment.ingestion.edge.room import Room

_LAST_READ_S = 0.05
"""What was in the sockets' buffers when the stop came is still read in this time."""


class Server:
    """Accepts connections for a `Room`."""

    def __init__(self, room: Room, committer: Committer) -> None:
        self._room = room
        self._committer = committer
        self._server: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None

    async def start(self) -> int:
        """Listen; return the port. Raises BadConfig when the address cannot be bound."""
        loop = asyncio.get_running_loop()
        settings = self._room.settings
        try:
            self._server = await loop.create_server(
                lambda: Connection(self._room),
                settings.host,
                settings.port,
                backlog=settings.backlog,
                # Only with several workers: it would also let a second platform share the port without a word.
                reuse_port=settings.workers > 1,
            )
        except OSError as error:
            raise BadConfig(
                f"edge address {settings.host}:{settings.port} cannot be bound: {error.strerror}; "
                "stop what uses it or set [edge] port"
            ) from error
        self._sweep_deadlines()
        bound: list[socket.socket] = list(self._server.sockets)
        return int(bound[0].getsockname()[1])

    async def drain(self) -> None:
        """Stop as told above; returns when no connection is left."""
        assert self._server is not None
        room, clock = self._room, self._room.clock
        deadline_s = clock.monotonic_s() + room.settings.drain_s
        self._server.close()
        room.is_draining = True
        room.events.info("edge_draining", connections=len(room.connections), in_flight_bytes=room.in_flight_bytes)
        await asyncio.sleep(_LAST_READ_S)
        while room.connections and clock.monotonic_s() < deadline_s:
            for connection in list(room.connections):
                connection.drain()
            await asyncio.sleep(0.01)
        if room.connections:
            room.events.warning("edge_drain_cut", connections=len(room.connections), after_s=room.settings.drain_s)
        for connection in list(room.connections):
            connection.abort()
        if self._sweep is not None:
            self._sweep.cancel()

    def _sweep_deadlines(self) -> None:
        room = self._room
        room.turn()
        self._committer.give_up(room.settings.answer_s)
        for connection in list(room.connections):
            connection.look_at_deadlines(room.now_s)
        room.after_answers()
        self._sweep = asyncio.get_running_loop().call_later(room.settings.sweep_s, self._sweep_deadlines)
