"""The relational database: small facts that are changed in place, kept behind SQLAlchemy Core.

    open_database ─▶ migrate (under a lock) ─▶ Database: read(), write()

SQLite in a file of the home, or PostgreSQL; the same code and the same tests run over both. Tables are declared in
`tables.py`, each with one writer; their history is in `migrations`, one file a step. A transaction is short: nothing
waits for the log, the lake or the network inside it.
"""
