"""The examples of docs/dataset.md run, in order, over a platform that has what they ask for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.framed import barn, library

PAGE = Path(__file__).parent.parent.parent / "docs" / "dataset.md"


def test_the_examples_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    library.stock(tmp_path)
    library.stock_of_2018(tmp_path / "archive")
    body = {
        "clientId": "c-1",
        "environment": {"system": {"os": {"name": "Linux"}}},
        "payload": {"info": {"subsessionLength": 60}},
    }
    ping = barn.decoded(5000, doctype="main", body=body)
    library.put(tmp_path, "framed/20261124/telemetry/main/Firefox/release/65.0/b.0-1.heka.zst", ping)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CATCHMENT_HOME__PATH", str(tmp_path))
    known: dict[str, object] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        exec(block.replace("/mnt/archive", str(tmp_path / "archive")), known)
    printed = capsys.readouterr().out
    assert "c-1 Linux" in printed
    assert re.search(r"Linux\s+│\s+1 │\s+60", printed), printed
    assert len(list(known["old"].records())) == 9  # type: ignore[attr-defined]
    assert len(known["files"]) == 3  # type: ignore[arg-type]
