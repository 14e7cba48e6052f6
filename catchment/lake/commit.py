"""The exactly-once rule: rows and the offsets that they came from become visible in one step, or not at all.

A commit names, for each source partition, the offset that the table must have recorded (`expected`) and the one that it
records then (`end`, the next to read). A loader that crashed anywhere reads the recorded offsets and goes on from
there: what was committed is not repeated, what was not is read again.

    rows ──▶ data files ──▶ manifests ──▶ new metadata file ──▶ pointer moves
    before_files        files_written  manifests_written  metadata_written  catalog_updated ──▶ committed

The names below the arrows are the points at which `at` is called. Before every attempt the recorded offsets are
compared: another owner of a partition makes the commit `Fenced`. Another process that only changed something else in
the table is a conflict: the manifests are written again on the new version. When an error leaves the outcome unknown,
the version's id is looked for in the table. Data files are deleted only when it is certain that no version names
them; what a crash leaves is an orphan for maintenance.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException, NoSuchTableError
from pyiceberg.table import Table

from catchment import metrics
from catchment.clock import Clock
from catchment.errors import Conflict, Fenced, Missing, Unavailable, Unknown
from catchment.events import Events
from catchment.lake.catalog import Catalog, nothing
from catchment.lake.files import delete_files
from catchment.lake.snapshots import Change, Draft, draft

ATTEMPTS = 30
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 0.5

COMMITS = metrics.counter("lake_commits_total", "Commits to tables of the lake.", "commits", ["table"])
ROWS = metrics.counter("lake_rows_total", "Rows committed to tables of the lake.", "rows", ["table"])
BYTES = metrics.counter("lake_written_bytes_total", "Bytes of data files committed to the lake.", "bytes", ["table"])
CONFLICTS = metrics.counter(
    "lake_conflicts_total", "Commits tried again because somebody else changed the table first.", "attempts", ["table"]
)
SECONDS = metrics.histogram(
    "lake_commit_seconds",
    "Time from a commit's call to its visibility, files included.",
    "seconds",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)


class Span(NamedTuple):
    """One source partition in a commit: the offset that the table must have recorded (None: never any), and the next
    to read after these rows."""

    expected: int | None
    end: int


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit added. `snapshot_id` is None when there was nothing to commit."""

    snapshot_id: int | None
    rows: int
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Committer:
    """Commits changes of a table's files to the catalog until they succeed or must not."""

    catalog: Catalog
    clock: Clock
    events: Events

    def load(self, name: str) -> Table:
        """The table as it is now. Raises Missing, or Unavailable when the catalog or the metadata cannot be read."""
        try:
            return self.catalog.load_table(name)
        except NoSuchTableError as error:
            raise Missing(f"table {name} does not exist; see `catchment tables`") from error
        except OSError as error:
            raise Unavailable(f"table {name}: its current version cannot be read: {error}") from error

    def commit(
        self, name: str, prepare: Callable[[Table], Change], at: Callable[[str], None] = nothing
    ) -> tuple[int, Change]:
        """Make the change that `prepare` answers for the table's current version; it is asked again before every
        attempt, and refuses by raising. Returns the new version's id and the change that it made.

        Raises what `prepare` raises, Conflict when others were faster ATTEMPTS times, Unavailable when the disk or
        the catalog refuses, Unknown when it cannot be read back whether the change has happened.
        """
        pause_s = _FIRST_PAUSE_S
        for _ in range(ATTEMPTS):
            table = self.load(name)
            change = prepare(table)
            made = self._draft(name, table, change)
            at("manifests_written")
            if self._is_committed(name, table, made, at):
                return made.snapshot.snapshot_id, change
            CONFLICTS.labels(name).inc()
            delete_files(table.io, made.written)
            time.sleep(pause_s * (0.5 + random.random()))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        raise Conflict(f"table {name}: others committed first {ATTEMPTS} times; nothing was changed, try again")

    def _draft(self, name: str, table: Table, change: Change) -> Draft:
        try:
            return draft(table, change, self.clock.time_ns() // 1_000_000)
        except OSError as error:
            raise Unavailable(f"table {name}: manifests cannot be written: {error}; nothing was changed") from error

    def _is_committed(self, name: str, table: Table, made: Draft, at: Callable[[str], None]) -> bool:
        """Whether the draft is a version of the table now; False is a conflict.

        After an error that does not say so itself, the table is read back. What is not found there then may, after a
        crash of the machine, still come out of the catalog's journal: its files are left for maintenance.
        """
        try:
            self.catalog.commit_table(table, made.requirements, made.updates, at)
            return True
        except CommitFailedException:
            return False
        except (OSError, CommitStateUnknownException) as error:
            if self._is_there(name, made.snapshot.snapshot_id, error):
                self.events.warning("lake_commit_found", table=name, after=error)
                return True
            raise Unavailable(f"table {name}: commit refused: {error}; nothing was changed, try again") from error

    def _is_there(self, name: str, snapshot_id: int, error: Exception) -> bool:
        try:
            return self.catalog.load_table(name).snapshot_by_id(snapshot_id) is not None
        except OSError as second:
            raise Unknown(
                f"table {name}: commit failed ({error}) and its outcome cannot be read back ({second}); "
                "read the offsets before repeating"
            ) from second


def check_spans(name: str, recorded: Mapping[str, int], spans: Mapping[str, Span]) -> None:
    """Raise Fenced when the table has not recorded what a span expects."""
    for source, span in spans.items():
        found = recorded.get(source)
        if found != span.expected:
            raise Fenced(
                f"table {name}: {source} is recorded up to {found}, the rows begin at {span.expected}; another loader "
                "owns the partition or has owned it: read the offsets anew"
            )
