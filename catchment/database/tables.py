"""The tables of the database. A change here needs a migration; a test compares the two.

| table | writer | a row |
|---|---|---|
| `ledger` | the ledger | the counts of one namespace and doctype in one minute (later: hour, day) |
| `ledger_details` | the ledger | of these, how many per table, error code or reason |
| `ledger_positions` | the ledger | how far a source is counted |
| `ledger_gaps` | the ledger | records of a source that nobody can read any more |

Times are whole seconds since 1970, UTC.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table

HEAD = "0001"
"""The revision that these declarations are; the last file of `migrations`."""

METADATA = MetaData()

COUNTS = ("accepted", "archived", "decoded", "stored", "errors", "duplicates", "deferred", "dropped")
"""What the ledger counts."""

_SLOT = ("begins_s", "span_s", "namespace", "doctype")


def _slot() -> list[Column[object]]:
    """What a count is of: a span of submission time, a namespace and a doctype."""
    return [
        Column("begins_s", BigInteger, primary_key=True),
        Column("span_s", Integer, primary_key=True),
        Column("namespace", String, primary_key=True),
        Column("doctype", String, primary_key=True),
    ]


ledger = Table(
    "ledger",
    METADATA,
    *_slot(),
    *(Column(name, BigInteger, nullable=False) for name in COUNTS),
    Column("balance", BigInteger, nullable=False),
    Column("changed_s", BigInteger, nullable=False),
)
unbalanced = Index(
    "ledger_unbalanced",
    ledger.c.begins_s,
    sqlite_where=ledger.c.balance != 0,
    postgresql_where=ledger.c.balance != 0,
)

ledger_details = Table(
    "ledger_details",
    METADATA,
    *_slot(),
    Column("kind", String, primary_key=True),
    Column("detail", String, primary_key=True),
    Column("records", BigInteger, nullable=False),
)
by_detail = Index("ledger_details_by_detail", ledger_details.c.kind, ledger_details.c.detail)

ledger_positions = Table(
    "ledger_positions",
    METADATA,
    Column("source", String, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

ledger_gaps = Table(
    "ledger_gaps",
    METADATA,
    Column("source", String, primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("next", BigInteger, nullable=False),
    Column("reason", String, nullable=False),
    Column("since_s", BigInteger, nullable=False),
    Column("until_s", BigInteger, nullable=False),
    Column("found_s", BigInteger, nullable=False),
)
