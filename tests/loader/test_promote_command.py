"""`catchment promote`, as somebody calls it who cannot wait."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from catchment.cli.main import main
from catchment.clock import SystemClock
from catchment.document import Document
from catchment.events import Events
from catchment.lake.columns import Columns
from catchment.lake.open import open_lake
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.schemas.registry import RESERVED_COLUMNS
from catchment.schemas.shape import shape_of

TABLE = "shop.order_v1"
OLD: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
NEW: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}, "n": {"type": "integer"}}}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration, a schema, and a table of ten rows that were loaded by the schema before."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "catchment.toml").write_text('[schemas]\npaths = ["schemas"]\nbuiltin = false\n')
    path = tmp_path / "schemas" / "shop" / "order" / "order.1.schema.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(orjson.dumps(NEW))
    lake = open_lake(CatalogSettings(), ObjectsSettings(), tmp_path / "data", SystemClock(), Events("test"))
    columns = Columns(shape_of(OLD, RESERVED_COLUMNS))
    for number in range(10):
        content = {"a": "x", "n": number}
        columns.append(Document("shop", "order", 1, "id", 1_900_000_000 * 10**9, orjson.dumps(content), content))
    rows = columns.take()
    lake.ensure(TABLE, rows.schema)
    lake.commit(TABLE, rows, {})
    lake.close()
    return tmp_path


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["catchment", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_it_tells_how_far_it_is_and_does_the_rest(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "promote", "--show") == 0
    assert "0.0%" in capsys.readouterr().out
    assert call(monkeypatch, "promote", TABLE, "--format", "json") == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["table"], row["rows_moved"], row["is_done"]) == (TABLE, 10, True)
    assert call(monkeypatch, "promote", "--show") == 0
    assert "done" in capsys.readouterr().out


@pytest.mark.parametrize(("table", "why"), [("shop.nothing_v1", "does not exist"), ("shop.refund_v1", "has no schema")])
def test_a_table_that_cannot_be_promoted_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], table: str, why: str
) -> None:
    lake = open_lake(CatalogSettings(), ObjectsSettings(), home / "data", SystemClock(), Events("test"))
    lake.ensure("shop.refund_v1", Columns(shape_of(OLD, RESERVED_COLUMNS)).schema)
    lake.close()
    assert call(monkeypatch, "promote", TABLE, table) == 1
    assert f"table {table} {why}" in capsys.readouterr().err
