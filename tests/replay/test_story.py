"""The story of docs/replay.md, by its own commands: a doctype fails, its schema is mended, one command brings it in."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import time
import uuid
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from catchment.cli.main import cli
from catchment.ingestion.replay.selection import DAY_NS
from tests.loader import scene
from tests.replay import stage

PAGE = Path(__file__).parent.parent.parent / "docs" / "replay.md"
REFUNDS, ORDERS = 12, 5
BROKEN = {**scene.ORDER, "required": ["item", "color"]}


def commands() -> list[list[str]]:
    """The commands of the page's story, in order."""
    story = PAGE.read_text(encoding="utf-8").split("## What is selected")[0]
    return [shlex.split(line) for line in re.findall(r"^    catchment (.*)$", story, re.MULTILINE)]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


@pytest.fixture
def failing(platform_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which a week's refunds were refused."""
    monkeypatch.setenv("CATCHMENT_SCHEMAS__PATHS", str(scene.write_schemas(platform_dir)))
    monkeypatch.setenv("CATCHMENT_LOG__MIN_FREE_BYTES", "0")
    refund = platform_dir / "schemas" / "shop" / "refund" / "refund.1.schema.json"
    refund.write_bytes(orjson.dumps(BROKEN))
    log, _ = scene.open_parts(platform_dir)
    log.create("raw", stage.PARTITIONS)
    now_ns = time.time_ns()
    for partition, (doctype, count) in enumerate((("refund", REFUNDS), ("order", ORDERS))):
        payloads = []
        for number in range(count):
            received_ns = now_ns - (count - number) * 6 * DAY_NS // count
            place = partition * 1000 + number
            payloads.append(stage.record(place, received_ns, doctype, str(uuid.UUID(int=place)), b'{"item": "thing"}'))
        stage.append(log, partition, payloads)
    stage.archive(platform_dir, log)
    log.close()
    scene.run_loader(platform_dir, None)
    return refund


def refunds() -> int:
    ran = run("sql", "SELECT count(*), count(DISTINCT document_id) FROM shop.refund_v1")
    rows, ids = list(csv.reader(io.StringIO(ran.stdout)))[1]
    assert rows == ids
    return int(rows)


def test_the_page_s_commands_bring_a_failed_week_in(failing: Path) -> None:
    errors, dry, replay, again = commands()
    shown = PAGE.read_text(encoding="utf-8")
    told = run(*errors).stdout
    assert told.strip().replace("\n", "\n    ") in shown
    failing.write_bytes(orjson.dumps(scene.ORDER))
    would = run(*dry)
    assert (would.exit_code, "shop.refund_v1" in would.stdout) == (0, True), would.output
    assert run("sql", "SELECT 1 FROM shop.refund_v1").exit_code == 1  # the dry run has made no table
    brought = run(*replay)
    assert brought.exit_code == 0, brought.output
    assert f"{REFUNDS} documents, 0 repeats, 0 still failing" in brought.stdout
    assert refunds() == REFUNDS
    assert run(*errors).stdout.splitlines()[1:] == []
    assert run(*again).exit_code == 0
    assert refunds() == REFUNDS


def test_the_report_as_json_has_days_and_their_total(failing: Path) -> None:
    failing.write_bytes(orjson.dumps(scene.ORDER))
    ran = run("replay", "--since", "8d", "--yes", "--format", "json")
    report = json.loads(ran.stdout)
    assert report["total"]["documents"] == REFUNDS + ORDERS
    assert report["total"]["tables"]["shop.refund_v1"]["added"] == REFUNDS
    assert sum(day["deliveries"] for day in report["days"].values()) == REFUNDS + ORDERS


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--since", "soon"], "'soon' is none"),
        (["--since", "1d", "--until", "2d"], "--until must be later"),
        (["--since", "1d", "--code", "json_invalid"], "--code needs --errors-only"),
        (["--since", "1d"], "add --yes"),
        ([], "Missing option '--since'"),
    ],
)
def test_a_wrong_command_line_is_refused_with_the_next_step(
    platform_dir: Path, arguments: list[str], says: str
) -> None:
    ran = CliRunner().invoke(cli, ["replay", *arguments])
    assert (ran.exit_code, says in ran.output) == (2, True), ran.output
