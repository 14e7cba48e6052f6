"""`catchment limits` on a home where something was deferred, and on one where nothing was."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from catchment.cli.main import cli
from catchment.database.database import open_database
from catchment.database.settings import DatabaseSettings
from catchment.ingestion.limits.settings import LimitSettings
from tests.ledger import scene as counting
from tests.loader import scene


@pytest.fixture
def flooded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    log, _ = scene.open_parts(tmp_path)
    scene.fill(tmp_path, log, 40)
    log.close()
    scene.run_loader(tmp_path, None, limits=LimitSettings(doctypes=("shop/order=0.001:3",)))
    database = open_database(DatabaseSettings(), tmp_path)
    counting.count_all(tmp_path, database, counting.clock_after())
    database.close()
    monkeypatch.setenv("CATCHMENT_HOME__PATH", str(tmp_path))
    monkeypatch.setenv("CATCHMENT_LIMITS__DOCTYPES", "shop/order=0.001:3")
    return tmp_path


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["limits", "--since", "2026-09-01", *arguments])


def test_the_limits_and_what_came_over_them(flooded: Path) -> None:
    answer = ask()
    assert answer.exit_code == 0, answer.output
    words = " ".join(answer.output.split())
    assert "shop/order 0.001 3" in words
    assert "all others no limit" in words
    assert "Each holds for each of 2 edge workers." in words
    document = orjson.loads(ask("--format", "json").output)
    (line,) = document["deferred"]
    assert (line["namespace"], line["doctype"]) == ("shop", "order")
    assert 15 < line["deferred"] < line["accepted"]
    assert f"shop.order {line['deferred']} {line['accepted']} " in words


def test_nothing_deferred_is_said(platform_dir: Path) -> None:
    answer = ask()
    assert answer.exit_code == 0
    assert "Nothing was deferred since 2026-09-01 00:00 UTC." in answer.output
