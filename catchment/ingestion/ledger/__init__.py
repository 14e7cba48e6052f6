"""The ledger: what came in against what became of it, for each minute, namespace and doctype.

    topic raw ──────────▶ accepted          tables of the lake ──▶ stored, errors, deferred
       up to the archiver ▶ archived        topic duplicates ────▶ duplicates
    topic decoded ──────▶ decoded           records out of reach ▶ dropped
                    └───────────── one transaction: counts and how far each source is counted ────▶ database

    balance = accepted − stored − errors − duplicates − deferred − dropped

The minute is that of the submission, at the edge, everywhere. `accepted` is read from the log, what is subtracted from
where it ends up, so the balance does not believe the loader. Each source has a position in the database (next offset of
a partition, last version of a table), moved in the transaction that adds its counts and only from where it was: a kill
at any point, or a second ledger, counts nothing twice.

Namespaces and doctypes are written as in names of tables (`new-profile` is `new_profile`), which is all that a table
tells; a submission whose path is not understood is counted under "".

    headings.py  what a record is counted under       book.py      the counts in the database
    topics.py    counts of log partitions             balance.py   what balances, what waits, what does not
    tables.py    counts of tables, by version         loop.py      the service
"""
