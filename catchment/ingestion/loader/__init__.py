"""The loader: from topic `raw` to typed tables, each document once.

One loop (`loop.py`), one thread. For each batch of raw records:

    limits ──▶ decode ──▶ deduplicate ──▶ topics `decoded`, `errors`, `duplicates`   (`outputs.py`)
        └──▶ topic `deferred`        └──▶ rows of typed columns, one buffer a table  (`tables.py`)

and every `flush_s` or `flush_bytes`, in this order, which is what makes a crash harmless at any point:

    1. the decisions on limits are durable
    2. the output topics are durable
    3. the document ids seen are durable
    4. each table: files, then one commit that holds the rows *and* the source offsets
    5. the group's committed offsets

Between two tables of step 4 the loop takes the next batch, so that the output topics do not wait for all of them; what
it takes then belongs to the next flush, and is bounded like any: a second `flush_bytes` ends the flush at once.

A loader that starts again reads from 5. A row below its table's own offset is already there and is skipped; an output
below the last record of its topic likewise; a document id that points at the very same record is not a duplicate.
Two owners of a partition cannot both commit: the table's offset must be the one that the loader expects (`Fenced`).
"""
