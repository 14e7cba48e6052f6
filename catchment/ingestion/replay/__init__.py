"""Replay: submissions of the past, through today's decoder and schemas, into the tables in place of what they were.

    records of a day (`records.py`) ─▶ decode ─▶ deduplicate ─▶ rows in files ─▶ one commit a table (`day.py`)
      landfill and the log's newest        │                └─▶ which rows must go (`deliveries.py`)
      or rows of monitoring.errors         └─▶ monitoring.errors: mended ones go, others get their new reason

`run.py` goes day by day and remembers the finished ones. A day's commits replace rows, so doing a day again, after a
kill or at will, gives the same rows. What of two deliveries of a document is kept: the first by time, within the window
of the live deduplication, as among live ones. To decide so, the replay has ids of its own; the live ones are told of
what it brings in (`live.py`), so that it is not stored again when it is sent again. Whatever stops being a row, an
error or deferred for being a repeat leaves a row of code `repeat` (`repeats.py`). Records that the loader has not
committed yet are left to it.

Limits: memory grows with the documents of a day (some 200 bytes each).
"""
