"""SQL over the lake: `port.py` says what an engine promises, `duckdb.py` is the embedded engine."""
