"""A landfill of a shop's pings: sent to a real edge, shipped by a real archiver."""

from __future__ import annotations

import gzip
import io
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import orjson

from catchment.clock import SystemClock
from catchment.events import Events
from catchment.ingestion.landfill.archiver import GROUP, Archiver, edge_name
from catchment.ingestion.landfill.settings import LandfillSettings
from catchment.ingestion.landfill.shelf import Landfill
from catchment.objects.open import open_objects
from tests.edge.serving import RAW, Edge
from tests.landfill.yard import open_yard

CLIENT = "5c9e2c0b-6a5f-4b0e-9b86-0f2d2f1f7f0a"


def document_id(number: int) -> str:
    return str(uuid.UUID(int=number))


def order(number: int) -> dict[str, Any]:
    """The order of a number: every tenth has a text as count, every fifth a coupon, each an address that nobody asked
    for, and labels called after data."""
    body: dict[str, Any] = {"clientId": CLIENT, "count": number, "lines": [{"sku": "a", "gift": number % 2 == 0}]}
    if number % 10 == 0:
        body["count"] = f"{number} pieces"
    if number % 5 == 0:
        body["coupon"] = {"code": "SPRING", "until": "2026-11-25T00:00:00Z", "worth": 5 if number % 2 else 2.5}
    body["labels"] = {f"label-{number * 7 + at}": at for at in range(20)}
    return body


def archive(home: Path, pings: list[tuple[str, bytes]]) -> None:
    """Send bodies to paths below /submit/, and ship them."""
    log, _ = open_yard(home)
    with Edge(log) as edge:
        for path, body in pings:
            request = urllib.request.Request(f"http://127.0.0.1:{edge.port}/submit/{path}", body, method="POST")
            with urllib.request.urlopen(request) as answer:
                assert answer.status == 200
    archiver: Archiver | None = None

    def at(point: str) -> None:
        assert archiver is not None
        if point == "committed" and log.committed(GROUP, RAW) == log.bounds(RAW).end:
            archiver.stop()

    archiver = Archiver(
        LandfillSettings(object_bytes=20_000, object_age_s=0.1),
        edge_name(home),
        log,
        Landfill(open_objects("file:objects", home)),
        SystemClock(),
        Events("archiver", io.StringIO()),
        at=at,
    )
    archiver.run()
    log.close()


def orders(count: int, version: int = 1, first: int = 1) -> list[tuple[str, bytes]]:
    """Orders as a client sends them, every other one gzipped."""
    found = []
    for number in range(first, first + count):
        body = orjson.dumps(order(number))
        path = f"shop/order/{version}/{document_id(number)}"
        found.append((path, gzip.compress(body) if number % 2 else body))
    return found
