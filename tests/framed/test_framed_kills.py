"""A writer of the framed lake that is killed at any point, any number of times, puts each document once."""

from __future__ import annotations

import multiprocessing
import random
import signal
from pathlib import Path

import pytest

from tests.dying import chosen
from tests.framed import barn

DOCUMENTS = 30

_children = multiprocessing.get_context("forkserver")
_children.set_forkserver_preload(["tests.framed.barn"])


def run_child(home: Path, die_at: int | None, journal: Path | None = None, **options: object) -> int:
    child = _children.Process(target=barn.run_writer, args=(home, die_at, journal), kwargs=options)
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The crash points that an undisturbed run passes, in order."""
    home = tmp_path_factory.mktemp("undisturbed")
    wanted = barn.fill(home, DOCUMENTS)
    assert run_child(home, None, home / "journal") == 0
    barn.check(home, wanted)
    return (home / "journal").read_text().splitlines()


def test_the_crash_points_cover_every_step_of_a_range(points: list[str]) -> None:
    assert {"batch_taken", "plan_put", "object_put", "committed"} == set(points)
    assert points.count("object_put") > 8


def test_each_document_is_put_once_whichever_point_the_writer_dies_at(tmp_path: Path, points: list[str]) -> None:
    for die_at in chosen(points):
        home = tmp_path / str(die_at)
        wanted = barn.fill(home, DOCUMENTS)
        assert run_child(home, die_at) in (0, -signal.SIGKILL)  # the partitions' order may pass fewer points
        assert run_child(home, None) == 0
        barn.check(home, wanted)


def test_after_a_crash_other_settings_and_schemas_do_not_move_what_was_planned(
    tmp_path: Path, points: list[str]
) -> None:
    wanted = barn.fill(tmp_path, DOCUMENTS)
    assert run_child(tmp_path, points.index("object_put") + 1) == -signal.SIGKILL
    assert run_child(tmp_path, None, doctypes=("shop.*",), channels=("*",), object_age_s=0.3) == 0
    barn.check_plans(tmp_path)
    there = [payload for payloads in barn.held(tmp_path).values() for payload in payloads]
    assert len(there) == len(set(there))
    assert set(wanted) <= set(there)
    assert 0 < sum(b"order" in payload for payload in there) < DOCUMENTS, (
        "the planned range keeps the rules of its time"
    )


def test_killed_again_and_again_it_still_puts_each_document_once(tmp_path: Path) -> None:
    wanted = barn.fill(tmp_path, DOCUMENTS)
    draw = random.Random(5)
    for _ in range(5):
        assert run_child(tmp_path, draw.randrange(1, 12)) in (0, -signal.SIGKILL)
    assert run_child(tmp_path, None) == 0
    barn.check(tmp_path, wanted)
