"""Benchmarks: each `python -m benchmarks.<name>` prints a table and ends with one line of name=value pairs."""
