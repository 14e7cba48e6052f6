"""A small torture as a user starts it, and that the same oracle sees a loss and a double that are planted behind it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from catchment.clock import SystemClock
from catchment.config import load
from catchment.events import Events
from catchment.lake.open import open_lake
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.platform import SECTIONS, Platform
from catchment.torture.run import judge_home
from catchment.torture.verdict import Verdict

PINGS, FAULTS = 5000, 20


class Tortured(NamedTuple):
    """A run that has ended: its folder, exit code and output."""

    folder: Path
    code: int
    printed: str
    told: str


@pytest.fixture(scope="module")
def tortured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tortured]:
    folder = tmp_path_factory.mktemp("torture") / "run"
    options = ["--pings", str(PINGS), "--faults", str(FAULTS), "--seed", "1", "--home", str(folder), "--keep"]
    ran = subprocess.run(
        [sys.executable, "-m", "catchment", "torture", *options], capture_output=True, text=True, check=False
    )
    yield Tortured(folder, ran.returncode, ran.stdout, ran.stderr)
    if os.path.ismount(folder / "home"):
        subprocess.run(["umount", folder / "home"], check=True)


def judged(folder: Path) -> Verdict:
    lines = (folder / "report" / "damaged.jsonl").read_text(encoding="utf-8").splitlines()
    damaged = {(place["source"], place["offset"]): place["uri"] for place in map(json.loads, lines)}
    return judge_home(
        Platform(load(SECTIONS, None, {"CATCHMENT_HOME__PATH": str(folder / "home")})), folder / "report", damaged
    )


def test_a_tortured_platform_loses_and_doubles_nothing(tortured: Tortured) -> None:
    assert tortured.code == 0, f"{tortured.told[-3000:]}\n{tortured.printed}"
    counts = dict(pair.split("=") for pair in tortured.printed.splitlines()[-1].split())
    assert (counts["lost"], counts["doubled"], counts["faults"]) == ("0", "0", str(FAULTS))
    assert int(counts["acknowledged"]) > PINGS * 0.95
    assert int(counts["landed"]) > PINGS * 0.85
    assert int(counts["errors"]) > 0
    assert int(counts["duplicates"]) > 0
    assert counts["disagreements"] == "0"
    assert int(counts["accepted"]) == int(counts["acknowledged"]) + int(counts["unanswered"])


def test_the_report_tells_what_each_fault_met(tortured: Tortured) -> None:
    report = tortured.folder / "report"
    schedule = [json.loads(line) for line in (report / "schedule.jsonl").read_text(encoding="utf-8").splitlines()]
    events = [json.loads(line) for line in (report / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(event["number"], event["kind"]) for event in events] == [(it["number"], it["kind"]) for it in schedule]
    assert all(event["met"] for event in events)
    assert json.loads((report / "verdict.json").read_text(encoding="utf-8"))["lost"] == 0


def test_a_planted_loss_is_found_and_named(tortured: Tortured) -> None:
    record = tortured.folder / "report" / "acknowledged.jsonl"
    before = record.read_bytes()
    never_sent = "11111111-2222-4333-8444-555555555555"
    try:
        with record.open("ab") as file:
            line = {"document_id": never_sent, "attempts": 1, "acknowledged_at": "2026-01-01T00:00:00+00:00"}
            file.write(json.dumps(line).encode() + b"\n")
        verdict = judged(tortured.folder)
    finally:
        record.write_bytes(before)
    assert (verdict.lost, verdict.doubled, verdict.offenders) == (1, 0, [("lost", never_sent)])


def test_a_miscount_planted_in_the_ledger_is_found_and_named(tortured: Tortured) -> None:
    change = (
        "UPDATE ledger SET stored = stored + ?, balance = balance - ? WHERE rowid = (SELECT min(rowid) FROM ledger)"
    )
    with closing(sqlite3.connect(tortured.folder / "home" / "catchment.db", isolation_level=None)) as database:
        database.execute(change, (1, 1))
        verdict = judged(tortured.folder)
        database.execute(change, (-1, -1))
    assert not verdict.is_clean
    assert (verdict.lost, verdict.doubled, verdict.disagreements) == (0, 0, 1)
    ((what, which),) = verdict.offenders
    assert what == "ledger"
    assert "balance -1" in which or "do not balance together: -1" in which


def test_a_planted_double_is_found_and_named(tortured: Tortured) -> None:
    lake = open_lake(
        CatalogSettings(), ObjectsSettings(), tortured.folder / "home", SystemClock(), Events("test", sys.stderr)
    )
    table = next(name for name in lake.tables() if name.startswith("telemetry.main"))
    row = lake.load(table).scan().to_arrow().slice(0, 1)
    lake.commit(table, row, {})
    lake.close()
    verdict = judged(tortured.folder)
    doubled = row.column("document_id")[0].as_py()
    assert (verdict.lost, verdict.doubled, verdict.offenders[0]) == (0, 1, ("doubled", doubled))
