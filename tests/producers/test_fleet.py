"""The fleet: the same for the same seed, chained sessions, and the decoder makes of each ping what was expected."""

from __future__ import annotations

import random
from collections import defaultdict
from io import StringIO
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from deflate import gzip_decompress

from catchment import message
from catchment.clock import ManualClock, utc
from catchment.document import Document
from catchment.events import Events
from catchment.ingestion.decoder.chain import Decoder
from catchment.ingestion.decoder.failure import CODES
from catchment.ingestion.decoder.geo import Geo
from catchment.ingestion.decoder.settings import DecoderSettings, GeoSettings
from catchment.log.port import TopicPartition
from catchment.message import BYTES, Field, Message
from catchment.producers.client import client_of
from catchment.producers.fleet import Delivery, Fleet
from catchment.producers.sessions import Life
from catchment.producers.submission import NOT_FOUND, SPOILERS, Submission
from catchment.schemas.registry import BUILTIN, Registry

NOW_NS = 1_795_500_000_000_000_000
SENT = "Tue, 24 Nov 2026 06:00:00 GMT"
SOURCE = TopicPartition("raw", 0)


def deliveries(count: int, invalid: float = 0.0, duplicates: float = 0.0, **fleet: Any) -> list[Delivery]:
    made = Fleet(**{"seed": 1, "salt": "", "clients": 40, **fleet})
    return list(islice(made.deliveries(ManualClock(NOW_NS), invalid, duplicates), count))


def bytes_of(found: list[Delivery]) -> list[tuple[str, bytes]]:
    return [(delivery.submission.target, delivery.submission.body) for delivery in found]


def test_a_fleet_follows_from_its_seed_and_salt() -> None:
    first = bytes_of(deliveries(150, 0.1, 0.1))
    assert first == bytes_of(deliveries(150, 0.1, 0.1))
    assert first != bytes_of(deliveries(150, 0.1, 0.1, seed=2))


def test_another_salt_sends_new_documents_of_the_same_clients() -> None:
    one, other = deliveries(300), deliveries(300, salt="another run")
    assert not {d.submission.document_id for d in one} & {d.submission.document_id for d in other}
    known = {client_of(1, number).client_id for number in range(40)}
    for found in (one, other):
        assert {content(d.submission)["clientId"] for d in found if d.submission.namespace == "telemetry"} <= known


def test_document_ids_come_again_only_on_purpose() -> None:
    found = deliveries(600, duplicates=0.2)
    fresh = [delivery.submission for delivery in found if not delivery.is_repeat]
    again = [delivery.submission for delivery in found if delivery.is_repeat]
    assert len({submission.document_id for submission in fresh}) == len(fresh)
    assert 60 < len(again) < 180
    assert all(any(submission is earlier for earlier in fresh) for submission in again)


def test_some_clients_are_much_more_active_than_others() -> None:
    counts: dict[str, int] = defaultdict(int)
    for delivery in deliveries(2000, clients=100):
        counts[delivery.submission.headers["X-Forwarded-For"]] += 1
    ordered = sorted(counts.values(), reverse=True)
    assert sum(ordered[:10]) > 0.3 * 2000


def content(submission: Submission) -> dict[str, Any]:
    found = orjson.loads(gzip_decompress(submission.body))
    assert isinstance(found, dict)
    return found


def life(number: int, count: int) -> list[dict[str, Any]]:
    """The first pings of one client."""
    lived = Life(client_of(1, number), random.Random(f"a life {number}"))
    return [content(lived.next_submission(utc(NOW_NS), 0.0)) for _ in range(count)]


@pytest.mark.parametrize("number", range(8))
def test_subsessions_are_chained(number: int) -> None:
    """Firefox's rules: counters go up by one, each subsession names the one before, also across sessions."""
    infos = [
        ping["payload"]["info"]
        for ping in life(number, 60)
        if ping.get("type") == "main" and "subsessionId" in ping["payload"]["info"]
    ]
    assert len(infos) > 10
    for before, after in pairwise(infos):
        steps = after["profileSubsessionCounter"] - before["profileSubsessionCounter"]
        assert steps >= 1
        if steps > 1:
            continue  # a ping without its info came between
        assert after["previousSubsessionId"] == before["subsessionId"]
        if after["sessionId"] == before["sessionId"]:
            assert after["subsessionCounter"] == before["subsessionCounter"] + 1
            assert after["sessionLength"] == before["sessionLength"] + after["subsessionLength"]
            assert after["sessionStartDate"] == before["sessionStartDate"]
        else:
            assert (before["reason"], after["subsessionCounter"]) == ("shutdown", 1)
            assert after["previousSessionId"] == before["sessionId"]


