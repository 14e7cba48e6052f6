"""The command, called in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import Caller


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Caller:
    return Caller(tmp_path, monkeypatch, capsys)
