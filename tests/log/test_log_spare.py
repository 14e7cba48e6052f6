"""The next segment is prepared while the present one fills; whatever becomes of it, the log stays what it was."""

from __future__ import annotations

import errno
import io
import shutil
import threading
from functools import partial
from pathlib import Path

import pytest

from catchment.errors import Unavailable
from catchment.log.embedded.disk import Disk
from catchment.log.embedded.writer import EmbeddedWriter
from tests.log.backends import WITHIN_S
from tests.log.opening import MANY, RAW, open_embedded, payloads_of, segments

SEGMENT_BYTES = 50_000
PREPARED_BYTES = {SEGMENT_BYTES: 53_248, 49_152: 49_152}  # whole blocks of 4096


class ToldDisk(Disk):
    """Tells when a spare was tried; fails as `broken` says."""

    def __init__(self) -> None:
        self.tried = threading.Event()
        self.broken: set[str] = set()
        self.free = 1 << 40

    def zero(self, path: Path, size_bytes: int, stopping: threading.Event) -> None:
        try:
            self._check("zero")
            super().zero(path, size_bytes, stopping)
        finally:
            self.tried.set()

    def rename(self, source: Path, target: Path) -> None:
        self._check("rename")
        super().rename(source, target)

    def free_bytes(self, path: Path) -> int:
        return self.free

    def _check(self, operation: str) -> None:
        if operation in self.broken:
            raise OSError(errno.EIO, "injected")


open_log = partial(open_embedded, segment_bytes=SEGMENT_BYTES, prepare_from_bytes=5000)


def payload(number: int) -> bytes:
    return b"%06d" % number * 100


def fill(writer: EmbeddedWriter, count: int) -> None:
    for _ in range(count):
        writer.append([payload(writer.end)])


def fill_until_prepared(writer: EmbeddedWriter, disk: ToldDisk, root: Path) -> None:
    """Append until the segment in use is a prepared one."""
    fill(writer, 10)
    assert disk.tried.wait(WITHIN_S)
    for _ in range(60):
        if len(segments(root)) > 1:
            return
        fill(writer, 1)
    raise AssertionError("no prepared segment was taken into use")


@pytest.mark.parametrize("segment_bytes", PREPARED_BYTES)
def test_a_partition_that_fills_goes_on_in_prepared_segments_that_end_with_their_records(
    tmp_path: Path, segment_bytes: int
) -> None:
    disk = ToldDisk()
    log = open_log(tmp_path, disk=disk, segment_bytes=segment_bytes)
    writer = log.open_writer(RAW)
    reader = log.open_reader(RAW, 0)
    fill_until_prepared(writer, disk, tmp_path)
    assert segments(tmp_path)[1].stat().st_size == PREPARED_BYTES[segment_bytes]
    found: list[bytes] = []
    for _ in range(300):
        fill(writer, 1)
        found += [record.payload for record in reader.read(1000, MANY, 0)]
    assert found == [payload(number) for number in range(writer.end)]
    log.close()
    bases = [int(path.stem) for path in segments(tmp_path)]
    ends = [*bases[1:], len(found)]
    sizes = [path.stat().st_size for path in segments(tmp_path)]
    assert sizes == [608 * (end - base) for base, end in zip(bases, ends, strict=True)]
    assert not list(tmp_path.rglob("spare"))


def test_what_a_kill_leaves_of_a_prepared_segment_is_no_torn_tail(tmp_path: Path) -> None:
    disk, told = ToldDisk(), io.StringIO()
    log = open_log(tmp_path / "one", disk=disk)
    writer = log.open_writer(RAW)
    fill_until_prepared(writer, disk, tmp_path / "one")
    fill(writer, 20)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    (tmp_path / "two" / "raw" / "0" / "spare").write_bytes(bytes(4096))
    count = writer.end
    log.close()
    again = open_log(tmp_path / "two", told=told)
    writer = again.open_writer(RAW)
    assert (writer.torn, told.getvalue(), writer.end) == (None, "", count)
    assert not list(tmp_path.rglob("spare"))
    fill(writer, 5)
    assert payloads_of(again) == [payload(number) for number in range(count + 5)]
    again.close()


