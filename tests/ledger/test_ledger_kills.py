"""A ledger that is killed at any point, any number of times, counts each record once."""

from __future__ import annotations

import multiprocessing
import random
import signal
from pathlib import Path

import pytest

from catchment.database.database import open_database
from catchment.database.settings import DatabaseSettings
from tests.ledger import scene
from tests.loader import scene as loading

RECORDS = 40

_children = multiprocessing.get_context("forkserver")
_children.set_forkserver_preload(["tests.ledger.scene"])


def run_child(home: Path, url: str, die_at: int | None, journal: Path | None = None) -> int:
    """Run a ledger in a process of its own; its exit code (negative: the signal that ended it)."""
    child = _children.Process(target=scene.run_ledger, args=(home, url, die_at, journal))
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that is loaded, and not counted."""
    place = tmp_path_factory.mktemp("loaded")
    log, _ = loading.open_parts(place)
    loading.fill(place, log, RECORDS)
    log.close()
    loading.run_loader(place, None)
    return place


@pytest.fixture(scope="module")
def undisturbed(home: Path) -> tuple[object, list[str]]:
    """What a ledger says that nobody kills, and the points that it passes."""
    assert run_child(home, "sqlite:undisturbed.db", None, home / "journal") == 0
    return said(home, "sqlite:undisturbed.db"), (home / "journal").read_text().splitlines()


def said(home: Path, url: str) -> object:
    database = open_database(DatabaseSettings(url=url), home)
    shown = scene.picture(home, database, scene.clock_after())
    database.close()
    return shown


def test_the_crash_points_are_on_both_sides_of_the_commit(undisturbed: tuple[object, list[str]]) -> None:
    assert set(undisturbed[1]) == {"page_made", "positions_moved", "counts_written", "page_added", "rolled_up"}
    assert undisturbed[1].count("page_added") > 3


def test_a_kill_at_any_point_counts_each_record_once(home: Path, undisturbed: tuple[object, list[str]]) -> None:
    expected, points = undisturbed
    for die_at in range(1, len(points) + 1):
        url = f"sqlite:killed-{die_at}.db"
        assert run_child(home, url, die_at) == -signal.SIGKILL, points[die_at - 1]
        assert run_child(home, url, None) == 0
        assert said(home, url) == expected, points[die_at - 1]


def test_kills_in_a_row_count_each_record_once(
    home: Path, undisturbed: tuple[object, list[str]], postgres_url: str
) -> None:
    dice = random.Random(7)
    for _ in range(8):
        run_child(home, postgres_url, dice.randrange(1, 12))
    assert run_child(home, postgres_url, None) == 0
    assert said(home, postgres_url) == undisturbed[0]


def test_a_second_ledger_counts_nothing_twice(home: Path, undisturbed: tuple[object, list[str]]) -> None:
    """Two at once: one of them is refused or finds nothing left to count."""
    url = "sqlite:two.db"
    open_database(DatabaseSettings(url=url), home).close()
    children = [_children.Process(target=scene.run_ledger, args=(home, url, None)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert run_child(home, url, None) == 0
    assert said(home, url) == undisturbed[0]
