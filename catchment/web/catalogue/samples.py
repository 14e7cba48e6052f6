"""The newest pings of a doctype, whole: those at the end of topic `decoded`, else the newest rows of its table.

Client ids are cut to four characters unless `[console] show_client_ids` allows them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from catchment.errors import CatchmentError, QueryError
from catchment.ingestion.inspection.following import Filter, Sight, latest
from catchment.ingestion.inspection.moments import nanoseconds, sql_moment
from catchment.ingestion.inspection.opened import hide_clients
from catchment.log.port import Log
from catchment.query.port import Limits, QueryEngine
from catchment.web.catalogue.entries import Entry
from catchment.web.catalogue.tables import facts
from catchment.web.tailpages import TEXT_CHARS, pretty

if TYPE_CHECKING:
    from catchment.lake.tables import Lake
    from catchment.web.catalogue.versions import Version

MOST = 5
BACK = 400
"""Records of each partition's end that are looked through."""
QUERY_S = 10.0
SPAN_NS = 60 * 10**9
"""Rows of this time before the newest are looked at."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One ping: its text with a value a line, cut at TEXT_CHARS characters."""

    time_ns: int
    version: int | None
    document_id: str
    text: str
    is_cut: bool


@dataclass(frozen=True, slots=True)
class Found:
    """The newest first; `source` says where they are from, `problem` why there are none."""

    samples: tuple[Sample, ...]
    source: str
    problem: str = ""


class Samples:
    """Finds pings. Safe to call from several threads when `engine` is."""

    def __init__(
        self, log: Log, engine: Callable[[], QueryEngine], lake: Callable[[], Lake], *, shows_clients: bool
    ) -> None:
        self._log = log
        self._engine = engine
        self._lake = lake
        self._shown: Callable[[str], str] = str if shows_clients else hide_clients

    def newest(self, entry: Entry, version: Version | None) -> Found:
        """At most `MOST` pings of the doctype, of one version when it is given."""
        wanted = Filter(entry.namespace, entry.doctype, kinds=frozenset({"document"}))
        sights = latest(self._log, wanted, BACK, MOST * 4)
        found = [sight for sight in sights if version is None or sight.version == version.number][:MOST]
        if found:
            return Found(tuple(self._of_sight(sight) for sight in found), "as the decoder let them in")
        table = version.schema.table if version is not None else next(iter(entry.tables), "")
        if table not in entry.tables:
            return Found((), "")
        try:
            return Found(tuple(self._of_table(table)), f"rows of {table}, columns without a value left out")
        except CatchmentError as error:
            return Found((), "", f"The rows of {table} cannot be read: {error}")

    def _of_sight(self, sight: Sight) -> Sample:
        return self._sample(sight.time_ns, sight.version, sight.document_id, pretty(sight))

    def _of_table(self, table: str) -> list[Sample]:
        found = facts(self._lake(), table)
        if found is None or not found.rows:
            return []
        since = sql_moment(max(found.newest_ns - SPAN_NS, 0))  # all columns are read: of few files
        sql = (
            f"select * from {table} where submission_timestamp >= {since}"
            f" order by submission_timestamp desc limit {MOST}"
        )
        try:
            rows = self._engine().run(sql, Limits(timeout_s=QUERY_S)).read_all().to_pylist()
        except QueryError as error:
            if error.reason == "unknown_table":  # made, and not readable yet
                return []
            raise
        samples = []
        for row in rows:
            values: dict[str, Any] = {name: value for name, value in row.items() if value is not None}
            text = orjson.dumps(values, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()
            time = row["submission_timestamp"]
            samples.append(self._sample(nanoseconds(time) if time else 0, None, row.get("document_id") or "", text))
        return samples

    def _sample(self, time_ns: int, version: int | None, document_id: str, text: str) -> Sample:
        shown = self._shown(text)
        return Sample(time_ns, version, document_id, shown[:TEXT_CHARS], len(shown) > TEXT_CHARS)