def test_garbage_before_the_zeros_of_a_prepared_segment_is_cut_and_kept(tmp_path: Path) -> None:
    disk = ToldDisk()
    log = open_log(tmp_path / "one", disk=disk)
    writer = log.open_writer(RAW)
    fill_until_prepared(writer, disk, tmp_path / "one")
    count = writer.end
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    log.close()
    size = segments(tmp_path / "one")[-1].stat().st_size
    with segments(tmp_path / "two")[-1].open("r+b") as file:
        file.seek(size + 4096)  # a later block of a torn write reached the disk, the first did not
        file.write(b"torn")
    again = open_log(tmp_path / "two")
    torn = again.open_writer(RAW).torn
    assert torn is not None
    assert (torn.position, torn.lost_bytes, torn.lost_records) == (size, 4100, 0)
    assert torn.saved is not None
    assert torn.saved.read_bytes() == bytes(4096) + b"torn"
    assert payloads_of(again) == [payload(number) for number in range(count)]
    again.close()


def test_a_spare_that_cannot_be_made_is_told_once_a_segment_and_nothing_else_happens(tmp_path: Path) -> None:
    disk, told = ToldDisk(), io.StringIO()
    disk.broken = {"zero"}
    log = open_log(tmp_path, told, disk)
    writer = log.open_writer(RAW)
    fill(writer, 80)
    assert disk.tried.wait(WITHIN_S)
    assert segments(tmp_path)[0].stat().st_size == 608 * 80
    assert payloads_of(log) == [payload(number) for number in range(80)]
    log.close()
    assert told.getvalue().count("segment_not_prepared") == 1


def test_a_machine_without_a_thread_to_spare_refuses_nothing_that_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = io.StringIO()
    log = open_log(tmp_path, told)
    writer = log.open_writer(RAW)
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("spare-"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    fill(writer, 100)
    assert payloads_of(log) == [payload(number) for number in range(100)]
    log.close()
    assert told.getvalue().count("segment_not_prepared") == 1


def test_a_spare_that_would_fill_the_disk_is_not_made(tmp_path: Path) -> None:
    disk = ToldDisk()
    log = open_log(tmp_path, disk=disk, min_free_bytes=1_000_000)
    disk.free = 1_040_000
    writer = log.open_writer(RAW)
    fill(writer, 40)
    log.close()
    assert not disk.tried.is_set()
    assert len(segments(tmp_path)) == 1


def test_a_spare_that_cannot_be_put_in_place_refuses_and_the_next_append_goes_on_without(tmp_path: Path) -> None:
    disk = ToldDisk()
    log = open_log(tmp_path, disk=disk)
    writer = log.open_writer(RAW)
    disk.broken = {"rename"}
    refused = 0
    fill(writer, 10)
    assert disk.tried.wait(WITHIN_S)
    while not refused:
        assert writer.end < 82, "the spare was never tried"
        try:
            fill(writer, 1)
        except Unavailable:
            refused += 1
    disk.broken = set()
    fill(writer, 50)
    assert payloads_of(log) == [payload(number) for number in range(writer.end)]
    assert len(segments(tmp_path)) >= 2
    log.close()


def test_zero_means_never(tmp_path: Path) -> None:
    disk = ToldDisk()
    log = open_embedded(tmp_path, disk=disk, segment_bytes=SEGMENT_BYTES, prepare_from_bytes=0)
    fill(log.open_writer(RAW), 200)
    log.close()
    assert not disk.tried.is_set()


@pytest.mark.parametrize("pieces", [1, 1000, 3000])
def test_a_batch_of_any_number_of_records_goes_into_a_prepared_segment(tmp_path: Path, pieces: int) -> None:
    disk = ToldDisk()
    log = open_log(tmp_path, disk=disk)
    writer = log.open_writer(RAW)
    fill_until_prepared(writer, disk, tmp_path)
    before = payloads_of(log)
    batch = [b"%d" % number for number in range(pieces)]
    writer.append(batch)
    writer.append(batch)
    assert payloads_of(log) == before + batch + batch
    log.close()
