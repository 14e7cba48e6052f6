"""Opens the SQL engine that the settings name: the scheme of the URL chooses it, and it is imported only then."""

from __future__ import annotations

from pathlib import Path

from catchment.errors import BadConfig
from catchment.lake.tables import Lake
from catchment.query.port import QueryEngine
from catchment.query.settings import SqlSettings

SCRATCH = "query-scratch"
"""Folder of the data directory where queries keep temporary files."""


def open_engine(settings: SqlSettings, lake: Lake, data_dir: Path) -> QueryEngine:
    """The engine at `settings.url` over `lake`. Raises BadConfig for an unknown scheme."""
    if settings.url.rstrip("/") != "duckdb:":
        raise BadConfig(f"[sql] url is {settings.url!r}, must be `duckdb:`, the built-in engine")
    from catchment.query.duckdb import DuckdbEngine

    return DuckdbEngine(lake, settings, data_dir / SCRATCH)
