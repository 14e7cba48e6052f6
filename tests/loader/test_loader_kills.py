"""A loader that is killed at any point, any number of times, leaves each document once."""

from __future__ import annotations

import multiprocessing
import random
import signal
from pathlib import Path

import pytest

from tests.dying import chosen
from tests.loader import scene

RECORDS = 40
SHARDS = 4

_children = multiprocessing.get_context("forkserver")
_children.set_forkserver_preload(["tests.loader.scene"])


def run_child(home: Path, die_at: int | None, journal: Path | None = None) -> int:
    """Run a loader in a process of its own; its exit code (negative: the signal that ended it)."""
    child = _children.Process(target=scene.run_loader, args=(home, die_at, journal))
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


def prepare(home: Path) -> scene.Expected:
    home.mkdir(exist_ok=True)
    log, lake = scene.open_parts(home)
    expected = scene.fill(home, log, RECORDS)
    log.close()
    lake.close()
    return expected


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The crash points that an undisturbed run passes, in order."""
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    expected = prepare(home)
    assert run_child(home, None, home / "journal") == 0
    scene.check(home, expected, RECORDS)
    return (home / "journal").read_text().splitlines()


def test_the_crash_points_cover_every_step_of_a_flush(points: list[str]) -> None:
    kinds = {point.split()[0] for point in points}
    assert {
        "batch_handled",
        "flush_started",
        "outputs_durable",
        "ids_durable",
        "files_written",
        "manifests_written",
        "metadata_written",
        "catalog_updated",
        "table_committed",
        "group_committed",
    } <= kinds


def test_what_comes_during_a_flush_is_handed_out_between_its_tables(tmp_path: Path) -> None:
    """Whoever follows the output topics waits for one table's commit, not for all of them."""
    home = tmp_path / "home"
    expected = prepare(home)
    scene.run_loader(home, None, home / "journal", flush_bytes=6_000)
    scene.check(home, expected, RECORDS)
    kinds = [point.split()[0] for point in (home / "journal").read_text().splitlines()]
    flushes = " ".join(kinds).split("flush_started")[1:]
    between = [flush.partition("group_committed")[0].partition("table_committed")[2] for flush in flushes]
    assert any("batch_handled" in flush and "table_committed" in flush for flush in between), kinds


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_kill_at_any_point_gives_each_document_once(tmp_path: Path, points: list[str], shard: int) -> None:
    for die_at in chosen(points)[shard::SHARDS]:
        home = tmp_path / f"home-{die_at}"
        expected = prepare(home)
        assert run_child(home, die_at) == -signal.SIGKILL, points[die_at - 1]
        assert run_child(home, None) == 0
        scene.check(home, expected, RECORDS)


@pytest.mark.parametrize("seed", range(4))
def test_kills_in_a_row_give_each_document_once(tmp_path: Path, seed: int) -> None:
    random_points = random.Random(seed)
    home = tmp_path / "home"
    expected = prepare(home)
    for _ in range(12):
        if run_child(home, random_points.randrange(1, 25)) == 0:
            break
    assert run_child(home, None) == 0
    scene.check(home, expected, RECORDS)


def test_no_table_topic_or_state_holds_an_address(tmp_path: Path) -> None:
    home = tmp_path / "home"
    prepare(home)
    assert run_child(home, None) == 0
    log, lake = scene.open_parts(home)
    for topic in scene.OUTPUT_TOPICS:
        for partition in range(scene.PARTITIONS):
            reader = log.open_reader(scene.TopicPartition(topic, partition), 0)
            for record in reader.read(1000, 1 << 24, 0):
                assert scene.ADDRESS.encode() not in record.payload
            reader.close()
    for table in lake.tables():
        assert scene.ADDRESS not in str(lake.load(table).scan().to_arrow().to_pylist())
    log.close()


def test_two_loaders_share_the_partitions_and_each_document_is_there_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    expected = prepare(home)
    # A last batch of repeats alone leaves no bytes that could fill a buffer: its offsets are committed after `flush_s`.
    how = {"flush_bytes": 1, "flush_s": 0.05}
    children = [_children.Process(target=scene.run_loader, args=(home, None), kwargs=how) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    scene.check(home, expected, RECORDS)
