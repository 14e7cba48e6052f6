"""Whatever the bytes: the decoder answers, and no address comes out of it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from decoder_kit import CLIENT, FIREFOX_URI, GENERIC_URI, OFFSET, PEER, SOURCE, VALID, accepted, decode, raw, zipped
from hypothesis import given
from hypothesis import strategies as st

from catchment import message
from catchment.document import Document
from catchment.errors import Malformed
from catchment.ingestion import streams
from catchment.ingestion.decoder import submission
from catchment.ingestion.decoder.body import gunzip, parse
from catchment.ingestion.decoder.failure import CODES, Failure, Refusal, cut
from catchment.ingestion.marking import Repeat
from catchment.message import BYTES, INTEGER, Field, Message

TEXTS = st.text(max_size=40)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
HEADER_NAMES = st.sampled_from(
    ["Date", "DNT", "Host", "User-Agent", "X-Debug-ID", "Content-Length", "x-custom", "X-Real-IP", "Forwarded"]
)
MESSAGES = st.builds(
    raw,
    st.binary(max_size=200) | st.just(VALID) | st.just(zipped(VALID)),
    st.sampled_from([GENERIC_URI, FIREFOX_URI, None, "/foobar", "/submit/"]) | TEXTS,
    args=st.none() | TEXTS,
    headers=st.dictionaries(HEADER_NAMES, TEXTS, max_size=4),
    received_ns=st.integers(-(2**63), 2**63 - 1),
)


def encoded(outcome: Document | Failure) -> bytes:
    if isinstance(outcome, Failure):
        return streams.encode_failure(outcome, SOURCE, OFFSET)
    return streams.encode_document(outcome, SOURCE, OFFSET)


def assert_sound(outcome: Document | Failure) -> None:
    """The outcome can be written and read, and its texts are valid Unicode."""
    read = message.decode(encoded(outcome))
    assert read.first("sourceOffset") == OFFSET
    if isinstance(outcome, Failure):
        assert outcome.code in CODES and outcome.code != "internal", outcome
        for text in (outcome.uri, outcome.args, outcome.detail, *outcome.headers, *outcome.headers.values()):
            assert text is None or text.encode().decode() == text


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_answered(record: bytes) -> None:
    assert_sound(decode(record))


@given(MESSAGES)
def test_arbitrary_messages_are_answered(record: bytes) -> None:
    assert_sound(decode(record))


@given(MESSAGES, st.data())
def test_damaged_messages_are_answered(record: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(record) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "drop"]))
    damaged = {
        "flip": record[:at] + bytes((record[at] ^ data.draw(st.integers(1, 255)),)) + record[at + 1 :],
        "cut": record[:at],
        "insert": record[:at] + data.draw(st.binary(min_size=1, max_size=8)) + record[at:],
        "drop": record[:at] + record[at + 1 :],
    }[kind]
    assert_sound(decode(damaged))


@given(
    st.sampled_from(["203.0.113.99", "2001:db8:85a3::8a2e:370:7334"]),
    st.sampled_from([VALID, b"", b"foo", zipped(VALID)[:-3]]),
    st.sampled_from([GENERIC_URI, FIREFOX_URI, None, "/foobar"]),
    st.sampled_from(["X-Forwarded-For", "x_forwarded_for", "FORWARDED", "X-Real-IP", "True-Client-IP", "Remote_Addr"]),
    st.integers(0, 400),
)
def test_no_output_holds_the_address(address: str, body: bytes, uri: str | None, name: str, cut_at: int) -> None:
    record = raw(body, uri, headers={name: f"10.9.8.7, {address}"}, peer=address, forwarded=f"1.1.1.1, {address}")
    for given_record in (record, record[: len(record) - cut_at % len(record)]):
        outcome = decode(given_record)
        outputs = [encoded(outcome), repr(outcome).encode()]
        if isinstance(outcome, Document):
            outputs.append(streams.encode_duplicate(outcome, Repeat(1), SOURCE, OFFSET))
        for output in outputs:
            assert address.encode() not in output
            assert b"10.9.8.7" not in output


@given(MESSAGES)
def test_the_short_way_and_the_strict_way_read_the_same(record: bytes) -> None:
    short = submission._read_edge_shape(record)
    if short is not None:
        assert short == submission._read_any_shape(record)


@given(MESSAGES, st.data())
def test_the_short_way_accepts_nothing_that_the_strict_way_refuses(record: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(record) - 1))
    damaged = record[:at] + data.draw(st.binary(max_size=3)) + record[at + data.draw(st.integers(0, 3)) :]
    short = submission._read_edge_shape(damaged)
    if short is None:
        return
    try:
        assert short == submission._read_any_shape(damaged)
    except Malformed as error:
        pytest.fail(f"read what is malformed: {error}")


def test_the_edges_own_shape_is_read_the_short_way() -> None:
    assert submission._read_edge_shape(raw(b"x" * 5000, headers={"Host": "h" * 300}, forwarded=CLIENT)) is not None


@given(JSON)
def test_every_json_object_is_parsed_to_itself(value: Any) -> None:
    text = orjson.dumps({"value": value})
    assert parse(text) == orjson.loads(text)
    for body in (text, zipped(text)):
        assert gunzip(body, 1 << 20) == text


@given(st.dictionaries(TEXTS, st.integers(-9, 99), min_size=1, max_size=5), st.data())
def test_a_key_with_two_values_is_always_found(members: dict[str, int], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(members)))
    pairs = [orjson.dumps(name) + b":" + orjson.dumps(value) for name, value in [*members.items(), (key, 100)]]
    pairs = data.draw(st.permutations(pairs))
    space = data.draw(st.sampled_from([b"", b" ", b"\n"]))
    outcome = parse(b"{" + space + (space + b"," + space).join(pairs) + space + b"}")
    assert isinstance(outcome, Refusal) and outcome.code == "json_duplicate_key"


@given(MESSAGES)
def test_a_failure_comes_back_from_its_message(record: bytes) -> None:
    outcome = decode(record)
    if isinstance(outcome, Failure):
        assert streams.read_failure(message.decode(encoded(outcome))) == outcome


def test_a_document_is_no_failure() -> None:
    with pytest.raises(Malformed, match="errorCode is None"):
        streams.read_failure(message.decode(encoded(accepted(raw()))))


@given(st.text(max_size=3000))
def test_a_detail_is_cut_to_1_kib_of_valid_text(text: str) -> None:
    short = cut(text)
    assert len(short.encode()) <= 1024
    assert short == text or short.endswith("…") or "\\u" in short


def test_fields_of_other_types_and_encodings_become_texts() -> None:
    fields = [
        Field("uri", (GENERIC_URI, "/other")),
        Field("X-Number", (5,), INTEGER),
        Field("X-Latin", (b"caf\xe9",), BYTES),
        Field("X-Latin-Text", (b"caf\xe9".decode("utf-8", "surrogateescape"),)),
        Field("remote_addr", (PEER,)),
        Field("remote_addr", (CLIENT,)),
        Field("content", (VALID.decode(),)),
        Field("content", (b"second",), BYTES),
        Field("empty", ()),
    ]
    record = message.encode(Message(bytes(16), 1, severity=7, payload="p", pid=3, fields=fields))
    found = submission.unwrap(record)
    assert isinstance(found, tuple)
    read, addresses = found
    assert (read.uri, read.body) == (GENERIC_URI, VALID)
    assert read.headers == {"X-Number": "5", "X-Latin": "café", "X-Latin-Text": "café"}
    assert addresses == (PEER, None)
