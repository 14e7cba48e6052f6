"""The reference pages hold what the code holds: nothing is undocumented, nothing documented is gone."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import catchment
from catchment.errors import CatchmentError, Terminal, Transient
from catchment.ingestion.decoder.failure import CODES

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = ("settings.md", "metrics.md", "commands.md")
WRITTEN = sorted(path for path in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")] if path.name not in PAGES)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as the code would write them now; in a process of its own, since it imports every module."""
    folder = tmp_path_factory.mktemp("docs")
    ran = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "render_docs.py"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_a_reference_page_is_what_the_code_says(rendered: Path, page: str) -> None:
    kept = (DOCS / page).read_text(encoding="utf-8").splitlines() if (DOCS / page).exists() else []
    fresh = (rendered / page).read_text(encoding="utf-8").splitlines()
    difference = "\n".join(difflib.unified_diff(kept, fresh, f"docs/{page}", "the code", lineterm="", n=1))
    assert not difference, f"run `make docs` and read what changed:\n{difference}"


def first_cells(page: str) -> list[str]:
    """What stands in backticks in the first column of a page's tables."""
    return re.findall(r"^\| `([^`]+)`", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)


def test_every_setting_and_metric_tells_its_meaning(rendered: Path) -> None:
    for page in ("settings.md", "metrics.md"):
        for row in re.findall(r"^\| `.*", (rendered / page).read_text(encoding="utf-8"), re.MULTILINE):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)]
            assert any(" " in cell and cell.endswith(".") for cell in cells), f"{page}: {row} has no sentence"


def test_every_error_code_is_documented_once_and_exists() -> None:
    documented = first_cells("errors.md")
    assert len(documented) == len(set(documented))
    assert sorted(documented) == sorted(error_codes())


def error_codes() -> list[str]:
    """Codes of the error tree, its branches left out, and of the decoder's refusals."""
    for module in pkgutil.walk_packages(catchment.__path__, "catchment."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    codes = set()
    pending: list[type[CatchmentError]] = [Transient, Terminal]
    while pending:
        children = [kind for kind in pending.pop().__subclasses__() if kind.__module__.startswith("catchment")]
        codes |= {kind.code for kind in children}
        pending += children
    return [*codes, *CODES]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_in_a_page_exist(path: Path, rendered: Path) -> None:
    """Variables, metrics and make targets that a written page names are those of the code."""
    text = path.read_text(encoding="utf-8")
    settings = (rendered / "settings.md").read_text(encoding="utf-8")
    metrics = (rendered / "metrics.md").read_text(encoding="utf-8")
    unknown = [
        name
        for name in re.findall(r"CATCHMENT_[A-Z0-9]+__[A-Z0-9_]+", text)
        if f"`{name}`" not in settings and f"`{name.rpartition('__')[0]}`" not in settings
    ]
    unknown += [
        name
        for name in re.findall(r"`(catchment_[a-z0-9_]+)", text)
        if f"`{re.sub('_(bucket|sum|count)$', '', name)}`" not in metrics
    ]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z][a-z0-9-]*)`", text):
        benchmark = ROOT / "benchmarks" / (target.removeprefix("bench-").replace("-", "_") + ".py")
        if not re.search(rf"^{target}:", makefile, re.MULTILINE) and not benchmark.exists():
            unknown.append(f"make {target}")
    assert not unknown, f"{path.relative_to(ROOT)} names what does not exist: {unknown}"
