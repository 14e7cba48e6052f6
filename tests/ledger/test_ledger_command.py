"""`catchment ledger` on a home that was loaded and counted."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from catchment.cli.main import cli
from catchment.database.database import open_database
from catchment.database.settings import DatabaseSettings
from tests.ledger import scene
from tests.ledger.conftest import RECORDS
from tests.loader import scene as loading

TIME = ("--since", "2026-09-01", "--until", "2026-12-31T00:00")


@pytest.fixture
def counted(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CATCHMENT_HOME__PATH", str(home))
    count(home)
    return home


def count(home: Path) -> None:
    database = open_database(DatabaseSettings(), home)
    scene.count_all(home, database, scene.clock_after())
    database.close()


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["ledger", *TIME, *arguments])


def test_a_ledger_that_balances_exits_well(counted: Path) -> None:
    answer = ask("--format", "json")
    assert answer.exit_code == 0, answer.output
    document = orjson.loads(answer.output)
    assert document["is_balanced"]
    assert sum(line["counts"]["accepted"] for line in document["lines"]) == RECORDS
    assert {detail["detail"] for detail in document["details"]} >= {"shop.order_v1", "json_invalid"}


def test_a_missing_row_makes_exit_code_1_and_names_the_ping(counted: Path) -> None:
    _, lake = loading.open_parts(counted)
    scene.rewrite(lake, "shop.refund_v1", lambda rows: rows.slice(1))
    count(counted)
    answer = ask()
    assert answer.exit_code == 1
    line = next(line for line in answer.output.splitlines() if "shop.refund" in line)
    assert line.split()[-2:] == ["1", "unbalanced"]
    assert "1 lines do not balance: 1 records missing or waiting, 0 too many" in answer.output


@pytest.mark.parametrize("by", ["minute", "both"])
def test_lines_by_minute_tell_their_time(counted: Path, by: str) -> None:
    answer = ask("--by", by, "--doctype", "order")
    assert answer.exit_code == 0
    assert "2026-09-21 14:13" in answer.output
    assert "shop.refund" not in answer.output


def test_nothing_counted_says_who_counts(platform_dir: Path) -> None:
    answer = ask()
    assert answer.exit_code == 0
    assert "Nothing was counted for this time. Counting is the service ledger's: catchment status" in answer.output


def test_a_bad_moment_is_refused_with_examples(platform_dir: Path) -> None:
    answer = CliRunner().invoke(cli, ["ledger", "--since", "yesterday"])
    assert answer.exit_code == 2
    assert "reading a time: 'yesterday' is none; write now, 30m, 6h or 7d" in " ".join(answer.output.split())
