"""The table of cases in docs/ingestion.md against the tests: no case is left out, no test is named in vain."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
PAGE = (TESTS.parent / "docs" / "ingestion.md").read_text(encoding="utf-8")
CASES = [f"C{number}" for number in range(1, 57)] + [f"R{number}" for number in range(1, 55)]
BENCHMARKED = {"R53"}

_ROW = re.compile(r"^\| ([CR]\d+)(?:–[CR](\d+))? \| .+? \| (.+?) \| ?(.*?) ?\|$", re.MULTILINE)
_NAMED = re.compile(r"def (test_\w+)\(")
_NUMBERED = re.compile(r"test_((?:[cr]\d+_)+)")


def rows() -> dict[str, tuple[str, list[str]]]:
    """Case → what is said of it, and the tests that are named."""
    found: dict[str, tuple[str, list[str]]] = {}
    for first, last, here, tests in _ROW.findall(PAGE):
        for number in range(int(first[1:]), int(last or first[1:]) + 1):
            case = f"{first[0]}{number}"
            assert case not in found, f"{case} is listed twice"
            found[case] = here, re.findall(r"`(test_\w+)`", tests)
    return found


ROWS = rows()
EXISTING = {name for path in TESTS.rglob("test_*.py") for name in _NAMED.findall(path.read_text(encoding="utf-8"))}


def test_every_case_is_listed_once() -> None:
    assert sorted(ROWS) == sorted(CASES)


def test_every_case_is_tested_or_its_deviation_has_a_reason() -> None:
    for case, (here, tests) in ROWS.items():
        word = re.match(r"same|differs: \S+ \S+|part of \S+|none: \S+ \S+", here)
        assert word is not None, f"{case}: {here!r} says neither same, differs: why, part of what, nor none: why"
        if here.startswith(("same", "differs")) and case not in BENCHMARKED:
            assert tests, f"{case} names no test"


def test_every_test_that_is_named_exists() -> None:
    named = {name for _, tests in ROWS.values() for name in tests}
    assert named <= EXISTING, f"no such test: {named - EXISTING}"


def test_every_test_with_a_number_is_named_at_its_case() -> None:
    for name in EXISTING:
        numbered = _NUMBERED.match(name)
        for number in numbered[1].split("_")[:-1] if numbered else []:
            assert name in ROWS[number.upper()][1], f"{name} is not named at {number.upper()}"
