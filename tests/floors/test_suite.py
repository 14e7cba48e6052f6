"""The rules that `tests/conftest.py` lays on every test, tried on small suites of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parent.parent / "conftest.py"


def run_suite(folder: Path, *files: str, **environment: str) -> tuple[int, str]:
    """Run test files under our conftest; return pytest's exit code and what it printed."""
    tests = folder / "tests"
    tests.mkdir()
    shutil.copy(CONFTEST, tests)
    for number, text in enumerate(files):
        (tests / f"test_{number}.py").write_text("import os, subprocess, sys, pytest\n" + text)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CATCHMENT_", "PYTEST_"))}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", "-p", "no:xdist", str(tests)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**kept, "PYTHONDONTWRITEBYTECODE": "1", **environment},
    )
    return ran.returncode, ran.stdout


SKIPS = (
    'def test_one(): pytest.skip("no broker")\n',
    '@pytest.mark.skipif(True, reason="no store")\ndef test_one(): pass\n',
    '@pytest.fixture\ndef browser(): pytest.skip("no browser")\ndef test_one(browser): pass\n',
    "def test_runs(): pass\n",
)
SKIPS_A_FILE = 'pytest.skip("no engine", allow_module_level=True)\n'


def test_skips_are_listed_with_their_reasons(tmp_path: Path) -> None:
    code, printed = run_suite(tmp_path, *SKIPS, SKIPS_A_FILE)
    assert code == 0
    assert "1 passed, 4 skipped" in printed
    assert all(reason in printed for reason in ("no broker", "no store", "no browser", "no engine"))


def test_skips_are_failures_when_everything_is_required(tmp_path: Path) -> None:
    code, printed = run_suite(tmp_path, *SKIPS, CATCHMENT_REQUIRE="all")
    assert code == 1
    assert "1 failed, 1 passed, 2 errors" in printed
    assert all(reason in printed for reason in ("no broker", "no store", "no browser"))


def test_a_skipped_file_is_a_failure_when_everything_is_required(tmp_path: Path) -> None:
    code, printed = run_suite(tmp_path, "def test_runs(): pass\n", SKIPS_A_FILE, CATCHMENT_REQUIRE="all")
    assert code not in (0, 5)
    assert "no engine" in printed


def test_what_is_allowed_passes(tmp_path: Path) -> None:
    """An expected failure, a process that was awaited, and settings of the machine, which do not reach tests."""
    expected = '@pytest.mark.xfail(reason="known")\ndef test_one(): assert False\n'
    awaited = 'def test_one(): assert subprocess.run(["true"]).returncode == 0\n'
    clean = 'def test_one(): assert "CATCHMENT_EDGE__PORT" not in os.environ\n'
    code, printed = run_suite(tmp_path, expected, awaited, clean, CATCHMENT_REQUIRE="all", CATCHMENT_EDGE__PORT="1")
    assert code == 0, printed


def test_a_process_left_behind_fails_its_test_and_ends(tmp_path: Path) -> None:
    test = (
        'def test_one():\n    child = subprocess.Popen(["sleep", "600"])\n'
        '    open("pid", "w").write(str(child.pid))\n    child.returncode = 0\n'
    )
    code, printed = run_suite(tmp_path, test)
    assert code == 1
    assert "left processes behind" in printed
    assert "sleep 600" in printed
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()
