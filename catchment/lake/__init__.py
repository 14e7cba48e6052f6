"""The lake: Iceberg tables in which every commit records, with its rows, how far their sources have been read.

`open.py` opens it from the settings; `tables.py` is the lake itself (make, evolve, describe, commit); `commit.py` holds
the exactly-once rule; `maintenance.py` keeps tables small, `promotion.py` gives old rows new columns. Below them
`catalog.py` names the current version of each table, `snapshots.py` writes versions, `datafiles.py` writes rows and
`reading.py` reads them, `evolution.py` compares schemas, `fitting.py` fits a shape to a table, `files.py` makes bytes
durable. Anything that reads Apache Iceberg reads these tables.
"""
