"""The two ways of marking, C and Python, agree byte for byte; kills and full disks in the middle of a batch."""

from __future__ import annotations

import multiprocessing
import os
import resource
import secrets
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catchment.clock import ManualClock
from catchment.errors import Corrupt, Full
from catchment.events import Events
from catchment.ingestion import idtable
from catchment.ingestion.deduplication import DeduplicationSettings, Deduplicator, Sighting
from catchment.ingestion.marking import Repeat

HOUR = 3_600_000_000_000
NOON = 1_530_000_000 * 1_000_000_000
WAYS = ("compiled", "plain")
NEEDS_COMPILED = pytest.mark.skipif(
    idtable.compiled is None,
    reason="no C compiler was there when Catchment was installed; ids are looked up by Python alone",
)
TOGETHER = 3000


@contextmanager
def marking(way: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if way == "plain":
            patch.setattr(idtable, "compiled", None)
        yield


def opened(directory: Path, window_h: float = 25.0) -> Deduplicator:
    return Deduplicator(directory, DeduplicationSettings(window_h), ManualClock(NOON), Events("loader", StringIO()))


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


TIMES = st.one_of(
    st.integers(-120, 120).map(lambda half_hours: NOON + half_hours * HOUR // 2),
    st.sampled_from([NOON + hours * HOUR + ns for hours in (-50, -25, 25, 50) for ns in (-1, 0, 1)]),
    st.sampled_from([-(2**63), -(2**63) + 25 * HOUR, -1, 0, 1, 2**63 - 25 * HOUR - 1, 2**63 - 1]),
)
SIGHTINGS = st.builds(
    Sighting,
    st.integers(0, 4).map(lambda number: struct.pack(">QQQ", 0, 0, number)),
    TIMES,
    st.sampled_from([0, 7, 2**32 - 1]),
    st.integers(0, 2),
    st.integers(0, 12),
)


@NEEDS_COMPILED
@settings(max_examples=40, deadline=None)
@given(
    runs=st.lists(
        st.tuples(
            st.sampled_from([25.0, 25.0, 10.0]),
            st.booleans(),
            st.lists(st.lists(SIGHTINGS, max_size=70), max_size=4),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_both_ways_give_the_same_answers_and_the_same_files(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[float, bool, list[list[Sighting]]]]
) -> None:
    """Batch after batch; after a restart, with another length of the window, or with the index gone as well."""
    answers: list[list[list[Repeat | None]]] = []
    left = []
    for way in WAYS:
        directory = tmp_path_factory.mktemp(way)
        answers.append([])
        with marking(way), pytest.MonkeyPatch.context() as patch:
            patch.setattr(idtable, "FIRST_PLACES", 3)
            patch.setattr(secrets, "randbits", lambda bits: 0x123456789ABCDEF & (1 << bits) - 1)
            names = iter(range(100))
            patch.setattr(secrets, "token_hex", lambda _, names=names: f"{next(names):02d}")
            for window_h, is_crash, batches in runs:
                if is_crash:
                    for boot in directory.glob("*/boot"):
                        boot.write_text("another boot")
                ids = opened(directory, window_h)
                answers[-1] += [ids.mark(batch) for batch in batches]
                ids.sync()
                ids.close()
        left.append(files(directory))
    assert answers[0] == answers[1]
    assert left[0] == left[1]


@NEEDS_COMPILED
@pytest.mark.parametrize(
    "sighting",
    [
        ("text", 0, 0, 0, 0),
        (b"short", 0, 0, 0, 0),
        (bytes(24), 0, 0, 0),
        (bytes(24), 2**63, 0, 0, 0),
        (bytes(24), 0, 2**32, 0, 0),
        (bytes(24), 0, 0, -1, 0),
        (bytes(24), 0, 0, 0, 2**63),
        [bytes(24), 0, 0, 0, 0],
    ],
)
def test_what_is_no_sighting_is_refused_before_any_is_entered(tmp_path: Path, sighting: object) -> None:
    ids = opened(tmp_path)
    good = Sighting(bytes(24), 0, 0, 0, 0)
    with pytest.raises((TypeError, OverflowError)):
        ids.mark([good, sighting])  # type: ignore[list-item]
    assert ids.mark([good._replace(offset=1)]) == [None]
    ids.close()


def batch(number: int) -> list[Sighting]:
    """Every third sighting repeats one of the same batch or of the one before."""
    first = number * TOGETHER
    return [
        Sighting(
            struct.pack(">QQQ", at if at % 3 else max(at - TOGETHER // 2 * (1 + at % 2), 0), 0, 0),
            NOON + at * HOUR // TOGETHER,
            7,
            0,
            at,
        )
        for at in range(first, first + TOGETHER)
    ]


def mark_until_killed(directory: str, way: str, tell: Connection) -> None:
    if way == "plain":
        idtable.compiled = None
    ids = opened(Path(directory))
    number = 0
    while True:
        tell.send([answer is None for answer in ids.mark(batch(number))])
        tell.recv()
        number += 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("after", [1, 2, 5, 9])
def test_a_kill_in_a_batch_leaves_the_first_so_many_decisions_of_it(tmp_path: Path, way: str, after: int) -> None:
    """The heir marks all again, as a loader does that had not committed, and every answer is the first one."""
    expected = opened(tmp_path / "undisturbed")
    heard, tell = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(
        target=mark_until_killed, args=(str(tmp_path / "killed"), way, tell)
    )
    child.start()
    tell.close()
    for number in range(after):
        assert heard.poll(60)
        assert heard.recv() == [answer is None for answer in expected.mark(batch(number))]
        heard.send("go on")
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    heard.close()
    heir = opened(tmp_path / "killed")
    for number in range(after + 1):
        first = expected.mark(batch(number))
        assert [answer is None for answer in heir.mark(batch(number))] == [answer is None for answer in first]
    expected.close()
    heir.close()


@contextmanager
def no_file_over(size_bytes: int) -> Iterator[None]:
    """A disk without room, as far as this process is concerned."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)


@pytest.mark.parametrize("way", WAYS)
def test_a_full_disk_refuses_the_batch_and_room_lets_it_in(tmp_path: Path, way: str) -> None:
    many = [Sighting(struct.pack(">QQQ", at, 1, 1), NOON + at % 2 * 20 * HOUR, 7, 0, at) for at in range(40_000)]
    with marking(way):
        ids = opened(tmp_path)
        assert ids.mark(many[:1000]) == [None] * 1000
        with no_file_over(1024 * 1024), pytest.raises(Full, match="free space on this disk"):
            ids.mark(many)
        assert ids.mark(many) == [None] * 40_000
        assert all(ids.mark([sighting._replace(offset=sighting.offset + 50_000) for sighting in many[::1000]]))
        ids.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_journal_that_found_no_room_is_written_when_there_is_some(tmp_path: Path, way: str) -> None:
    some = [Sighting(struct.pack(">QQQ", at, 1, 1), NOON, 7, 0, at) for at in range(2000)]
    with marking(way):
        ids = opened(tmp_path)
        ids.mark(some[:500])
        ids.sync()
        ids.mark(some)
        with no_file_over(40_000), pytest.raises(Full, match="free space on this disk"):
            ids.sync()
        ids.sync()
        ids.close()
        for boot in tmp_path.glob("*/boot"):
            boot.write_text("another boot")
        heir = opened(tmp_path)
        assert all(heir.mark([sighting._replace(offset=sighting.offset + 5000) for sighting in some]))
        heir.close()


def test_a_full_disk_forgets_no_decision_of_a_half_window_that_was_to_be_closed(tmp_path: Path) -> None:
    """Only so many half-windows stay open; when the journal of one that leaves finds no room, it stays for now."""
    some = [Sighting(struct.pack(">QQQ", at, 1, 1), NOON + at * 26 * HOUR, 7, 0, at) for at in range(40)]
    ids = opened(tmp_path)
    ids.mark(some[:10])
    with no_file_over(60), pytest.raises(Full, match="free space on this disk"):
        ids.mark(some)
    ids.mark(some)
    ids.sync()
    ids.close()
    for boot in tmp_path.glob("*/boot"):
        boot.write_text("another boot")
    heir = opened(tmp_path)
    assert all(heir.mark([sighting._replace(offset=sighting.offset + 50) for sighting in some]))
    heir.close()


@pytest.mark.parametrize("way", WAYS)
def test_an_index_that_points_nowhere_stops_the_marking(tmp_path: Path, way: str) -> None:
    sighting = Sighting(bytes(24), NOON, 7, 0, 1)
    with marking(way):
        ids = opened(tmp_path)
        ids.mark([sighting])
        (index,) = tmp_path.glob("*/index")
        places = bytearray(index.read_bytes())
        at = next(at for at in range(64, len(places), 8) if places[at])
        places[at : at + 5] = b"\xff" * 5
        index.write_bytes(places)
        with pytest.raises(Corrupt, match="remove index"):
            ids.mark([sighting])
        ids.close()
