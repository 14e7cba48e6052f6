"""A replay that is killed at any point, then run again, gives the rows of one that was not; live loading goes on."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from catchment.errors import Unavailable
from catchment.ingestion.replay.selection import Selection
from tests.loader import scene
from tests.replay import stage

COUNT = 60
SHARDS = 2
SELECTIONS = {"landfill": stage.ALL, "errors": replace(stage.ALL, errors_only=True)}

Plain = dict[str, tuple[list[str], dict[str, list[str]]]]

_children = multiprocessing.get_context("forkserver")
_children.set_forkserver_preload(["tests.replay.stage"])


def run_child(home: Path, selection: Selection, die_at: int | None, resume: bool, journal: Path | None = None) -> int:
    child = _children.Process(target=stage.run_replay, args=(home, selection, die_at, resume, journal))
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that is loaded, archived, and has a mended schema; tables name files by their absolute paths."""
    home = tmp_path_factory.mktemp("loaded") / "home"
    home.mkdir()
    stage.prepare(home, COUNT)
    stage.mend(home)
    shutil.copytree(home, home.with_name("kept"))
    return home


@pytest.fixture
def home(original: Path, undisturbed: Plain) -> Iterator[Path]:
    yield original
    restore(original)


def restore(home: Path) -> None:
    shutil.rmtree(home)
    shutil.copytree(home.with_name("kept"), home)


@pytest.fixture(scope="module")
def undisturbed(original: Path) -> Plain:
    """By source the crash points and the rows of a replay that nobody disturbs."""
    found = {}
    for source, selection in SELECTIONS.items():
        journal = original.with_name("journal")
        assert run_child(original, selection, None, False, journal) == 0
        found[source] = journal.read_text().splitlines(), stage.rows(original)
        restore(original)
    return found


def chosen(points: list[str]) -> list[int]:
    """Of each kind of point the first, and the last of any table, counted from 1."""
    places: dict[str, list[int]] = {}
    for number, point in enumerate(points, start=1):
        places.setdefault(point.split()[0], []).append(number)
    return sorted({number for found in places.values() for number in (found[0], found[-1])})


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("source", SELECTIONS)
def test_a_kill_at_any_point_and_the_same_command_give_the_same_rows(
    home: Path, undisturbed: Plain, source: str, shard: int
) -> None:
    selection = SELECTIONS[source]
    points, rows = undisturbed[source]
    assert {"rows_written", "day_read", "files_rewritten", "catalog_updated", "day_finished"} <= set(points)
    for number, die_at in enumerate(chosen(points)[shard::SHARDS]):
        assert run_child(home, selection, die_at, False) == -signal.SIGKILL, points[die_at - 1]
        assert run_child(home, selection, None, bool(number % 2)) == 0
        assert stage.rows(home) == rows, points[die_at - 1]
        restore(home)


def test_a_resumed_replay_skips_the_finished_days(home: Path, undisturbed: Plain) -> None:
    points, rows = undisturbed["landfill"]
    second = [number for number, point in enumerate(points, start=1) if point == "day_finished"][1]
    assert run_child(home, stage.ALL, second, False) == -signal.SIGKILL
    report = stage.replay(home, resume=True)
    assert (report.skipped, len(report.days)) == (2, 3)
    assert report.total().deliveries == 2 * COUNT
    assert stage.rows(home) == rows


def test_live_commits_and_a_replay_neither_fail_nor_lose(home: Path, undisturbed: Plain) -> None:
    """At every point of the replay at which a table is about to change, the loader commits to the same tables first."""
    rows = undisturbed["landfill"][1]
    live = iter(range(8_000_000, 9_000_000))
    sent = []

    def load_one(point: str) -> None:
        if point not in ("files_rewritten", "manifests_written"):
            return
        number = next(live)
        document_id = str(uuid.UUID(int=number))
        sent.append(document_id)
        log, _ = scene.open_parts(home)
        body = b'{"item": "live"}' if number % 2 else b"no JSON"
        stage.append(log, 0, [stage.record(number, stage.FIRST_NS + number, "order", document_id, body)])
        log.close()
        scene.run_loader(home, None, flush_bytes=1 << 20)

    stage.replay(home, at=load_one)
    after = stage.rows(home)
    assert sent
    for table, held in after.items():
        assert set(rows[table]) <= set(held)
    ids = stage.ids(home, "shop.order_v1")
    assert [ids.count(sent_id) for sent_id in sent[1::2]] == [1] * len(sent[1::2])
    assert len(after["monitoring.errors"]) == len(rows["monitoring.errors"]) + len(sent[::2])
    assert stage.offsets(home)["shop.order_v1"]["raw/0"] > COUNT


def test_a_compaction_at_the_same_time_is_waited_out(home: Path, undisturbed: Plain) -> None:
    from catchment.clock import SystemClock
    from catchment.lake.maintenance import compact
    from catchment.lake.settings import LakeSettings

    rows = undisturbed["landfill"][1]
    compacted = []

    def at(point: str) -> None:
        if point == "files_rewritten":
            _, lake = scene.open_parts(home)
            compacted.append(compact(lake, "shop.order_v1", SystemClock(), LakeSettings(compact_min_files=2))[0])
            lake.close()

    stage.replay(home, at=at)
    assert any(compacted)
    assert stage.rows(home) == rows


def test_only_one_replay_runs_in_a_home(home: Path) -> None:
    refused = []

    def at(point: str) -> None:
        if point == "day_read" and not refused:
            with pytest.raises(Unavailable, match="another replay runs"):
                stage.replay(home)
            refused.append(point)

    stage.replay(home, at=at)
    assert refused
