"""A catalog in PostgreSQL: commits beside each other, and a connection that is cut between request and answer."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from numbered import SCHEMA, make_rows, numbers

from catchment.clock import SystemClock
from catchment.errors import BadConfig, Fenced, Unavailable
from catchment.events import Events
from catchment.lake.commit import Span
from catchment.lake.open import open_lake
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.lake.tables import Lake
from tests.postgres import postgres_server, postgres_url  # noqa: F401  fixtures

TABLE = "telemetry.main_v4"


class Wire:
    """A wire to the server that may be cut: once a request that holds `cut_at` has been answered by the server (the
    answer does not arrive), or before it arrives there (`is_lost`)."""

    def __init__(self, port: int) -> None:
        self.cut_at: bytes | None = None
        self.is_lost = False
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._port)) as server:
            threading.Thread(target=_pass_on, args=(client, server, self), daemon=True).start()
            while answer := _received(server):
                if self.cut_at == b"":
                    self.cut_at = None
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(answer)


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(65536)
    except OSError:
        return b""


def _pass_on(client: socket.socket, server: socket.socket, wire: Wire) -> None:
    with suppress(OSError):  # the other end has gone
        while request := _received(client):
            if wire.cut_at and wire.cut_at in request:
                wire.cut_at = None if wire.is_lost else b""
                if wire.is_lost:
                    client.shutdown(socket.SHUT_RDWR)
                    return
            server.sendall(request)
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wire(postgres_url: str) -> Iterator[Wire]:  # noqa: F811
    made = Wire(urlsplit(postgres_url).port or 0)
    yield made
    made.close()


def opened(home: Path, url: str, events: io.StringIO | None = None) -> Lake:
    told = Events("test", events or io.StringIO())
    return open_lake(CatalogSettings(url), ObjectsSettings(), home, SystemClock(), told)


def test_a_commit_whose_answer_is_lost_is_found(tmp_path: Path, postgres_url: str, wire: Wire) -> None:  # noqa: F811
    told = io.StringIO()
    lake = opened(tmp_path, postgres_url.replace(str(urlsplit(postgres_url).port), str(wire.port)), told)
    lake.ensure(TABLE, SCHEMA)
    wire.cut_at = b"UPDATE iceberg_tables"
    assert lake.commit(TABLE, make_rows(0, 5), {"raw/0": Span(None, 5)}).rows == 5
    assert "lake_commit_found" in told.getvalue()
    assert numbers(lake, TABLE) == list(range(5))
    lake.close()


def test_a_commit_that_never_arrived_is_made_again(tmp_path: Path, postgres_url: str, wire: Wire) -> None:  # noqa: F811
    lake = opened(tmp_path, postgres_url.replace(str(urlsplit(postgres_url).port), str(wire.port)))
    lake.ensure(TABLE, SCHEMA)
    wire.cut_at, wire.is_lost = b"UPDATE iceberg_tables", True
    with pytest.raises(Unavailable, match="nothing was changed"):
        lake.commit(TABLE, make_rows(0, 5), {"raw/0": Span(None, 5)})
    lake.commit(TABLE, make_rows(0, 5), {"raw/0": Span(None, 5)})
    assert numbers(lake, TABLE) == list(range(5))
    lake.close()


def test_two_lakes_commit_beside_each_other_and_one_owns_a_partition(tmp_path: Path, postgres_url: str) -> None:  # noqa: F811
    one, two = opened(tmp_path, postgres_url), opened(tmp_path, postgres_url)
    one.ensure(TABLE, SCHEMA)

    def overtake(point: str) -> None:
        if point == "manifests_written" and "raw/1" not in two.offsets(TABLE):
            two.commit(TABLE, make_rows(100, 5), {"raw/1": Span(None, 5)})

    one.commit(TABLE, make_rows(0, 5), {"raw/0": Span(None, 5)}, at=overtake)
    assert one.offsets(TABLE) == two.offsets(TABLE) == {"raw/0": 5, "raw/1": 5}
    with pytest.raises(Fenced):
        two.commit(TABLE, make_rows(0, 5), {"raw/0": Span(None, 5)})
    assert numbers(two, TABLE) == [*range(5), *range(100, 105)]
    assert two.tables() == [TABLE]
    one.close()
    two.close()


def test_a_server_that_is_away_is_refused_with_its_url(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"catalog at postgresql://127.0.0.1:9/nothing cannot be opened"):
        opened(tmp_path, "postgresql://127.0.0.1:9/nothing")
