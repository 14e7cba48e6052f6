"""A service tells where it runs, and works all the same where it cannot."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from catchment import service
from catchment.events import Events
from catchment.service import RunFile

RUN = RunFile("edge-0", "edge", os.getpid(), 1, "127.0.0.1", 0, 4000)


def test_a_service_has_a_run_file_while_it_runs(tmp_path: Path) -> None:
    with service.announcing(tmp_path, RUN, Events("edge-0", io.StringIO())) as announce:
        announce(8000)
        assert [run.port for run in service.read_run_files(tmp_path)] == [8000]
    assert service.read_run_files(tmp_path) == []


def test_a_full_disk_does_not_keep_a_service_from_working(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    said = io.StringIO()
    monkeypatch.setattr(Path, "write_bytes", full)
    with service.announcing(tmp_path, RUN, Events("edge-0", said)) as announce:
        announce(8000)
    assert "run_file_not_written" in said.getvalue() and "service_started" in said.getvalue()
    assert service.read_run_files(tmp_path) == []
