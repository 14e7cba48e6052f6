"""What a crash, a bad disk or a careless hand leaves: it is mended, kept for inspection and told, never passed over."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catchment.errors import Corrupt, Missing
from catchment.log.embedded.log import EmbeddedLog
from catchment.log.embedded.records import BAD, frame, take
from catchment.log.port import TopicPartition
from tests.log.opening import MANY, RAW, open_embedded, payloads_of, segments


def write(root: Path, *batches: list[bytes], segment_bytes: int = 1 << 20) -> None:
    log = open_embedded(root, segment_bytes=segment_bytes)
    writer = log.open_writer(RAW)
    for batch in batches:
        writer.append(batch)
    log.close()


def test_a_torn_tail_is_cut_kept_beside_and_reported(tmp_path: Path) -> None:
    write(tmp_path, [b"kept"])
    segment = segments(tmp_path)[0]
    whole = segment.read_bytes()
    segment.write_bytes(whole + b"\x05\0\0\0torn")
    told = io.StringIO()
    log = open_embedded(tmp_path, told)
    writer = log.open_writer(RAW)
    assert writer.torn is not None
    assert (writer.torn.lost_bytes, writer.torn.lost_records) == (8, 0)
    assert writer.torn.saved is not None
    assert writer.torn.saved.read_bytes() == b"\x05\0\0\0torn"
    assert segment.read_bytes() == whole
    assert "torn_tail_truncated" in told.getvalue()
    assert "lost_bytes=8" in told.getvalue()
    assert writer.append([b"next"]) == range(1, 2)
    log.close()


def test_a_tail_of_zeros_is_cut_without_a_word(tmp_path: Path) -> None:
    write(tmp_path, [b"kept"])
    with segments(tmp_path)[0].open("ab") as file:
        file.write(bytes(5000))
    told = io.StringIO()
    log = open_embedded(tmp_path, told)
    assert log.open_writer(RAW).torn is None
    assert told.getvalue() == ""
    assert segments(tmp_path)[0].stat().st_size == 8 + len(b"kept")
    assert payloads_of(log) == [b"kept"]
    log.close()


def test_a_batch_that_was_written_in_part_is_cut_whole(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    frame([b"one", b"two", b"three"], pieces)
    torn = b"".join(pieces[:4])
    write(tmp_path, [b"kept"])
    with segments(tmp_path)[0].open("ab") as file:
        file.write(torn)
    log = open_embedded(tmp_path)
    writer = log.open_writer(RAW)
    assert writer.torn is not None
    assert writer.torn.lost_bytes == len(torn)
    assert payloads_of(log) == [b"kept"]
    log.close()


def test_damage_to_acknowledged_records_at_the_end_is_told_and_their_offsets_are_not_used_again(tmp_path: Path) -> None:
    write(tmp_path, [b"0"], [b"1"], [b"2"], [b"3"])
    segment = segments(tmp_path)[0]
    content = bytearray(segment.read_bytes())
    content[9 * 2 + 8] ^= 1  # the payload of offset 2
    segment.write_bytes(content)
    told = io.StringIO()
    log = open_embedded(tmp_path, told)
    writer = log.open_writer(RAW)
    assert "error test acknowledged_records_damaged" in told.getvalue()
    assert "lost_records=2" in told.getvalue()
    assert writer.append([b"4"]) == range(4, 5)
    reader = log.open_reader(RAW, 0)
    assert [record.offset for record in reader.read(10, MANY, 0)] == [0, 1]
    with pytest.raises(Missing, match="offsets 2 to 3 are gone"):
        reader.read(10, MANY, 0)
    consumer = log.open_consumer("group", ["raw"])
    found = [consumer.poll(10, MANY, 1) for _ in range(2)]
    assert [record.offset for batch in found if batch for record in batch.records] == [0, 1, 4]
    assert "gap group=group source=raw/0 first=2 next=4" in told.getvalue()
    log.close()


def test_damage_in_a_sealed_segment_is_an_error_at_its_offset_and_can_be_stepped_over_by_moving_it_away(
    tmp_path: Path,
) -> None:
    write(tmp_path, *[[b"%03d" % number * 50] for number in range(20)], segment_bytes=1000)
    sealed = segments(tmp_path)[1]
    content = bytearray(sealed.read_bytes())
    content[500] ^= 1
    sealed.write_bytes(content)
    log = open_embedded(tmp_path)
    reader = log.open_reader(RAW, 0)
    good: list[int] = []
    with pytest.raises(Corrupt, match=sealed.name):
        while records := reader.read(3, MANY, 0):
            good += [record.offset for record in records]
    assert good == list(range(int(sealed.stem) + 3))
    assert reader.position == len(good)
    with pytest.raises(Corrupt, match=r"docs/log\.md#damage"):
        reader.read(1, MANY, 0)
    sealed.rename(sealed.with_suffix(".damaged"))
    reader.seek(reader.position)
    with pytest.raises((Missing, Corrupt)):
        reader.read(1, MANY, 0)
    consumer = log.open_consumer("group", ["raw"])
    offsets = []
    while batch := consumer.poll(100, MANY, 0):
        offsets += [record.offset for record in batch.records]
    behind = int(segments(tmp_path)[1].stem)
    assert offsets == [*range(int(sealed.stem)), *range(behind, 20)]
    log.close()


def damaged(tmp_path: Path, at: int) -> Path:
    """Twenty records of 150 bytes, four or so a segment; byte `at` of the second segment is changed."""
    write(tmp_path, *[[b"%03d" % number * 50] for number in range(20)], segment_bytes=600)
    sealed = segments(tmp_path)[1]
    content = bytearray(sealed.read_bytes())
    content[at] ^= 4
    sealed.write_bytes(content)
    return sealed


@pytest.mark.parametrize(
    "at", [158 + 20, 158 + 4, 158 + 2, 158], ids=["payload", "checksum", "length by far", "length by little"]
)
def test_a_consumer_names_the_record_that_damage_has_cost_and_goes_on(tmp_path: Path, at: int) -> None:
    sealed = damaged(tmp_path, at)
    first = int(sealed.stem) + 1
    behind = first + 1
    told = io.StringIO()
    log = open_embedded(tmp_path, told)
    lost: list[tuple[TopicPartition, range]] = []
    consumer = log.open_consumer("group", ["raw"], on_lost=lambda source, offsets, why: lost.append((source, offsets)))
    found: list[int] = []
    while batch := consumer.poll(3, MANY, 0):
        found += [record.offset for record in batch.records]
    assert lost == [(RAW, range(first, behind))]
    assert found == [*range(first), *range(behind, 20)]
    assert f"records_damaged group=group source=raw/0 first={first} next={behind}" in told.getvalue()
    log.close()


def test_damage_before_the_committed_offset_costs_nothing(tmp_path: Path) -> None:
    sealed = damaged(tmp_path, 20)
    log = open_embedded(tmp_path)
    begin = int(sealed.stem) + 2
    lost: list[range] = []
    first = log.open_consumer("group", ["raw"])
    assert first.poll(1, 1, 0) is not None
    first.commit({RAW: begin})
    first.close()
    consumer = log.open_consumer("group", ["raw"], on_lost=lambda source, offsets, why: lost.append(offsets))
    found: list[int] = []
    while batch := consumer.poll(100, MANY, 0):
        found += [record.offset for record in batch.records]
    assert (lost, found) == ([], list(range(begin, 20)))
    log.close()


def test_where_more_than_one_record_is_damaged_the_rest_of_a_sealed_segment_is_lost(tmp_path: Path) -> None:
    sealed = damaged(tmp_path, 158)
    content = bytearray(sealed.read_bytes())
    content[2 * 158] ^= 4
    sealed.write_bytes(content)
    log = open_embedded(tmp_path)
    first, behind = int(sealed.stem) + 1, int(segments(tmp_path)[2].stem)
    assert consumed(log) == ([range(first, behind)], [*range(first), *range(behind, 20)])
    log.close()


def consumed(log: EmbeddedLog) -> tuple[list[range], list[int]]:
    """What a consumer is told to be lost, and the offsets that it gets."""
    lost: list[range] = []
    found: list[int] = []
    consumer = log.open_consumer("group", ["raw"], on_lost=lambda source, offsets, why: lost.append(offsets))
    while batch := consumer.poll(3, MANY, 0):
        found += [record.offset for record in batch.records]
    consumer.close()
    return lost, found


def spoil(segment: Path, at: int, mask: int) -> None:
    with segment.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes((byte ^ mask,)))


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("number", [0, 2, 4])
def test_a_damaged_length_in_the_segment_in_use_costs_its_record_alone(tmp_path: Path, number: int, at: int) -> None:
    log = open_embedded(tmp_path)
    writer = log.open_writer(RAW)
    writer.append([b"%d" % digit * 50 for digit in range(5)])
    spoil(segments(tmp_path)[0], 58 * number + at, 0x44)
    lost, found = consumed(log)
    assert (lost, found) == ([range(number, number + 1)], [other for other in range(5) if other != number])
    writer.append([b"behind it"])
    again = log.open_reader(RAW, 5)
    with pytest.raises(Corrupt):  # whoever is told nothing of what is lost does not pass over it
        again.read(1, MANY, 0)
    log.close()


def test_the_number_of_records_that_are_lost_in_a_row_is_known_by_the_head(tmp_path: Path) -> None:
    log = open_embedded(tmp_path)
    writer = log.open_writer(RAW)
    writer.append([b"%d" % digit * 50 for digit in range(6)])
    with segments(tmp_path)[0].open("r+b") as file:
        file.seek(58 + 1)
        file.write(bytes(2 * 58))  # records 1 and 2, and the begin of 3
    assert consumed(log) == ([range(1, 4)], [0, 4, 5])
    log.close()


def test_records_that_are_copied_in_a_damaged_payload_are_never_taken_for_records(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    frame([b"not received"] * 3, pieces)
    log = open_embedded(tmp_path)
    writer = log.open_writer(RAW)
    writer.append([b"first", b"hostile " + b"".join(pieces), b"last"])
    spoil(segments(tmp_path)[0], 8 + len(b"first") + 1, 0x10)
    assert consumed(log) == ([range(1, 2)], [0, 2])
    log.close()


@pytest.mark.parametrize("written", [4, 30])
def test_a_record_that_is_not_published_yet_is_neither_read_nor_passed_over(tmp_path: Path, written: int) -> None:
    """The writer is in the middle of a flush: some of its bytes are there, and the head does not tell of them."""
    log = open_embedded(tmp_path)
    writer = log.open_writer(RAW)
    writer.append([b"0" * 50, b"1" * 50])
    segment = segments(tmp_path)[0]
    pieces: list[bytes] = []
    frame([b"2" * 50], pieces)
    with segment.open("ab") as file:
        file.write(b"".join(pieces)[:written])
    spoil(segment, 58, 0x44)
    lost: list[range] = []
    consumer = log.open_consumer("group", ["raw"], on_lost=lambda source, offsets, why: lost.append(offsets))
    first = consumer.poll(9, MANY, 0)
    assert first is not None
    assert [record.offset for record in first.records] == [0]
    assert consumer.poll(9, MANY, 0) is None
    assert lost == [range(1, 2)]
    writer.append([b"two"])
    batch = consumer.poll(9, MANY, 0)
    assert batch is not None
    assert [(record.offset, record.payload) for record in batch.records] == [(2, b"two")]
    assert lost == [range(1, 2)]
    log.close()


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=12),
    position=st.integers(0),
    spoilt=st.binary(min_size=1, max_size=80),
    is_sealed=st.booleans(),
)
def test_whatever_is_overwritten_good_records_keep_their_offsets(
    sizes: list[int], position: int, spoilt: bytes, is_sealed: bool
) -> None:
    """Every record is handed out as it was, at its offset, or named lost; none twice, none invented."""
    payloads = [bytes((number,)) * size for number, size in enumerate(sizes)]
    with tempfile.TemporaryDirectory() as folder:
        log = open_embedded(Path(folder), segment_bytes=1 if is_sealed else 1 << 20)
        writer = log.open_writer(RAW)
        writer.append(payloads)
        if is_sealed:
            writer.append([b"next segment"])
            payloads.append(b"next segment")
        segment = segments(Path(folder))[0]
        size_bytes = sum(8 + size for size in sizes)
        with segment.open("r+b") as file:
            file.seek(position % size_bytes)
            file.write(spoilt[: size_bytes - file.tell()])
        lost: list[int] = []
        found: list[tuple[int, bytes]] = []
        consumer = log.open_consumer("group", ["raw"], on_lost=lambda source, offsets, why: lost.extend(offsets))
        while batch := consumer.poll(3, MANY, 0):
            found += batch.records
        log.close()
    assert all(payloads[offset] == payload for offset, payload in found)
    assert sorted([*lost, *(offset for offset, _ in found)]) == list(range(len(payloads)))


@pytest.mark.parametrize("content", [None, b"", bytes(32), b"CLH1" + bytes(28)])
def test_a_head_that_is_gone_or_damaged_is_made_anew(tmp_path: Path, content: bytes | None) -> None:
    write(tmp_path, [b"0", b"1"])
    head = tmp_path / "raw" / "0" / "head"
    head.unlink()
    if content is not None:
        head.write_bytes(content)
    log = open_embedded(tmp_path)
    assert log.bounds(RAW) == (0, 2)
    assert payloads_of(log) == [b"0", b"1"]
    log.close()


@pytest.mark.parametrize("content", [b"", b"12\n", b"%020d 00000000\n" % 7])
def test_a_damaged_offset_is_an_error_and_not_the_start(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, [b"0"])
    log = open_embedded(tmp_path)
    consumer = log.open_consumer("group", ["raw"])
    consumer.poll(1, 1, 0)
    consumer.commit({RAW: 1})
    consumer.close()
    path = tmp_path / ".groups" / "group" / "offsets" / "raw.0"
    assert path.read_bytes().startswith(b"00000000000000000001 ")
    path.write_bytes(content)
    with pytest.raises(Corrupt, match="remove the file"):
        log.committed("group", RAW)
    consumer = log.open_consumer("group", ["raw"])
    for _ in range(2):
        with pytest.raises(Corrupt, match="remove the file"):
            consumer.poll(1, 1, 0)
    path.unlink()
    batch = consumer.poll(1, 1, 0)
    assert batch is not None
    assert batch.records[0].offset == 0
    log.close()


@settings(max_examples=300)
@given(
    payloads=st.lists(st.binary(max_size=50), min_size=1, max_size=6), position=st.integers(0), bit=st.integers(0, 7)
)
def test_any_flipped_bit_is_noticed_at_its_record(payloads: list[bytes], position: int, bit: int) -> None:
    pieces: list[bytes] = []
    frame(payloads, pieces)
    content = bytearray(b"".join(pieces))
    position %= len(content)
    content[position] ^= 1 << bit
    found, _, needed = take(bytes(content), 0, 1000, MANY)
    assert found == payloads[: len(found)]
    assert len(found) < len(payloads)
    assert needed == BAD or needed > 0


@given(size=st.integers(0, 100))
def test_zeros_are_never_a_record(size: int) -> None:
    assert take(bytes(size), 0, 10, MANY)[0] == []
