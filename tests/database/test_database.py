"""Transactions, migrations and refusals, over each database."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from catchment import config
from catchment.database.database import Database, open_database
from catchment.database.migrate import revisions
from catchment.database.settings import DatabaseSettings
from catchment.database.tables import HEAD, METADATA, ledger_positions
from catchment.errors import BadConfig, CatchmentError, Incompatible, MissingExtra, Unavailable

OPENS = """
import sys
from pathlib import Path
from catchment.database.database import open_database
from catchment.database.settings import DatabaseSettings
sys.stdin.readline()
open_database(DatabaseSettings(url=sys.argv[1]), Path(sys.argv[2])).close()
"""


def positions(database: Database) -> dict[str, int]:
    with database.read() as connection:
        rows = connection.execute(sa.select(ledger_positions))
        return {row.source: row.position for row in rows}


def test_the_migrations_make_what_the_tables_declare(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_the_last_migration_is_the_declared_revision() -> None:
    assert revisions().get_current_head() == HEAD


def test_opening_again_changes_nothing(database: Database, settings: DatabaseSettings, tmp_path: Path) -> None:
    with database.write() as connection:
        connection.execute(sa.insert(ledger_positions).values(source="raw/0", position=7))
    again = open_database(settings, tmp_path)
    assert positions(again) == {"raw/0": 7}
    again.close()


def test_services_that_start_together_migrate_once(settings: DatabaseSettings, tmp_path: Path) -> None:
    starts = [
        subprocess.Popen([sys.executable, "-c", OPENS, settings.url, str(tmp_path)], stdin=subprocess.PIPE)
        for _ in range(4)
    ]
    for start in starts:
        assert start.stdin is not None
        start.stdin.close()  # all of them go on at once
    assert [start.wait() for start in starts] == [0] * 4
    database = open_database(settings, tmp_path)
    assert positions(database) == {}
    database.close()


def test_a_database_of_a_newer_program_is_left_alone(
    database: Database, settings: DatabaseSettings, tmp_path: Path
) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Incompatible, match=r"revision 9999, this program knows 0001 and older; use the program"):
        open_database(settings, tmp_path)


def test_a_write_that_raises_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        connection.execute(sa.insert(ledger_positions).values(source="raw/0", position=1))
        raise ZeroDivisionError
    assert positions(database) == {}


def test_a_reader_sees_one_state_while_others_write(database: Database) -> None:
    with database.read() as connection:
        before = connection.execute(sa.select(sa.func.count()).select_from(ledger_positions)).scalar()
        with database.write() as other:
            other.execute(sa.insert(ledger_positions).values(source="raw/0", position=1))
        after = connection.execute(sa.select(sa.func.count()).select_from(ledger_positions)).scalar()
    assert (before, after) == (0, 0)
    assert positions(database) == {"raw/0": 1}


def test_counting_from_many_threads_loses_nothing(database: Database) -> None:
    """Reading, adding and writing back is safe in one transaction: who was slower waits, or is told to try again."""
    with database.write() as connection:
        connection.execute(sa.insert(ledger_positions).values(source="raw/0", position=0))
    refused: list[CatchmentError] = []

    def count() -> None:
        for _ in range(10):
            while True:
                try:
                    with database.write() as connection:
                        found = connection.execute(sa.select(ledger_positions.c.position)).scalar_one()
                        connection.execute(sa.update(ledger_positions).values(position=found + 1))
                    break
                except CatchmentError as error:
                    refused.append(error)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert positions(database) == {"raw/0": 40}
    assert {error.code for error in refused} <= {"conflict"}


def test_a_server_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"the database does not answer: .*see \[database\] url"):
        open_database(DatabaseSettings(url="postgresql://nobody@127.0.0.1:1/nothing"), tmp_path)


def test_a_missing_library_is_answered_with_the_pip_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"pip install 'catchment\[postgres\]'"):
        open_database(DatabaseSettings(url="postgresql://localhost/catchment"), tmp_path)


@pytest.mark.parametrize("url", ["", "sqlite:", "sqlite", "mysql://localhost/x", "postgresql:catchment"])
def test_other_urls_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"must be `sqlite:` and a path or `postgresql://user@host/name`"):
        open_database(DatabaseSettings(url=url), tmp_path)


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "catchment.db").write_bytes(b"not a database, but long enough to be looked at" * 20)
    with pytest.raises(BadConfig, match=r"\[database\] url: file is not a database; name another file"):
        open_database(DatabaseSettings(), tmp_path)
    assert (tmp_path / "catchment.db").read_bytes().startswith(b"not a database")


def test_a_password_in_the_url_is_refused() -> None:
    declared = {"database": DatabaseSettings}
    variables = {"CATCHMENT_DATABASE__URL": "postgresql://me:secret@host/x"}
    with pytest.raises(BadConfig, match=r"set \[database\] password instead"):
        config.load(declared, environment=variables)
    loaded = config.load(declared, environment={"CATCHMENT_DATABASE__PASSWORD": "secret"})
    assert [setting.shown for setting in loaded.settings if setting.name == "password"] == ["*****"]
