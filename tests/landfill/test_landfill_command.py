"""`catchment landfill`: what it prints, and its exit codes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from catchment import message
from catchment.cli.main import cli
from catchment.framing import frame
from tests.landfill import yard

RECORDS = 40
TIME = ("--since", "2026-09-21", "--until", "2026-09-22")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["landfill", *arguments], catch_exceptions=False)


@pytest.fixture
def archived(platform_dir: Path) -> Path:
    yard.fill(platform_dir, RECORDS)
    yard.run_archiver(platform_dir, None)
    return platform_dir


def keys() -> list[str]:
    return [row["key"] for row in json.loads(run("ls", *TIME, "--objects", "--format", "json").stdout)]


def test_ls_counts_by_day_and_doctype(archived: Path) -> None:
    rows = json.loads(run("ls", *TIME, "--format", "json").stdout)
    assert sum(row["submissions"] for row in rows) == 2 * RECORDS
    orders = json.loads(run("ls", *TIME, "--doctype", "order", "--format", "json").stdout)
    assert [row["doctype"] for row in orders] == ["order"]
    assert "order" in run("ls", *TIME).stdout


def test_ls_of_an_empty_time_tells_the_next_step(archived: Path) -> None:
    ran = run("ls", "--since", "2001-01-01", "--until", "2001-01-02")
    assert (ran.exit_code, "the archiver ships at least every" in ran.stdout) == (0, True)


def test_show_and_cat_print_an_object(archived: Path) -> None:
    key = keys()[0]
    shown = json.loads(run("show", key, "--format", "json").stdout)
    lines = [json.loads(line) for line in run("cat", key).stdout.splitlines()]
    assert len(lines) == shown["end"] - shown["first"]
    assert lines[0]["fields"]["uri"].startswith("/submit/shop/")
    assert len(run("cat", key, "--limit", "2").stdout.splitlines()) == 2
    assert "shop/order" in run("show", key).stdout


def test_cat_reads_a_file_of_an_old_layout_and_tells_damage(archived: Path, tmp_path: Path) -> None:
    messages = [yard.raw_record(number, yard.START_NS) for number in range(3)]
    old = tmp_path / "old.gz"
    old.write_bytes(gzip.compress(b"".join(map(frame, messages))))
    assert run("cat", str(old), "--raw").stdout_bytes == b"".join(map(frame, messages))
    old.write_bytes(gzip.compress(frame(messages[0]) + b"\x1e damage" + frame(messages[1])))
    ran = run("cat", str(old))
    assert (ran.exit_code, len(ran.stdout.splitlines())) == (1, 2)
    assert "passed over" in ran.stderr


def test_an_old_archive_is_imported_once_and_is_whole(platform_dir: Path, tmp_path: Path) -> None:
    messages = [yard.raw_record(number, yard.START_NS + number * yard.HOUR_NS // 20) for number in range(40)]
    short = message.encode(message.Message(bytes(16), yard.START_NS)).replace(b"\x0a\x10" + bytes(16), b"\x0a\x01A", 1)
    old = tmp_path / "182815.0_ip-172-31-43-254_6485"
    old.write_bytes(b"".join(frame(pa.Codec("snappy").compress(m, asbytes=True)) for m in messages) + frame(short))
    for _ in range(2):
        ran = run("import", str(old))
        assert (ran.exit_code, "41 submissions in 2 objects" in ran.stdout) == (0, True), ran.output
    assert "2 objects, 41 submissions" in run("verify", *TIME).stdout
    held = [json.loads(line) for key in keys() for line in run("cat", key).stdout.splitlines()]
    assert [line["uuid"] for line in held[:40]] == [message.decode(m).uuid.hex() for m in messages]
    assert len(held[40]["uuid"]) == 32


def test_an_import_tells_what_it_passed_over(platform_dir: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_bytes(b"garbage" + frame(yard.raw_record(1, yard.START_NS)))
    ran = run("import", str(old), "--format", "json")
    assert ran.exit_code == 1
    assert json.loads(ran.stdout)[str(old)] == {"records": 1, "objects": 1, "damaged_bytes": 7}


def test_verify_finds_a_damaged_object_and_a_missing_range(archived: Path) -> None:
    assert "all as archived" in run("verify", *TIME).stdout
    found = [key for key in keys() if ".0-" in key]
    damaged = archived / "objects" / found[0]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (archived / "objects" / found[1].replace(".heka.zst", ".index.json")).unlink()
    ran = run("verify", *TIME)
    assert ran.exit_code == 1
    assert "its bytes are not those that were archived" in ran.stderr
    assert "are missing" in ran.stderr
    assert len(json.loads(run("verify", *TIME, "--format", "json").stdout)["problems"]) == 2


def test_a_key_that_is_not_there_is_one_line(platform_dir: Path) -> None:
    ran = CliRunner().invoke(cli, ["landfill", "show", "landfill/2026-09-21/00/x-0"])
    assert "see `catchment landfill ls`" in str(ran.exception)
