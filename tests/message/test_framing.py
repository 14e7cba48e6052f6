"""Frames: bytes as specified, strict in a stream, forgiving in an archive, and nothing lost to garbage between."""

from __future__ import annotations

import io
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catchment.errors import Malformed
from catchment.framing import BadFrame, Damage, Framed, StreamReader, frame, read_archive
from catchment.message import BOOL, BYTES, DOUBLE, INTEGER, STRING, Field, Message, decode, encode

TEXTS = st.text(max_size=20)
FIELDS = st.one_of(
    st.builds(Field, TEXTS, st.lists(TEXTS, max_size=3).map(tuple), st.just(STRING)),
    st.builds(Field, TEXTS, st.lists(st.binary(max_size=40), max_size=3).map(tuple), st.just(BYTES)),
    st.builds(Field, TEXTS, st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3).map(tuple), st.just(INTEGER)),
    st.builds(Field, TEXTS, st.lists(st.floats(allow_nan=False), max_size=3).map(tuple), st.just(DOUBLE)),
    st.builds(Field, TEXTS, st.lists(st.booleans(), max_size=3).map(tuple), st.just(BOOL)),
)
MESSAGES = st.builds(
    Message,
    st.binary(min_size=16, max_size=16),
    st.integers(0, 2**63 - 1),
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.none() | st.integers(0, 7),
    st.none() | TEXTS,
    fields=st.lists(FIELDS, max_size=4),
)


def message(number: int) -> bytes:
    return encode(Message(uuid.UUID(int=number).bytes, number, "test", fields=[Field("n", (str(number),))]))


STREAM = b"".join(frame(message(number)) for number in range(5))


def test_a_frame_is_separator_length_header_separator_message() -> None:
    assert frame(b"x" * 300) == b"\x1e\x03\x08\xac\x02\x1f" + b"x" * 300


def test_an_empty_message_is_refused() -> None:
    with pytest.raises(Malformed, match="0 bytes"):
        frame(b"")


@given(MESSAGES)
def test_every_message_comes_back(given_message: Message) -> None:
    assert decode(encode(given_message)) == given_message


@given(st.lists(MESSAGES, max_size=4), st.integers(1, 60))
def test_any_chunking_gives_the_same_messages(messages: list[Message], size: int) -> None:
    stream = b"".join(frame(encode(one)) for one in messages)
    reader = StreamReader()
    found = [framed.message for at in range(0, len(stream), size) for framed in reader.feed(stream[at : at + size])]
    reader.close()
    assert found == messages


@pytest.mark.parametrize("end", range(1, len(frame(message(0)))))
def test_a_stream_that_ends_inside_a_frame_is_refused(end: int) -> None:
    reader = StreamReader()
    assert list(reader.feed(frame(message(0))[:end])) == []
    with pytest.raises(BadFrame, match="into a frame"):
        reader.close()


def test_the_first_bad_byte_ends_a_stream_after_the_messages_before_it() -> None:
    reader = StreamReader()
    found = reader.feed(STREAM + b"\x00" + STREAM)
    assert [next(found).message.timestamp for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(BadFrame) as refused:
        next(found)
    assert refused.value.offset == len(STREAM)
    with pytest.raises(BadFrame):
        list(reader.feed(STREAM))


def archive(data: bytes, chunk_bytes: int = 64) -> list[Framed | Damage]:
    return list(read_archive(io.BytesIO(data), chunk_bytes=chunk_bytes))


@given(st.lists(st.binary(max_size=60), min_size=6, max_size=6), st.integers(1, 200))
def test_garbage_between_frames_loses_no_frame_and_every_byte_is_told(garbage: list[bytes], chunk_bytes: int) -> None:
    frames = [frame(message(number)) for number in range(5)]
    data = b"".join(junk + framed for junk, framed in zip(garbage, frames, strict=False)) + garbage[5]
    found = archive(data, chunk_bytes)
    stamps = [one.message.timestamp for one in found if isinstance(one, Framed)]
    assert [stamp for stamp in stamps if stamp < 5] == [0, 1, 2, 3, 4]
    damaged = sum(one.length for one in found if isinstance(one, Damage))
    whole = sum(len(frame(one.payload)) for one in found if isinstance(one, Framed))
    assert damaged + whole == len(data)


@given(st.integers(0, len(STREAM) - 1), st.integers(1, 255))
def test_a_changed_byte_costs_at_most_the_frame_it_is_in(at: int, change: int) -> None:
    data = bytearray(STREAM)
    data[at] ^= change
    size = len(STREAM) // 5
    found = {
        one.message.timestamp for one in archive(bytes(data)) if isinstance(one, Framed) and one.offset % size == 0
    }
    assert {0, 1, 2, 3, 4} - {at // size} <= found


@pytest.mark.parametrize("end", range(len(STREAM)))
def test_a_cut_archive_gives_the_whole_frames_and_tells_of_the_rest(end: int) -> None:
    found = archive(STREAM[:end])
    size = len(STREAM) // 5
    assert [one.message.timestamp for one in found if isinstance(one, Framed)] == list(range(end // size))
    assert [(one.offset, one.length) for one in found if isinstance(one, Damage)] == (
        [(end - end % size, end % size)] if end % size else []
    )


@given(st.binary(max_size=300))
def test_no_bytes_crash_a_reader(data: bytes) -> None:
    assert sum(one.length for one in archive(data) if isinstance(one, Damage)) <= len(data)
    try:
        list(StreamReader().feed(data))
    except BadFrame as error:
        assert 0 <= error.offset <= len(data)
