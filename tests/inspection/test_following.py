"""Pings as they come: each with what became of it, woken by the log, filtered."""

from __future__ import annotations

import io
import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from catchment.errors import Malformed
from catchment.events import Events
from catchment.ingestion.inspection.following import KINDS, Filter, Follower, Sight, latest, read_sight
from catchment.ingestion.limits.settings import LimitSettings
from catchment.log.port import TopicPartition
from tests.inspection.home import CLIENT_ID, Home, body, gzipped

WITHIN_S = 30.0


@contextmanager
def following(home: Home, back: int | None = 0) -> Iterator[Callable[[int], list[Sight]]]:
    """Gives a function that returns the next `n` sights."""
    arrived: queue.Queue[Sequence[Sight]] = queue.Queue()
    follower = Follower(home.log, list(KINDS), arrived.put, Events("test", io.StringIO()), back=back)

    def take(count: int) -> list[Sight]:
        found: list[Sight] = []
        while len(found) < count:
            found += arrived.get(timeout=WITHIN_S)
        return found

    try:
        yield take
    finally:
        follower.close()


def three(home: Home) -> str:
    document_id = home.send(body())
    home.send(body(), document_id=document_id)
    home.send(gzipped(body(item=5)))
    return document_id


def test_each_ping_is_seen_with_what_became_of_it(home: Home) -> None:
    document_id = three(home)
    with following(home) as take:  # no loader ran yet: the topics are found when it makes them
        home.load()
        sights = {sight.kind: sight for sight in take(3)}
    assert sights["document"].document_id == sights["duplicate"].document_id == document_id
    assert sights["document"].client_id == CLIENT_ID
    assert (sights["error"].code, sights["error"].place) == ("schema_violation", "shop.order.v1")
    assert sights["error"].as_json()["document"]["item"] == 5
    assert sights["duplicate"].as_json()["duplicate_delta_s"] == 0
    assert sights["document"].as_json()["document"]["item"] == "thing"


def test_what_came_over_a_limit_is_seen_as_deferred(home: Home) -> None:
    home.send(body())
    late = home.send(body())
    home.load(LimitSettings(rate=0.001, burst=1))
    (sight,) = latest(home.log, Filter(kinds=frozenset({"deferred"})), 10, 10)
    assert (sight.document_id, sight.place) == (late, "shop.order.v1")
    assert sight.as_json()["rate_limit"] == sight.rate_limit != ""


def test_only_what_is_new_is_seen_unless_more_is_asked_for(home: Home) -> None:
    home.send(body())
    home.load()
    with following(home) as take:
        fresh = home.send(body())
        home.load()
        assert [sight.document_id for sight in take(1)] == [fresh]
    with following(home, back=None) as take:
        assert len(take(2)) == 2
    with following(home, back=1) as take:
        assert [sight.document_id for sight in take(1)] == [fresh]


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        (Filter(), {"document", "error", "duplicate"}),
        (Filter(kinds=frozenset({"error"})), {"error"}),
        (Filter(client_id=CLIENT_ID), {"document", "error", "duplicate"}),
        (Filter(client_id="5c1ade7f"), set()),
        (Filter(namespace="shop", doctype="order"), {"document", "error", "duplicate"}),
        (Filter(doctype="refund"), set()),
        (Filter(debug_id="x"), set()),
    ],
)
def test_a_filter_takes_what_it_names(home: Home, wanted: Filter, kinds: set[str]) -> None:
    three(home)
    home.load()
    if wanted.client_id == "5c1ade7f":  # a refused ping's client is looked for in its text
        kinds = {"error"}
    assert {sight.kind for sight in latest(home.log, wanted, 10, 10)} == kinds


def test_the_latest_are_the_newest_first(home: Home) -> None:
    sent = [home.send(body()) for _ in range(5)]
    home.load()
    assert [sight.document_id for sight in latest(home.log, Filter(), 3, 2)] == [sent[4], sent[3]]


def test_a_record_of_another_kind_is_passed_over(home: Home) -> None:
    home.send(body())
    home.load()
    writer = home.log.open_writer(TopicPartition("decoded", 0))
    writer.append([b"\xff\xff"])
    writer.close()
    with pytest.raises(Malformed):
        read_sight("decoded", b"\xff\xff")
    with following(home, back=None) as take:
        assert len(take(1)) == 1
