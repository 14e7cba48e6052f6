"""The table of document ids: a dictionary on disk, whatever the ids, the growth, the other processes and the kills."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import struct
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catchment.errors import Corrupt, Full
from catchment.ingestion.idtable import KEY_BYTES, SLOT_BYTES, IdTable

KEYS = st.one_of(
    st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES), st.sampled_from([b"ab" * 12, b"ba" * 12, bytes(24)])
)
SLOTS = st.binary(min_size=SLOT_BYTES, max_size=SLOT_BYTES)


def key(number: int) -> bytes:
    return struct.pack(">QQQ", number, 0, 1)


def slot(number: int) -> bytes:
    return struct.pack("<QQQQ", number, number, number, number)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.dictionaries(KEYS, SLOTS, max_size=40), max_size=6))
def test_it_is_a_dictionary(tmp_path_factory: pytest.TempPathFactory, steps: list[dict[bytes, bytes]]) -> None:
    path = tmp_path_factory.mktemp("table") / "index"
    table, other = IdTable(path, 1), IdTable(path)
    model: dict[bytes, bytes] = {}
    for slots in steps:
        assert other.find(slots) == {key: model[key] for key in slots if key in model}
        table.store(slots)
        model |= slots
        table, other = other, table
    assert table.find(model) == other.find(model) == model
    assert table.ids == len(model)
    table.close()
    other.close()


def test_an_id_is_found_under_all_its_doctypes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catchment.ingestion.idtable.FIRST_PLACES", 3)
    table = IdTable(tmp_path / "index")
    of_one = {bytes(16) + struct.pack("<Q", number): slot(number) for number in range(300)}
    table.store(of_one)
    table.store({key(number): slot(number) for number in range(1, 1000)})
    assert table.find_all(bytes(16)) == of_one
    assert table.find_all(b"nowhere to be id") == {}


def test_it_grows_under_the_feet_of_another_process_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catchment.ingestion.idtable.FIRST_PLACES", 3)
    table, other = IdTable(tmp_path / "index"), IdTable(tmp_path / "index")
    first_bytes = (tmp_path / "index").stat().st_size
    for start in range(0, 5000, 100):
        table.store({key(number): slot(number) for number in range(start, start + 100)})
        assert len(other.find(map(key, range(start + 100)))) == start + 100
        table, other = other, table
    assert (tmp_path / "index").stat().st_size > 100 * first_bytes
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "index.entries"]


def store_until_killed(path: str, tell: Connection) -> None:
    table, number = IdTable(Path(path)), 0
    while True:
        table.store({key(number + at): slot(number + at) for at in range(50)})
        number += 50
        tell.send(number)


@pytest.mark.parametrize("after", [1, 7, 40])
def test_a_kill_leaves_each_id_there_or_not_and_all_that_were_stored(tmp_path: Path, after: int) -> None:
    heard, tell = multiprocessing.Pipe(duplex=False)
    spawning = multiprocessing.get_context("spawn")
    child = spawning.Process(target=store_until_killed, args=(str(tmp_path / "index"), tell))
    child.start()
    tell.close()
    for _ in range(after):
        assert heard.poll(60)
        stored = heard.recv()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    table = IdTable(tmp_path / "index")
    found = table.find(map(key, range(stored + 1_000_000)))
    assert set(found) >= {key(number) for number in range(stored)}
    assert all(value == slot(struct.unpack(">QQQ", name)[0]) for name, value in found.items())
    table.store({key(number): slot(number) for number in range(stored + 100)})
    assert len(table.find(map(key, range(stored + 100)))) == stored + 100


def test_a_disk_without_room_refuses_before_anything_is_changed(tmp_path: Path) -> None:
    table = IdTable(tmp_path / "index")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    table.store({key(number): slot(number) for number in range(100)})
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, limits[1]))
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(Full, match="free space on this disk"):
            table.store({key(number): slot(number) for number in range(20_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert len(table.find(map(key, range(200)))) == 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "index.entries"]
    table.store({key(number): slot(number) for number in range(20_000)})
    assert table.ids == 20_000


@pytest.mark.parametrize("content", [b"", b"\xff" * 8192, b"CLIDX001" + bytes(9000)])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "index").write_bytes(content)
    with pytest.raises(Corrupt, match="remove index"):
        IdTable(tmp_path / "index")
