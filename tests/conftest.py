"""What every test stands on: skips that may not hide, the shared data, a clean environment, no processes left behind.

- With `CATCHMENT_REQUIRE=all` a skip is a failure, also one at collection; without it, pytest's closing summary lists
  each skip with its reason.
- `shared_data` is the folder of real schemas and pings that lies beside the checkout (or that `CATCHMENT_SHARED_DATA`
  names); a test that asks for it is skipped where it is absent.
- Variables that configure Catchment are taken out of the environment, so that no test depends on the machine's.
- A test that leaves a child process behind fails, and the process is killed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent
MAY_NOT_SKIP = os.environ.get("CATCHMENT_REQUIRE") == "all"
ENDS_WITHIN_S = 5.0
STAYS = ("multiprocessing.forkserver", "resource_tracker", "catchment-postgres-", "postgres: ", "catchment-engine-")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell sets it for what runs in its background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else no process of a test could be stopped by Ctrl-C

settings.register_profile("desk", deadline=None)
settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


def pytest_configure(config: pytest.Config) -> None:
    for variable in [name for name in os.environ if name.startswith("CATCHMENT_") and "__" in name]:
        del os.environ[variable]
    os.environ.pop("CATCHMENT_CONFIG", None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report: Any = yield
    if MAY_NOT_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        _fail_instead(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    report: Any = yield
    if MAY_NOT_SKIP and report.skipped:
        _fail_instead(report)
    return report


def _fail_instead(report: Any) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid}: not run, and CATCHMENT_REQUIRE=all allows no skip. {reason}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with `pipeline-schemas/` and `firefox-pings/`. Read-only; never copied into the repository."""
    path = Path(os.environ.get("CATCHMENT_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"real schemas and pings are not on this machine (looked in {path}); set CATCHMENT_SHARED_DATA")
    return path


@pytest.fixture
def platform_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home for a platform, with the test's folder as working directory so that no `catchment.toml` is near."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CATCHMENT_HOME__PATH", str(home))
    return home


@pytest.fixture(autouse=True)
def no_process_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    before = _children()
    yield
    left = [child for child in _children() - before if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    if not left:
        return
    _, alive = psutil.wait_procs(left, timeout=ENDS_WITHIN_S)
    if alive:
        names = ", ".join(f"{child.pid} {' '.join(_command(child))[:200]}" for child in alive)
        for child in alive:
            child.kill()
        psutil.wait_procs(alive, timeout=ENDS_WITHIN_S)
        pytest.fail(f"{request.node.nodeid} left processes behind: {names}; close what the test starts", pytrace=False)


def _children() -> set[psutil.Process]:
    """Descendants of this process, but for what stays as long as it: multiprocessing's tracker, servers."""
    found = psutil.Process().children(recursive=True)
    return {child for child in found if not any(word in " ".join(_command(child)) for word in STAYS)}


def _command(child: psutil.Process) -> list[str]:
    try:
        return child.cmdline()
    except psutil.Error:  # it ended meanwhile
        return []
