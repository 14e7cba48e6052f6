"""Promotion that is killed at any step, also beside a loader: run again, each row is there once, with its value."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from test_promotion import NEW, OLD, TABLE, load, rows_of

from catchment.lake.leftovers import COLUMN
from catchment.lake.promotion import progress, promote
from catchment.lake.tables import Lake
from tests.dying import chosen

SCRIPT = Path(__file__).parent / "promoting.py"
ROWS = 12


def fill(lake: Lake) -> None:
    """Two days of three files, two rows each; every second has a coupon, which stays left over."""
    for number in range(0, ROWS, 2):
        documents = [{"a": "x", "n": number}, {"n": number + 1, "coupon": "C"}]
        load(lake, OLD, documents, day=number // (ROWS // 2))


def start(home: Path, *arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(SCRIPT), str(home), *map(str, arguments)], stderr=subprocess.PIPE)


def ends(process: subprocess.Popen[bytes], code: int) -> None:
    _, said = process.communicate(timeout=120)
    assert process.returncode == code, said.decode()


def check(lake: Lake, more: int = 0) -> None:
    found = rows_of(lake)
    assert sorted(row["n"] for row in found) == list(range(ROWS + more))
    assert [row[COLUMN] for row in found if row["n"] < ROWS and row["n"] % 2] == ['{"coupon":"C"}'] * (ROWS // 2)
    assert lake.offsets(TABLE) == {"raw/0": ROWS + more}
    assert lake.describe(TABLE).rows == ROWS + more
    assert progress(lake, TABLE, NEW).is_done


def test_a_kill_at_any_step_costs_no_row_and_doubles_none(tmp_path: Path, reopen: Callable[[], Lake]) -> None:
    lake = reopen()
    fill(lake)
    lake.close()
    kept = tmp_path.parent / f"{tmp_path.name}-filled"
    shutil.copytree(tmp_path, kept)
    ends(start(tmp_path, tmp_path / "journal"), 0)
    points = (tmp_path / "journal").read_text().splitlines()
    assert {"file_rewritten", "manifests_written", "catalog_updated", "group_committed", "day_settled"} <= set(points)
    check(reopen())
    for number in chosen(points):
        shutil.rmtree(tmp_path)
        shutil.copytree(kept, tmp_path)
        ends(start(tmp_path, tmp_path / "journal", number), -signal.SIGKILL)
        lake = reopen()
        for _ in promote(lake, TABLE, NEW):
            pass
        check(lake)
    shutil.rmtree(kept)


def test_what_a_kill_left_done_is_not_done_again(tmp_path: Path, reopen: Callable[[], Lake]) -> None:
    fill(reopen())
    ends(start(tmp_path, tmp_path / "journal"), 0)
    whole = (tmp_path / "journal").read_text().splitlines()
    first_day = whole.index("day_settled") + 1
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    fill(reopen())
    ends(start(tmp_path, tmp_path / "journal", first_day), -signal.SIGKILL)
    ends(start(tmp_path, tmp_path / "journal"), 0)
    rest = (tmp_path / "journal").read_text().splitlines()
    assert rest.count("file_rewritten") == whole.count("file_rewritten") // 2
    check(reopen())


def test_a_loader_beside_it_loses_nothing(tmp_path: Path, reopen: Callable[[], Lake]) -> None:
    lake = reopen()
    fill(lake)
    process = start(tmp_path, tmp_path / "journal")
    for number in range(8):
        load(lake, OLD if number % 2 else NEW, [{"n": ROWS + number}])
    ends(process, 0)
    ends(start(tmp_path, tmp_path / "journal"), 0)
    check(reopen(), more=8)
