"""Which files of a table a query has to read: those whose day and bounds may match a filter.

Manifests never change, so their entries are kept by name across queries; a list of a thousand files is read once.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from cachetools import LRUCache
from pyiceberg.expressions import BooleanExpression
from pyiceberg.expressions.visitors import (
    _InclusiveMetricsEvaluator,
    expression_evaluator,
    inclusive_projection,
    manifest_evaluator,
)
from pyiceberg.manifest import DataFile, ManifestContent, ManifestFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.typedef import Record

from catchment.errors import Incompatible, Unavailable

_FILES_HELD = 50_000
_SHAPE = re.compile(r"-([0-9a-f]{16})\.parquet$")
_lock = threading.Lock()
_held: LRUCache[str, list[DataFile]] = LRUCache(_FILES_HELD, getsizeof=len)


def plan(table: Table, row_filter: BooleanExpression) -> list[DataFile]:
    """The live files of the table's current version that may hold rows for which `row_filter` is true.

    Promises that no such row is in another file; does not promise that these files hold any. Raises Incompatible when
    another engine has put row-level deletes into the table, Unavailable when its metadata cannot be read.
    """
    name = ".".join(table.name())
    snapshot = table.current_snapshot()
    if snapshot is None:
        return []
    may_match = _InclusiveMetricsEvaluator(table.schema(), row_filter).eval
    found = []
    try:
        for manifest in snapshot.manifests(table.io):
            if manifest.content != ManifestContent.DATA:
                raise Incompatible(
                    f"table {name}: it has row-level deletes, which are not read; compact it with the "
                    "engine that made them"
                )
            manifest_matches, partition_matches = _partition_filters(table, manifest.partition_spec_id, row_filter)
            if manifest_matches(manifest):
                found += [
                    file for file in _files(table, manifest) if partition_matches(file.partition) and may_match(file)
                ]
    except OSError as error:
        raise Unavailable(f"table {name}: its list of files cannot be read: {error}") from error
    return found


def shape_of(location: str) -> str:
    """What a file's name says of its schema: files of one shape have the same. A foreign file is a shape of its own."""
    found = _SHAPE.search(location)
    return found.group(1) if found else location


def _partition_filters(
    table: Table, spec_id: int, row_filter: BooleanExpression
) -> tuple[Callable[[ManifestFile], bool], Callable[[Record], bool]]:
    spec = table.specs()[spec_id]
    projected = inclusive_projection(table.schema(), spec)(row_filter)
    return (
        manifest_evaluator(spec, table.schema(), projected),
        expression_evaluator(Schema(*spec.partition_type(table.schema()).fields), projected, case_sensitive=True),
    )


def _files(table: Table, manifest: ManifestFile) -> list[DataFile]:
    with _lock:
        held = _held.get(manifest.manifest_path)
    if held is not None:
        return held
    files = [entry.data_file for entry in manifest.fetch_manifest_entry(table.io)]
    if len(files) <= _FILES_HELD:
        with _lock:
            _held[manifest.manifest_path] = files
    return files
