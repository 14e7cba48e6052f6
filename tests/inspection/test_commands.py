"""The commands on a terminal's other side: what they print, and their exit codes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid

import orjson
import pytest
from click.testing import CliRunner, Result

from catchment.cli.main import cli
from tests.inspection.home import CLIENT_ID, Home, body

SINCE = ("--since", "2026-01-01")
WITHIN_S = 60


def run(home: Home, *arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, env=home.environment)


def test_errors_are_counted(home: Home) -> None:
    home.send(body())
    home.send(b"not json")
    home.load()
    ran = run(home, "errors", *SINCE)
    assert "json_invalid" in ran.stdout
    assert "50.0%" in ran.stdout
    (count,) = orjson.loads(run(home, "errors", *SINCE, "--format", "json").stdout)
    assert (count["code"], count["pings"], count["share"]) == ("json_invalid", 1, 0.5)
    assert "No errors since" in run(home, "errors", *SINCE, "--namespace", "other").stdout


@pytest.mark.parametrize(("width", "headings"), [(40, 3), (56, 3), (80, 4), (120, 6)])
def test_no_word_of_the_counts_is_broken_however_narrow_the_terminal(home: Home, width: int, headings: int) -> None:
    home.send(b"not json", doctype="a-doctype-with-a-long-name-42")
    home.load()
    ran = CliRunner().invoke(cli, ["errors", *SINCE], env={**home.environment, "COLUMNS": str(width)})
    heading = ran.stdout.splitlines()[1]
    assert len(re.split(r"\s{2,}", heading.strip())) == headings
    (row,) = [line for line in ran.stdout.splitlines() if "json_invalid" in line]
    assert "shop.a-doctype-with-a-long-name-42" in row


def test_samples_name_what_show_takes(home: Home) -> None:
    home.send(body(item=5))
    home.load()
    (sample,) = orjson.loads(run(home, "errors", *SINCE, "--samples", "3", "--format", "json").stdout)
    assert f"catchment errors show {sample['name']}" in run(home, "errors", *SINCE, "--samples", "3").stdout
    shown = run(home, "errors", "show", sample["name"]).stdout
    assert '▶     2    "item": 5,' in shown
    assert "5 is not of type" in shown
    (whole,) = orjson.loads(run(home, "errors", "show", sample["name"], "--format", "json").stdout)
    assert whole["marked"] == {"document": [2], "schema": [1]} or whole["marked"]["schema"]
    assert CLIENT_ID in "".join(whole["lines"])


def test_an_error_that_is_not_there_ends_in_code_1(home: Home) -> None:
    assert run(home, "errors", "show", "raw/0@9").exit_code == 1


def test_a_bad_time_is_a_bad_argument(home: Home) -> None:
    ran = run(home, "errors", "--since", "yesterday")
    assert ran.exit_code == 2
    assert "30m, 6h or 7d" in ran.stderr


def test_a_receipt_tells_the_table(home: Home) -> None:
    document_id = home.send(body())
    home.load()
    ran = run(home, "receipt", document_id)
    assert "shop.order.v1: kept" in ran.stdout
    assert "select * from shop.order_v1 where" in ran.stdout
    answer = orjson.loads(run(home, "receipt", document_id, "--format", "json").stdout)
    assert [receipt["stage"] for receipt in answer["receipts"]] == ["stored"]


def test_a_receipt_of_an_unknown_id_ends_in_code_1_and_tells_what_was_searched(home: Home) -> None:
    ran = run(home, "receipt", str(uuid.uuid4()))
    assert ran.exit_code == 1
    assert "is not known here. Searched: no document ids (no loader has run here)" in ran.stdout


def test_tail_ends_after_its_limit(home: Home) -> None:
    home.send(body())
    home.send(b"not json")
    home.load()
    ran = run(home, "tail", "--since-start", "--limit", "2")
    assert {told["kind"] for told in map(orjson.loads, ran.stdout.splitlines())} == {"document", "error"}
    (error,) = map(orjson.loads, run(home, "tail", "--since-start", "--errors", "--limit", "1").stdout.splitlines())
    assert error["error"]["code"] == "json_invalid"
    assert error["text"] == "not json"


def test_pretty_tail_shows_reasons_and_no_control_signs(home: Home) -> None:
    home.send(body(item="\x1b[31mred", **{f"field{number}": number for number in range(60)}))
    home.send(b"\x1b[2Jnot json")
    home.load()
    ran = run(home, "tail", "--since-start", "--format", "pretty", "--limit", "2")
    assert "json_invalid: invalid submission" in ran.stdout
    assert "lines more; --whole shows them" in ran.stdout
    assert "\x1b" not in ran.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_tail_waits_and_ends_when_it_is_told_to(home: Home, number: int) -> None:
    home.send(body())
    home.load()
    command = [sys.executable, "-m", "catchment", "tail", "--since-start", "--format", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **home.environment}) as process:
        assert process.stdout is not None
        assert orjson.loads(process.stdout.readline())["kind"] == "document"
        fresh = home.send(body())
        home.load()
        assert orjson.loads(process.stdout.readline())["document_id"] == fresh
        process.send_signal(number)
        assert process.wait(WITHIN_S) in (130, -signal.SIGTERM)
