"""Each row is in the table once, whatever kills the writer and whoever writes beside it."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from loading import SHIFT, TABLE
from numbered import SCHEMA, make_rows, numbers

from catchment.errors import Conflict, Fenced, Unavailable
from catchment.lake import commit as commits
from catchment.lake.commit import Span
from catchment.lake.pointers import CatalogAway
from catchment.lake.tables import Lake

POINTS = (
    "before_files",
    "files_written",
    "manifests_written",
    "metadata_written",
    "catalog_updated",
    "committed",
)


def load(home: Path, *arguments: object) -> subprocess.Popen[bytes]:
    script = Path(__file__).parent / "loading.py"
    return subprocess.Popen([sys.executable, str(script), str(home), *map(str, arguments)], stderr=subprocess.PIPE)


def ends(process: subprocess.Popen[bytes], code: int) -> None:
    _, said = process.communicate(timeout=120)
    assert process.returncode == code, said.decode()


def test_each_row_is_there_once_after_a_kill_at_any_point(tmp_path: Path, reopen: Callable[[], Lake]) -> None:
    for number, point in enumerate(POINTS):
        ends(load(tmp_path, "raw/0", 1000, 10, point, number % 2), -signal.SIGKILL)
    ends(load(tmp_path, "raw/0", 200, 20), 0)
    lake = reopen()
    assert numbers(lake, TABLE) == list(range(200))
    assert lake.offsets(TABLE) == {"raw/0": 200}
    assert lake.describe(TABLE).rows == 200


def test_two_processes_fill_one_table_and_nothing_is_lost(tmp_path: Path, reopen: Callable[[], Lake]) -> None:
    both = [load(tmp_path, f"raw/{number}", 150, 5) for number in (0, 1)]
    for process in both:
        ends(process, 0)
    lake = reopen()
    assert numbers(lake, TABLE) == [*range(150), *range(SHIFT, SHIFT + 150)]
    assert lake.offsets(TABLE) == {"raw/0": 150, "raw/1": 150}


def test_a_commit_with_the_wrong_expectation_is_fenced_and_changes_nothing(lake: Lake) -> None:
    lake.ensure(TABLE, SCHEMA)
    lake.commit(TABLE, make_rows(0, 10), {"raw/0": Span(None, 10)})
    for expected in (None, 5, 11):
        with pytest.raises(Fenced, match="read the offsets anew"):
            lake.commit(TABLE, make_rows(10, 10), {"raw/0": Span(expected, 20), "raw/1": Span(None, 4)})
    assert numbers(lake, TABLE) == list(range(10))
    assert lake.offsets(TABLE) == {"raw/0": 10}


def test_a_zombie_that_wakes_after_its_successor_is_fenced_and_leaves_no_files(
    tmp_path: Path, lake: Lake, reopen: Callable[[], Lake]
) -> None:
    lake.ensure(TABLE, SCHEMA)
    successor = reopen()

    def overtaken(point: str) -> None:
        if point == "files_written":
            successor.commit(TABLE, make_rows(0, 10), {"raw/0": Span(None, 10)})

    with pytest.raises(Fenced):
        lake.commit(TABLE, make_rows(0, 10), {"raw/0": Span(None, 10)}, at=overtaken)
    assert numbers(lake, TABLE) == list(range(10))
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


def test_a_conflict_is_tried_again_on_the_new_version(lake: Lake, reopen: Callable[[], Lake]) -> None:
    lake.ensure(TABLE, SCHEMA)
    other = reopen()
    left = [1, 2, 3]

    def overtaken(point: str) -> None:
        if point == "manifests_written" and left:
            number = left.pop()
            other.commit(TABLE, make_rows(number * 100, 5), {f"raw/{number}": Span(None, 5)})

    lake.commit(TABLE, make_rows(0, 5), {"raw/0": Span(None, 5)}, at=overtaken)
    assert lake.offsets(TABLE) == {f"raw/{number}": 5 for number in range(4)}
    assert numbers(lake, TABLE) == sorted(number * 100 + row for number in range(4) for row in range(5))


def test_a_commit_that_always_loses_gives_up_and_deletes_its_files(
    tmp_path: Path, lake: Lake, reopen: Callable[[], Lake], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "ATTEMPTS", 3)
    monkeypatch.setattr(commits, "_FIRST_PAUSE_S", 0.0)
    lake.ensure(TABLE, SCHEMA)
    other, done = reopen(), [0]

    def overtaken(point: str) -> None:
        if point == "manifests_written":
            recorded, done[0] = done[0], done[0] + 1
            other.commit(TABLE, make_rows(recorded, 1), {"raw/1": Span(recorded or None, done[0])})

    with pytest.raises(Conflict, match="nothing was changed"):
        lake.commit(TABLE, make_rows(100, 5), {"raw/0": Span(None, 5)}, at=overtaken)
    assert numbers(lake, TABLE) == [0, 1, 2]
    assert len(list(tmp_path.rglob("*.parquet"))) == 3


@pytest.mark.parametrize("point", ["metadata_written", "catalog_updated"])
def test_an_error_of_the_catalog_is_resolved_by_reading_back(lake: Lake, events: io.StringIO, point: str) -> None:
    lake.ensure(TABLE, SCHEMA)

    def breaks(name: str) -> None:
        if name == point:
            raise CatalogAway("disk I/O error")

    if point == "catalog_updated":
        assert lake.commit(TABLE, make_rows(0, 5), {"raw/0": Span(None, 5)}, at=breaks).rows == 5
        assert "lake_commit_found" in events.getvalue()
    else:
        with pytest.raises(Unavailable, match="nothing was changed"):
            lake.commit(TABLE, make_rows(0, 5), {"raw/0": Span(None, 5)}, at=breaks)
        lake.commit(TABLE, make_rows(0, 5), {"raw/0": Span(None, 5)})
    assert numbers(lake, TABLE) == list(range(5))
    assert lake.offsets(TABLE) == {"raw/0": 5}


def test_without_rows_nothing_is_committed(lake: Lake) -> None:
    lake.ensure(TABLE, SCHEMA)
    assert lake.commit(TABLE, SCHEMA.empty_table(), {"raw/0": Span(None, 7)}).snapshot_id is None
    assert lake.offsets(TABLE) == {}


def test_a_hundred_commits_keep_lists_and_metadata_short(tmp_path: Path, lake: Lake) -> None:
    lake.ensure(TABLE, SCHEMA)
    for number in range(100):
        lake.commit(TABLE, make_rows(number, 1), {"raw/0": Span(number or None, number + 1)})
    table = lake.load(TABLE)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert len(snapshot.manifests(table.io)) < 25
    assert len(list(tmp_path.rglob("*.metadata.json"))) <= 21
    assert numbers(lake, TABLE) == list(range(100))
