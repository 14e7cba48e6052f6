"""Brings the tables to what this program declares: Alembic's revisions, run in one transaction under a lock.

Services start at the same time and all of them migrate; the first one does it and the others find it done. SQLite's
write lock and PostgreSQL's advisory lock hold the place. Alembic is imported only when there is something to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from catchment.database.tables import HEAD
from catchment.errors import Incompatible

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

_PLACE = Path(__file__).parent / "migrations"
_LOCK = 0x43415443  # "CATC"
_VERSION = sa.table("alembic_version", sa.column("version_num", sa.String))


def migrate(connection: sa.Connection) -> None:
    """Run the revisions that are missing, inside the connection's transaction, which writes. Raises Incompatible when
    the tables are of a revision that this program does not know."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    revision = _revision(connection)
    if revision != HEAD:
        _upgrade(connection, revision)


def revisions() -> ScriptDirectory:
    """The files of `migrations`, as Alembic reads them."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(_PLACE.parent), version_locations=[str(_PLACE)])


def _revision(connection: sa.Connection) -> str | None:
    """What the database says that it is, None when it is empty."""
    if not sa.inspect(connection).has_table(_VERSION.name):
        return None
    found: str | None = connection.execute(sa.select(_VERSION.c.version_num)).scalar()
    return found


def _upgrade(connection: sa.Connection, revision: str | None) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext

    script = revisions()
    if revision is not None and revision not in {known.revision for known in script.walk_revisions()}:
        raise Incompatible(
            f"the database has revision {revision}, this program knows {HEAD} and older; use the program that wrote it"
        )

    def steps(present: Any, context: Any) -> Any:
        return script._upgrade_revs("head", present)

    with EnvironmentContext(Config(), script, fn=steps) as environment:
        environment.configure(connection=connection)
        environment.run_migrations()
