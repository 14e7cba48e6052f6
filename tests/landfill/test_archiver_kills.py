"""An archiver that is killed at any point, any number of times, ships each acknowledged record once."""

from __future__ import annotations

import multiprocessing
import random
import signal
from multiprocessing import connection
from pathlib import Path

import pytest

from tests.dying import chosen
from tests.landfill import yard

RECORDS = 80
SHARDS = 3

_children = multiprocessing.get_context("forkserver")
_children.set_forkserver_preload(["tests.landfill.yard"])


def run_child(home: Path, die_at: int | None, journal: Path | None = None, object_bytes: int = 3000) -> int:
    child = _children.Process(target=yard.run_archiver, args=(home, die_at, journal, object_bytes))
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The crash points that an undisturbed run passes, in order."""
    home = tmp_path_factory.mktemp("undisturbed")
    written = yard.fill(home, RECORDS)
    assert run_child(home, None, home / "journal") == 0
    yard.check(home, written)
    return (home / "journal").read_text().splitlines()


def test_the_crash_points_cover_every_step_of_an_object(points: list[str]) -> None:
    assert {"batch_packed", "object_put", "object_verified", "index_put", "committed"} == set(points)
    assert points.count("committed") > 4 * yard.PARTITIONS


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_kill_at_any_point_ships_each_record_once(tmp_path: Path, points: list[str], shard: int) -> None:
    for die_at in chosen(points)[shard::SHARDS]:
        home = tmp_path / f"home-{die_at}"
        home.mkdir()
        written = yard.fill(home, RECORDS)
        assert run_child(home, die_at) == -signal.SIGKILL, points[die_at - 1]
        assert run_child(home, None) == 0
        yard.check(home, written)


@pytest.mark.parametrize("seed", range(4))
def test_kills_in_a_row_with_other_object_sizes_ship_each_record_once(tmp_path: Path, seed: int) -> None:
    """An object that a killed archiver has put, and not sealed, is longer or shorter than what the next one packs."""
    chance = random.Random(seed)
    written = yard.fill(tmp_path, RECORDS)
    for _ in range(12):
        if run_child(tmp_path, chance.randrange(1, 9), object_bytes=chance.choice([1500, 3000, 9000])) == 0:
            break
    assert run_child(tmp_path, None) == 0
    yard.check(tmp_path, written)


def test_two_archivers_share_the_partitions_and_each_record_is_there_once(tmp_path: Path) -> None:
    written = yard.fill(tmp_path, RECORDS)
    children = [_children.Process(target=yard.run_archiver, args=(tmp_path, None, None, 3000, 0.1)) for _ in range(2)]
    for child in children:
        child.start()
    connection.wait([child.sentinel for child in children])
    for child in children:
        child.terminate()  # the one that did not ship the last record waits for more
        child.join()
    yard.check(tmp_path, written)
