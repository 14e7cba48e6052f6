"""Replay: submissions of the past, through today's decoder and schemas, into the tables in place of what they were.

    records of a day (`records.py`) ─▶ decode ─▶ deduplicate ─▶ rows in files ─▶ one commit a table (`day.py`)
      landfill and the log's newest        │                └─▶ which rows must go (`deliveries.py`)
      or rows of monitoring.errors         └─▶ monitoring.errors: mended ones go, others get their new reason

`run.py` goes day by day and remembers the finished ones. A day's commits replace rows, so doing a day again, after a
kill or at will, gives the same rows. What of two deliveries of a document is kept: the first by time, within the window
of the live deduplication, as among live ones. Live ids are not touched: the replay has ids of its own. Records that the
loader has not committed yet are left to it.

Limits: memory grows with the documents of a day (some 100 bytes each); a document that failed, is brought in, and is
sent again by its client afterwards within the window is stored twice, since its id was not made known.
"""
