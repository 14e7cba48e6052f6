"""The history of the database's tables: one Alembic revision a file, `m<revision>_<what>.py`, never changed later."""
