"""The bytes of a message: the golden frame, and what the strict reader makes of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from catchment import message
from catchment.ingestion.edge import envelope
from catchment.ingestion.edge.envelope import Envelope

GOLDEN_MESSAGE = bytes.fromhex(
    "0a1000000000000000000000000000000000"
    "1001220a6d6f7a5f696e676573741a04746573744a0168"
    "52180a0b72656d6f74655f6164647222093132372e302e302e31"
    "52140a03757269220d2f74656c656d657472792f6964"
    "52140a0870726f746f636f6c2208485454502f312e31"
    "52100a07636f6e74656e7410012a03666f6f"
)

TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#"), max_size=300)


def test_the_golden_message_of_the_original_edge_is_made_to_the_byte() -> None:
    made = Envelope("test", "h", 256)
    sealed = made.seal(
        b"\x0a\x10" + bytes(16),
        made.stamp(1),
        made.remote("127.0.0.1"),
        b"/telemetry/id",
        None,
        envelope.PROTOCOL[1] + envelope.content_head(3),
        b"foo",
    )
    assert sealed == GOLDEN_MESSAGE
    assert len(sealed) == 129


@given(
    path=TEXT,
    args=st.none() | TEXT.filter(bool),
    headers=st.lists(st.tuples(TEXT.filter(bool), st.text(max_size=200)), max_size=5),
    body=st.binary(max_size=400),
    time_ns=st.integers(min_value=0, max_value=2**63 - 1),
    remote=st.sampled_from(["", "127.0.0.1", "2001:db8::1"]),
)
def test_the_strict_reader_reads_back_what_was_sealed(
    path: str, args: str | None, headers: list[tuple[str, str]], body: bytes, time_ns: int, remote: str
) -> None:
    made = Envelope("raw", "edge-1", 300)
    fields = envelope.PROTOCOL[1]
    for name, value in headers:
        fields += envelope.StringField(name.encode()).of(value.encode())
    uuid = made.uuid()
    read = message.decode(
        made.seal(
            uuid,
            made.stamp(time_ns),
            made.remote(remote),
            path.encode(),
            None if args is None else args.encode(),
            fields + envelope.content_head(len(body)),
            body,
        )
    )
    expected: list[tuple[str, object]] = [("remote_addr", remote)] if remote else []
    expected += [("uri", path)] + ([] if args is None else [("args", args)]) + [("protocol", "HTTP/1.1")]
    expected += [*headers, ("content", body)]
    assert [(field.name, field.value) for field in read.fields] == expected
    assert (read.uuid, read.timestamp, read.type, read.logger, read.hostname) == (
        uuid[2:],
        time_ns,
        "raw",
        "moz_ingest",
        "edge-1",
    )


def test_no_two_messages_share_an_identity() -> None:
    made = Envelope("raw", "h", 64)
    assert len({made.uuid() for _ in range(2000)}) == 2000
