"""Make the ledger's tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "ledger",
        *_slot(),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("accepted", "archived", "decoded", "stored", "errors", "duplicates", "deferred", "dropped")
        ),
        sa.Column("balance", sa.BigInteger, nullable=False),
        sa.Column("changed_s", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "ledger_unbalanced",
        "ledger",
        ["begins_s"],
        sqlite_where=sa.text("balance != 0"),
        postgresql_where=sa.text("balance != 0"),
    )
    op.create_table(
        "ledger_details",
        *_slot(),
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("detail", sa.String, primary_key=True),
        sa.Column("records", sa.BigInteger, nullable=False),
    )
    op.create_index("ledger_details_by_detail", "ledger_details", ["kind", "detail"])
    op.create_table(
        "ledger_positions",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ledger_gaps",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("first", sa.BigInteger, primary_key=True),
        sa.Column("next", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("since_s", sa.BigInteger, nullable=False),
        sa.Column("until_s", sa.BigInteger, nullable=False),
        sa.Column("found_s", sa.BigInteger, nullable=False),
    )


def _slot() -> list[sa.Column[object]]:
    return [
        sa.Column("begins_s", sa.BigInteger, primary_key=True),
        sa.Column("span_s", sa.Integer, primary_key=True),
        sa.Column("namespace", sa.String, primary_key=True),
        sa.Column("doctype", sa.String, primary_key=True),
    ]
