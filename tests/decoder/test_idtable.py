"""The table of document ids: a dictionary on disk, whatever the ids, the growth, the other processes and the kills."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import struct
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catchment.errors import Corrupt, Full
from catchment.ingestion import idtable, sightings
from catchment.ingestion.idtable import ENTRY_BYTES, KEY_BYTES, SLOT_BYTES, IdTable

KEYS = st.one_of(
    st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES), st.sampled_from([b"ab" * 12, b"ba" * 12, bytes(24)])
)
TOGETHER = 2000
SLOTS = st.binary(min_size=SLOT_BYTES, max_size=SLOT_BYTES)


@pytest.fixture(scope="module", params=["compiled", "plain"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "plain":
            patch.setattr(idtable, "compiled", None)
        elif idtable.compiled is None:
            pytest.skip("no C compiler was there when Catchment was installed; ids are looked up by Python alone")
        yield request.param


def key(number: int) -> bytes:
    return struct.pack(">QQQ", number, 0, 1)


def slot(number: int) -> bytes:
    return struct.pack("<qqIIq", number, number, 7, 0, number)


def store(table: IdTable, slots: Mapping[bytes, bytes]) -> None:
    """Enter new keys, in the way that is tested."""
    table.reserve(len(slots))
    sightings.merge(table, b"".join(name + value for name, value in slots.items()))


def found(table: IdTable, numbers: range) -> dict[int, bytes]:
    table.follow()
    slots = {number: table.get(key(number)) for number in numbers}
    return {number: value for number, value in slots.items() if value is not None}


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.dictionaries(KEYS, SLOTS, max_size=40), max_size=6))
def test_it_is_a_dictionary(tmp_path_factory: pytest.TempPathFactory, steps: list[dict[bytes, bytes]]) -> None:
    path = tmp_path_factory.mktemp("table") / "index"
    table, other = IdTable(path, 1), IdTable(path)
    model: dict[bytes, bytes] = {}
    for slots in steps:
        other.follow()
        assert [other.get(name) for name in slots] == [model.get(name) for name in slots]
        table.reserve(len(slots))
        for name, value in slots.items():
            table.put(name, value)
        model |= slots
        table, other = other, table
    table.follow()
    for name, value in model.items():
        assert table.get(name) == other.get(name) == value
    assert table.ids == len(model)
    table.close()
    other.close()


def test_an_id_is_found_under_all_its_doctypes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idtable, "FIRST_PLACES", 3)
    table = IdTable(tmp_path / "index")
    of_one = {bytes(16) + struct.pack("<Q", number): slot(number) for number in range(300)}
    store(table, of_one)
    store(table, {key(number): slot(number) for number in range(1, 1000)})
    assert table.find_all(bytes(16)) == of_one
    assert table.find_all(b"nowhere to be id") == {}


def test_it_grows_under_the_feet_of_another_process_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idtable, "FIRST_PLACES", 3)
    table, other = IdTable(tmp_path / "index"), IdTable(tmp_path / "index")
    first_bytes = (tmp_path / "index").stat().st_size
    for start in range(0, 5000, 100):
        store(table, {key(number): slot(number) for number in range(start, start + 100)})
        assert len(found(other, range(start + 100))) == start + 100
        table, other = other, table
    assert (tmp_path / "index").stat().st_size > 100 * first_bytes
    assert (tmp_path / "index").stat().st_size < 18 * 5000 + 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "index.entries"]


def store_until_killed(path: str, way: str, tell: Connection) -> None:
    if way == "plain":
        idtable.compiled = None
    table, number = IdTable(Path(path)), 0
    while True:
        store(table, {key(number + at): slot(number + at) for at in range(TOGETHER)})
        number += TOGETHER
        tell.send(number)
        tell.recv()


@pytest.mark.parametrize("after", [1, 7, 20])
def test_a_kill_leaves_each_id_there_or_not_and_all_that_were_stored(tmp_path: Path, after: int, way: str) -> None:
    heard, tell = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(
        target=store_until_killed, args=(str(tmp_path / "index"), way, tell)
    )
    child.start()
    tell.close()
    for _ in range(after):
        assert heard.poll(60)
        stored = heard.recv()
        heard.send("go on")
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    heard.close()
    table = IdTable(tmp_path / "index")
    left = found(table, range(stored + 2 * TOGETHER))
    assert set(left) >= set(range(stored))
    assert all(value == slot(number) for number, value in left.items())
    assert len(left) <= table.ids
    store(table, {key(number): slot(number) for number in range(stored + 100)})
    assert len(found(table, range(stored + 100))) == stored + 100


@pytest.mark.parametrize("written", ["nothing", "half the entry", "the entry", "the count"])
def test_a_kill_between_the_writes_of_an_id_leaves_it_absent_and_the_table_whole(tmp_path: Path, written: str) -> None:
    """An id is an entry, then the count of entries, then a place; what stands there before the place counts nothing."""
    table = IdTable(tmp_path / "index")
    store(table, {key(number): slot(number) for number in range(100)})
    begin = 64 + 100 * ENTRY_BYTES
    if written != "nothing":
        size = ENTRY_BYTES // 2 if written == "half the entry" else ENTRY_BYTES
        table.entries[begin : begin + size] = (key(100) + slot(100))[:size]
    if written == "the count":
        struct.pack_into("<Q", table.entries, 8, 101)
    table.close()
    table = IdTable(tmp_path / "index")
    assert set(found(table, range(200))) == set(range(100))
    store(table, {key(number): slot(number) for number in range(20_000)})  # grows: the index is made from the entries
    assert found(table, range(20_000)) == {number: slot(number) for number in range(20_000)}


def test_a_disk_without_room_refuses_before_anything_is_changed(tmp_path: Path) -> None:
    table = IdTable(tmp_path / "index")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    store(table, {key(number): slot(number) for number in range(100)})
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, limits[1]))
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(Full, match="free space on this disk"):
            store(table, {key(number): slot(number) for number in range(20_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert len(found(table, range(200))) == 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "index.entries"]
    store(table, {key(number): slot(number) for number in range(20_000)})
    assert table.ids == 20_000


@pytest.mark.parametrize("content", [b"", b"\xff" * 8192, b"CLIDX001" + bytes(9000), b"CLIDX001\1".ljust(64, b"\0")])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "index").write_bytes(content)
    with pytest.raises(Corrupt, match="remove index"):
        IdTable(tmp_path / "index")


def test_more_entries_than_the_file_holds_are_refused(tmp_path: Path) -> None:
    IdTable(tmp_path / "index").close()
    entries = tmp_path / "index.entries"
    entries.write_bytes(entries.read_bytes()[:8] + struct.pack("<Q", 10**9) + entries.read_bytes()[16:])
    with pytest.raises(Corrupt, match="remove index"):
        IdTable(tmp_path / "index")


def test_an_index_that_points_outside_the_entries_or_has_no_end_is_refused(tmp_path: Path) -> None:
    table = IdTable(tmp_path / "index")
    store(table, {key(1): slot(1)})
    places = memoryview(table.index)[64:].cast("Q")
    (at,) = [number for number, place in enumerate(places) if place]
    tag = places[at] >> 40 << 40
    for number in (2**40 - 1, len(table.entries) // ENTRY_BYTES + 1):
        places[at] = tag | number
        with pytest.raises(Corrupt, match="remove index"):
            store(table, {key(1): slot(1)})
        with pytest.raises(Corrupt, match="remove index"):
            table.get(key(1))
    for number in range(len(places)):
        places[number] = (tag ^ 1 << 40) | 1  # all taken, by another key
    with pytest.raises(Corrupt, match="remove index"):
        store(table, {key(1): slot(1)})
    places.release()
