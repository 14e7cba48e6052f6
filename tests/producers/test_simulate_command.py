"""`catchment simulate` as a process, against a real edge and against nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from catchment import message
from catchment.cli.main import cli
from catchment.clock import SystemClock
from catchment.events import Events
from catchment.log.embedded.log import EmbeddedLog
from catchment.log.port import TopicPartition
from catchment.log.settings import LogSettings
from catchment.service import READY_FD

RAW = TopicPartition("raw", 0)
CATCHMENT = (sys.executable, "-m", "catchment")


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a supervised process that has said ready; ended by SIGTERM, if it has not ended."""
    ready_read, ready_write = os.pipe()
    process = subprocess.Popen(
        [*CATCHMENT, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=(ready_write,),
        env={**os.environ, READY_FD: str(ready_write)},
    )
    os.close(ready_write)
    try:
        with os.fdopen(ready_read, "rb") as pipe:
            said = pipe.readline()
        assert said == b"ready\n", process.communicate()[1]
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate()


@pytest.fixture
def edge(platform_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home in which an edge runs."""
    monkeypatch.setenv("CATCHMENT_EDGE__PORT", "0")
    monkeypatch.setenv("CATCHMENT_LOG__MIN_FREE_BYTES", "0")
    with started("run", "edge"):
        yield platform_dir


def stored(home: Path) -> list[tuple[str, bytes]]:
    """Path and body of everything in the raw topic."""
    log = EmbeddedLog(home / "log", LogSettings(min_free_bytes=0), SystemClock(), Events("test"))
    reader = log.open_reader(RAW, log.bounds(RAW).start)
    found = []
    while records := reader.read(10_000, 1 << 30, 0):
        for record in records:
            told = message.decode(record.payload)
            path, body = told.first("uri"), told.first("content")
            assert isinstance(path, str) and isinstance(body, bytes)
            found.append((path, body))
    reader.close()
    log.close()
    return found


def test_what_was_acknowledged_is_in_the_log(edge: Path, tmp_path: Path) -> None:
    record = tmp_path / "sent.jsonl"
    given = ("--count", "300", "--rate", "0", "--invalid", "0.1", "--duplicates", "0.1", "--seed", "5")
    ran = subprocess.run([*CATCHMENT, "simulate", *given, "--record", str(record)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    lines = [orjson.loads(line) for line in record.read_bytes().splitlines()]
    assert len(lines) == 300
    assert {line["status"] for line in lines} == {200, 404}
    kept = stored(edge)
    acknowledged = [line for line in lines if line["status"] == 200]
    assert len(kept) == len(acknowledged)
    paths = Counter(line["document_id"] for line in acknowledged)
    assert all(any(found in path for found in paths) for path, _ in kept)
    twice = [body for path, body in kept if any(paths[name] == 2 and name in path for name in paths)]
    assert len(twice) == 2 * sum(line["expected"] == "duplicate" for line in acknowledged) > 10
    assert max(len(zlib.decompress(body, 31)) for body in twice) > 2000
    assert "sent        300 pings" in ran.stdout
    mains = sum(line["expected"] == "accepted" and line["doctype"] == "main" for line in acknowledged)
    assert f"{mains:>10,} rows in telemetry.main_v4" in ran.stdout
    assert "a run with this seed" in ran.stdout


def test_until_stopped_ends_at_sigterm_with_nothing_lost(edge: Path, tmp_path: Path) -> None:
    record = tmp_path / "sent.jsonl"
    with started("simulate", "--until-stopped", "--rate", "500", "--clients", "20", "--record", str(record)) as fleet:
        while record.stat().st_size < 10_000:
            assert fleet.poll() is None
        fleet.send_signal(signal.SIGTERM)
        stdout, stderr = fleet.communicate(timeout=30)
    assert (fleet.returncode, stdout) == (0, "")
    assert "fleet_started" in stderr
    count = len(stored(edge))
    lines = [orjson.loads(line) for line in record.read_bytes().splitlines()]
    assert count == sum(line["status"] == 200 for line in lines) > 20
    assert f"fleet_stopped sent={len(lines)} acknowledged={count} retried=0 given_up=0 refused=0" in stderr


def test_ctrl_c_prints_the_tally(edge: Path, tmp_path: Path) -> None:
    record = tmp_path / "sent.jsonl"
    process = subprocess.Popen(
        [*CATCHMENT, "simulate", "--count", "1000000", "--rate", "200", "--record", str(record)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not record.exists() or record.stat().st_size < 5000:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert stdout.startswith("sent        ")
    assert "rows in firefox_desktop.baseline_v1" in stdout
    assert stderr.startswith("sending to http://127.0.0.1:")


def test_two_runs_without_a_seed_send_different_documents(edge: Path, tmp_path: Path) -> None:
    ids = []
    for name in ("one", "other"):
        given = ("--count", "40", "--rate", "0", "--duplicates", "0", "--record", str(tmp_path / name))
        assert subprocess.run([*CATCHMENT, "simulate", *given], capture_output=True).returncode == 0
        ids.append({orjson.loads(line)["document_id"] for line in (tmp_path / name).read_bytes().splitlines()})
    assert len(ids[0]) == len(ids[1]) == 40
    assert not ids[0] & ids[1]


def test_without_an_edge_the_command_says_what_to_do(platform_dir: Path) -> None:
    ran = subprocess.run([*CATCHMENT, "simulate"], capture_output=True, text=True)
    assert ran.returncode == 1
    expected = f"catchment: no edge runs in {platform_dir}; start the platform with `catchment up`, or name an edge "
    assert ran.stderr == f"{expected}with --url\n"


def test_until_stopped_takes_no_limit(platform_dir: Path) -> None:
    for limit in (("--count", "5"), ("--duration", "5")):
        ran = CliRunner().invoke(cli, ["simulate", "--until-stopped", *limit])
        assert ran.exit_code == 2
        assert "--until-stopped has no limit" in ran.output
