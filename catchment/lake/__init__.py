"""The lake: Iceberg tables in which every commit records, with its rows, how far their sources have been read.

`open.py` opens it from the settings; `tables.py` is the lake itself (make, evolve, describe, commit); `commit.py` holds
the exactly-once rule; `maintenance.py` keeps tables small. Below them `catalog.py` names the current version of each
table, `snapshots.py` writes versions, `datafiles.py` writes rows, `evolution.py` compares schemas, `files.py` makes
bytes durable. Anything that reads Apache Iceberg reads these tables.
"""
