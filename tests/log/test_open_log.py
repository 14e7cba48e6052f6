"""Opening the log that the settings name, and what is refused."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from catchment import config
from catchment.clock import SystemClock
from catchment.errors import BadConfig
from catchment.events import Events
from catchment.log.open import open_log
from catchment.log.port import Log, Retention
from catchment.log.settings import LogSettings, retention_of


def open_url(url: str, home: Path) -> Log:
    return open_log(LogSettings(url=url), home, SystemClock(), Events("test", io.StringIO()))


def test_a_relative_directory_is_below_the_home_and_is_made(tmp_path: Path) -> None:
    log = open_url("file:deep/log", tmp_path)
    log.create("raw", 1)
    assert (tmp_path / "deep" / "log" / "raw" / "0").is_dir()


def test_an_absolute_directory_is_taken_as_it_is(tmp_path: Path) -> None:
    for form in (f"file:{tmp_path}/absolute", f"file://{tmp_path}/absolute"):
        open_url(form, tmp_path / "home").create("raw", 1)
    assert (tmp_path / "absolute" / "raw" / "0").is_dir()
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("url", ["", "log", "ftp://host/log", "FILE:log"])
def test_an_unknown_scheme_names_the_known_ones(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadConfig, match="`file:`"):
        open_url(url, tmp_path)


def test_a_url_without_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="names no directory"):
        open_url("file:", tmp_path)


def test_a_directory_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(BadConfig, match="taken/log"):
        open_url("file:taken/log", tmp_path)


def test_the_backend_is_imported_only_when_it_is_opened() -> None:
    program = "import sys, catchment.log.open; sys.exit('catchment.log.embedded' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], env=dict(os.environ), check=False).returncode == 0


def test_each_setting_has_a_default_that_its_own_rule_takes(tmp_path: Path) -> None:
    loaded = config.load({"log": LogSettings}, environment={"CATCHMENT_LOG__SEGMENT_BYTES": "8192"})
    assert loaded.section(LogSettings) == LogSettings(segment_bytes=8192)


def test_the_platforms_topics_expire_and_submissions_wait_for_the_loader() -> None:
    settings = LogSettings()
    assert retention_of(settings, "raw") == Retention(20 * 1024**3, 7 * 86_400.0, ("loader", "archiver"))
    assert retention_of(settings, "decoded") == Retention(1024**3, 2 * 86_400.0, ("framed",))
    assert retention_of(settings, "errors") == Retention(1024**3, 2 * 86_400.0)
    assert retention_of(settings, "another") == Retention()