def test_a_new_profile_says_so_first_and_once() -> None:
    number = next(number for number in range(200) if client_of(1, number).age_days == 0)
    found = life(number, 80)
    assert [ping.get("type") for ping in found].count("new-profile") == 1
    assert found[0]["type"] == "new-profile"
    mains = [ping["payload"]["info"] for ping in found if ping.get("type") == "main"]
    assert mains[0].get("previousSubsessionId") is None
    assert mains[0].get("profileSubsessionCounter", 1) == 1


def test_nothing_is_dated_after_it_is_sent() -> None:
    now = utc(NOW_NS).strftime("%Y-%m-%dT%H:%M:%S")
    created = [ping["creationDate"] for number in range(5) for ping in life(number, 40) if "creationDate" in ping]
    assert max(created)[:19] <= now
    assert len({date[:10] for date in created}) > 2, "some sessions are sent days later"


def decoder(roots: list[Path]) -> Decoder:
    geo = Geo(GeoSettings(), ManualClock(NOW_NS), Events("test", StringIO()))
    return Decoder(Registry.load(roots), geo, DecoderSettings())


def raw(submission: Submission) -> bytes:
    """The message that the edge makes of a submission."""
    path, _, query = submission.target.partition("?")
    texts = {"remote_addr": "127.0.0.1", "uri": path, "args": query, **submission.headers}
    fields = [Field(name, (value,)) for name, value in texts.items() if value]
    fields.append(Field("content", (submission.body,), BYTES))
    return message.encode(Message(bytes(16), NOW_NS, "raw", "moz_ingest", hostname="edge", fields=fields))


def check_expectations(roots: list[Path]) -> None:
    chain = decoder(roots)
    seen: set[str] = set()
    for delivery in deliveries(1200, invalid=0.4):
        submission = delivery.submission
        if submission.code == NOT_FOUND:
            continue
        outcome = chain.decode(raw(submission), SOURCE, 0)
        if isinstance(outcome, Document):
            assert submission.expected == "accepted", (submission.code, submission.target)
            assert outcome.document_id == submission.document_id
            assert (outcome.namespace, outcome.doctype) == (submission.namespace, submission.doctype)
            assert outcome.version == submission.version
            assert len(outcome.body) == submission.json_bytes
            assert outcome.client_id is not None
        else:
            assert (submission.expected, submission.code) == ("invalid", outcome.code), (outcome.detail, submission)
        seen.add(submission.code or submission.doctype)
    spoiled = {"schema_violation", "json_invalid", "gzip_corrupt", "schema_not_found", "uri_invalid"}
    assert seen >= spoiled | {"document_id_invalid", "main", "event", "crash", "new-profile", "baseline", "health"}


def test_the_decoder_makes_of_each_ping_what_is_expected() -> None:
    check_expectations([BUILTIN])


def test_the_pipelines_own_schemas_agree(shared_data: Path) -> None:
    check_expectations([shared_data / "pipeline-schemas" / "schemas"])


def test_every_way_to_spoil_a_ping_has_a_code_that_exists() -> None:
    found = [delivery.submission for delivery in deliveries(1500, invalid=1.0)]
    codes = {submission.code for submission in found}
    assert codes - {NOT_FOUND} <= set(CODES)
    assert NOT_FOUND in codes
    assert all(not submission.target.startswith("/submit/") for submission in found if submission.code == NOT_FOUND)
    assert len(codes) == len(SPOILERS) - 1, "two of them end as json_invalid"


def test_headers_are_firefoxs() -> None:
    found = [delivery.submission for delivery in deliveries(300)]
    by_pingsender = [submission for submission in found if "X-PingSender-Version" in submission.headers]
    assert {submission.doctype for submission in by_pingsender} <= {"main", "crash"}
    assert all(submission.headers["User-Agent"] == "pingsender/1.0" for submission in by_pingsender)
    glean = [submission for submission in found if submission.namespace == "firefox-desktop"]
    assert all(submission.headers["X-Telemetry-Agent"].startswith("Glean/") for submission in glean)
    assert all(submission.headers["Date"] == SENT for submission in found)
    assert any(", " in submission.headers["X-Forwarded-For"] for submission in found), "some are behind a proxy"
