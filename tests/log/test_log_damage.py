"""What a crash, a bad disk or a careless hand leaves: it is mended, kept for inspection and told, never passed over."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catchment.errors import Corrupt, Missing
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
    ("at", "is_one"), [(158 + 20, True), (158 + 4, True), (158 + 2, False), (158, False)], ids=lambda value: str(value)
)
def test_a_consumer_names_the_records_that_damage_has_cost_and_goes_on(tmp_path: Path, at: int, is_one: bool) -> None:
    """One record where its length can be trusted (payload, checksum), else the rest of its segment."""
    sealed = damaged(tmp_path, at)
    first = int(sealed.stem) + 1
    behind = first + 1 if is_one else int(segments(tmp_path)[2].stem)
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


def test_damage_in_the_segment_in_use_waits_until_the_next_record_is_known(tmp_path: Path) -> None:
    write(tmp_path, *[[b"%d" % number * 50] for number in range(5)])
    log = open_embedded(tmp_path, segment_bytes=4096)
    writer = log.open_writer(RAW)
    segment = segments(tmp_path)[0]
    content = bytearray(segment.read_bytes())
    content[58] ^= 4  # the length of record 1
    segment.write_bytes(content)
    lost: list[range] = []
    consumer = log.open_consumer("group", ["raw"], on_lost=lambda source, offsets, why: lost.append(offsets))
    batch = consumer.poll(100, MANY, 0)
    assert batch is not None
    assert len(batch.records) == 1
    with pytest.raises(Corrupt):
        consumer.poll(100, MANY, 0)
    writer.append([bytes(5000)])
    writer.append([b"in the next segment"])
    batch = consumer.poll(100, MANY, 0)
    assert batch is not None
    assert (lost, batch.records[0].payload) == ([range(1, 6)], b"in the next segment")
    log.close()


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
