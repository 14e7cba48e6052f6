"""What is particular to a backend of the key-value port: opening it, losing it, cleaning it up."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from catchment.clock import ManualClock
from catchment.config import load
from catchment.errors import BadConfig, Busy, Closed, Corrupt, Unavailable, Unknown
from catchment.keyvalue.open import open_keyvalue
from catchment.keyvalue.settings import KeyValueSettings
from catchment.platform import SECTIONS, Platform


@pytest.mark.parametrize("url", ["redis://there", "sqlite:", "dynamodb://", "sqlite"])
def test_an_url_of_another_kind_is_refused(tmp_path: Path, clock: ManualClock, url: str) -> None:
    with pytest.raises(BadConfig, match=r"\[keyvalue\] url is .* must be `sqlite:` and a file"):
        open_keyvalue(KeyValueSettings(url=url), tmp_path, clock)


def test_the_platform_opens_the_store_that_its_configuration_names(
    platform_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATCHMENT_KEYVALUE__URL", "sqlite:small/values.db")
    store = Platform(load(SECTIONS)).keyvalue()
    store.put("a/b", b"one")
    store.close()
    assert (platform_dir / "small" / "values.db").is_file()


def test_entries_that_have_ended_leave_the_file(tmp_path: Path, clock: ManualClock) -> None:
    store = open_keyvalue(KeyValueSettings(), tmp_path, clock)
    for number in range(30):
        store.put(f"a/{number}", b"", ttl_s=1)
    clock.advance(2)
    store.put("a/new", b"")
    store.put("a/new", b"")
    store.close()
    with sqlite3.connect(tmp_path / "keyvalue.db") as connection:
        assert connection.execute("SELECT key FROM entries").fetchall() == [("a/new",)]
    connection.close()


def test_a_file_that_another_writer_holds_is_busy(tmp_path: Path, clock: ManualClock) -> None:
    store = open_keyvalue(KeyValueSettings(timeout_s=0.1), tmp_path, clock)
    other = sqlite3.connect(tmp_path / "keyvalue.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy, match="nothing was changed, try again"):
        store.put("a/b", b"")
    other.execute("ROLLBACK")
    other.close()
    store.put("a/b", b"")
    store.close()
    with pytest.raises(Closed, match="used after close"):
        store.get("a/b")


def test_a_file_that_is_no_database_is_said(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "keyvalue.db").write_text("no database, but long enough to be looked at" * 50)
    with pytest.raises(Corrupt, match="not a database"):
        open_keyvalue(KeyValueSettings(), tmp_path, clock)


def test_a_dynamodb_that_is_away_is_unavailable(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from catchment.keyvalue.dynamodb import DynamodbKeyValue, open_dynamodb

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "for-tests")
    away = KeyValueSettings(url="dynamodb://t", region="eu-central-1", endpoint="http://127.0.0.1:9", timeout_s=0.2)
    monkeypatch.setattr(DynamodbKeyValue, "ensure_table", lambda self: None)
    store = open_dynamodb("t", away, clock)
    with pytest.raises(Unknown, match="it may be there or not, read it back"):
        store.put_if("a/b", b"", None)
    monkeypatch.undo()
    monkeypatch.setattr("time.sleep", lambda s: None)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "for-tests")
    with pytest.raises(Unavailable, match="key-value table t: getting a/b failed"):
        store.get("a/b")
    with pytest.raises(Unavailable, match="looking for it failed"):
        store.ensure_table()
    store.close()


def test_without_its_library_dynamodb_answers_with_the_command_that_installs_it() -> None:
    code = (
        "import sys; sys.modules['botocore'] = None\n"
        "from pathlib import Path\n"
        "from catchment.clock import SystemClock\n"
        "from catchment.keyvalue.open import open_keyvalue\n"
        "from catchment.keyvalue.settings import KeyValueSettings\n"
        "open_keyvalue(KeyValueSettings(url='dynamodb://t'), Path(), SystemClock())\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "pip install 'catchment[dynamodb]'" in ran.stderr
