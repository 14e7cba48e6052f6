"""What a replay would change, without changing it: new rows are compared with those that are there.

The new rows of a day wait in temporary Parquet files; DuckDB joins them by document id (or place in the raw log) and
time with the rows of the lake, and counts the pairs that differ, column by column. It spills to disk.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catchment.ingestion.replay.day import TableReport
from catchment.ingestion.replay.deliveries import REPLACED
from catchment.lake import replacing
from catchment.lake.files import path_of
from catchment.lake.replacing import Doomed, Span
from catchment.lake.tables import Lake

_MEMORY = "512MB"
_READ = "union_by_name = true, hive_partitioning = false"


class Comparison:
    """A `Target` that only counts."""

    def __init__(self, lake: Lake, scratch: Path) -> None:
        """`scratch` is a directory for temporary files."""
        self._lake = lake
        self._scratch = scratch
        self._files: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._doomed: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
        self._number = 0

    def write(self, table: str, rows: pa.Table, batch: str = "") -> None:
        self._number += 1
        path = self._scratch / f"{self._number}.parquet"
        pq.write_table(rows, path, compression="zstd")
        self._files[table, batch].append(str(path))

    def replace(self, table: str, columns: Sequence[str], doomed: Doomed, span: Span, batch: str = "") -> TableReport:
        files = self._files.pop((table, batch), [])
        written = sum(pq.read_metadata(path).num_rows for path in files)
        replaced, removed = self._going(table, columns, doomed, span)
        held = [path_of(location) for location in replacing.files(self._lake, table, span)]
        changed = self._changed(files, held, columns) if files and held else {}
        for path in files:
            Path(path).unlink()
        return TableReport(max(written - replaced, 0), replaced, removed, changed)

    def _going(self, table: str, columns: Sequence[str], doomed: Doomed, span: Span) -> tuple[int, int]:
        """How many rows would be replaced and removed; one that an earlier day has doomed is not counted again."""
        if table not in self._lake.tables():
            return 0, 0
        rows = replacing.keys(self._lake, table, columns, span)
        why = doomed(rows)
        goes = rows.filter(why.is_valid())
        before, self._doomed[table] = self._doomed[table], {tuple(row.values()) for row in goes.to_pylist()}
        counts = Counter(
            reason
            for row, reason in zip(goes.to_pylist(), why.drop_null().to_pylist(), strict=True)
            if tuple(row.values()) not in before
        )
        return counts[REPLACED], counts.total() - counts[REPLACED]

    def _changed(self, new: Sequence[str], old: Sequence[str], keys: Sequence[str]) -> dict[str, int]:
        """How many rows that stay under the same key differ in each column."""
        with duckdb.connect(":memory:", config={"memory_limit": _MEMORY, "threads": 2}) as database:
            remote = self._lake.catalog.files.remote
            if remote is not None:
                database.register_filesystem(remote)
            database.execute("SET temp_directory = ?", [str(self._scratch)])
            for view, paths in (("new", new), ("old", old)):
                listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
                database.execute(f"CREATE VIEW {view} AS FROM read_parquet([{listed}], {_READ})")
            kinds = {
                view: dict(row[:2] for row in database.execute(f"DESCRIBE {view}").fetchall())
                for view in ("new", "old")
            }
            names = [name for name in {**kinds["old"], **kinds["new"]} if name not in keys]
            counts = ", ".join(_difference(name, kinds["new"].get(name), kinds["old"].get(name)) for name in names)
            same = " AND ".join(f"new.{_quoted(key)} IS NOT DISTINCT FROM old.{_quoted(key)}" for key in keys)
            row = database.execute(f"SELECT {counts} FROM new JOIN old ON {same}").fetchone()
        assert row is not None
        return {name: count for name, count in zip(names, row, strict=True) if count}


def _difference(name: str, new: str | None, old: str | None) -> str:
    """An aggregate that counts the pairs in which a column differs; one that only one side has differs from NULL."""
    sides = [f"{side}.{_quoted(name)}" if kind else "NULL" for side, kind in (("new", new), ("old", old))]
    if new and old and new != old:
        sides = [f"CAST({side} AS VARCHAR)" for side in sides]
    return f"count(*) FILTER (WHERE {sides[0]} IS DISTINCT FROM {sides[1]})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
