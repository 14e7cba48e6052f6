"""What the decoder refused: counted by code and doctype, over time, in samples, and one whole.

All of it is in the table `monitoring.errors`, a flush (5 s) after it happened; one failure is also found before, at the
end of topic `errors`. A record that is no message has no time (it stands at the epoch) and is shown whatever the time
asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from catchment import message
from catchment.errors import Malformed, Missing, QueryError
from catchment.ingestion import streams
from catchment.ingestion.decoder.failure import CODES, ERRORS_TABLE, Failure
from catchment.ingestion.inspection.moments import nanoseconds, sql_moment, sql_text
from catchment.log.port import Log, TopicPartition
from catchment.query.port import Limits, QueryEngine
from catchment.schemas.names import snake_case

if TYPE_CHECKING:
    from catchment.lake.tables import Lake

QUERY_S = 20.0
END_RECORDS = 2_000
END_BYTES = 16 * 1024 * 1024
"""How much of the end of topic `errors` is looked through for one that the table does not hold yet."""
MOST_FOUND = 20
BARS = 60
"""About how many steps of time `over_time` makes."""
_STEPS_S = (1, 5, 15, 60, 300, 900, 3_600, 10_800, 21_600, 86_400, 604_800)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which failures: since when (ns since the epoch), and what they must have; empty takes all."""

    since_ns: int
    namespace: str = ""
    doctype: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """How often pings of one doctype were refused with one code."""

    code: str
    step: str
    namespace: str
    doctype: str
    pings: int
    per_h: float
    share: float | None
    """Of the doctype's pings in that time, refused ones included; None when the doctype is not known."""
    first: datetime
    latest: datetime
    message: str
    """The text of the latest of them, without values."""

    @property
    def latest_ns(self) -> int:
        return nanoseconds(self.latest)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of time and how many were refused in it with each code."""

    begin_ns: int
    seconds: int
    pings: dict[str, int]


@dataclass(frozen=True, slots=True)
class Found:
    """A failure and the raw record that it was made of; "" and -1 for a row that a replay has displaced."""

    source: str
    offset: int
    failure: Failure
    is_stored: bool = True
    """Whether the table has it already; else only the end of topic `errors`."""

    @property
    def name(self) -> str:
        """How commands and links name it: `raw/0@17`, or by document id where no record is known."""
        return f"{self.source}@{self.offset}" if self.source else self.failure.document_id or ""


class Failures:
    """Reads failures. Safe to call from several threads when `engine` and `lake` are."""

    def __init__(self, log: Log, engine: Callable[[], QueryEngine], lake: Callable[[], Lake]) -> None:
        self._log = log
        self._engine = engine
        self._lake = lake

    def counts(self, wanted: Wanted, now_ns: int, most: int = 100) -> list[Count]:
        """The most frequent first."""
        rows = self._rows(
            "select code, any_value(step) step, document_namespace, document_type, count(*) pings,"
            " min(submission_timestamp) as first, max(submission_timestamp) as latest,"
            f" arg_max(message, submission_timestamp) as text from {ERRORS_TABLE} where {_condition(wanted)}"
            f" group by code, document_namespace, document_type order by pings desc, code limit {most}"
        )
        passed = self._passed({(row["document_namespace"], row["document_type"]) for row in rows}, wanted.since_ns)
        refused: dict[tuple[str | None, str | None], int] = {}
        for row in self._refused(wanted) if wanted.code else rows:
            place = (row["document_namespace"], row["document_type"])
            refused[place] = refused.get(place, 0) + row["pings"]
        hours = max(now_ns - wanted.since_ns, 1) / 3.6e12
        counts = []
        for row in rows:
            place = (row["document_namespace"], row["document_type"])
            share = row["pings"] / (refused[place] + passed[place]) if all(place) else None
            counts.append(
                Count(
                    row["code"],
                    row["step"],
                    place[0] or "",
                    place[1] or "",
                    row["pings"],
                    row["pings"] / hours,
                    share,
                    row["first"],
                    row["latest"],
                    row["text"] or "",
                )
            )
        return counts

    def over_time(self, wanted: Wanted, now_ns: int) -> list[Step]:
        """Steps of equal length from `since_ns` to now, the oldest first, about BARS of them."""
        span_s = max((now_ns - wanted.since_ns) / 1e9, 1.0)
        seconds = next((step for step in _STEPS_S if span_s / step <= BARS), _STEPS_S[-1])
        rows = self._rows(
            f"select epoch_ms(submission_timestamp) // {seconds * 1000} as step, code, count(*) pings"
            f" from {ERRORS_TABLE} where {_condition(wanted)} and submission_timestamp > {sql_moment(1000)}"
            " group by all order by step"
        )
        first, last = wanted.since_ns // (seconds * 10**9), now_ns // (seconds * 10**9)
        steps = {number: Step(number * seconds * 10**9, seconds, {}) for number in range(first, last + 1)}
        for row in rows:
            if row["step"] in steps:
                steps[row["step"]].pings[row["code"]] = row["pings"]
        return list(steps.values())

    def samples(self, wanted: Wanted, most: int) -> list[Found]:
        """The newest, whole."""
        return self._table(_condition(wanted), most)

    def find(self, name: str) -> list[Found]:
        """The failures of a document id, or the one of `source@offset`; the newest first. Raises Missing."""
        source, at, offset = name.partition("@")
        if at and offset.isdecimal() and len(offset) < 19:
            found = self._of_record(source, int(offset))
        elif "'" in name or len(name) > 64:
            found = []
        else:
            found = self.of_document(name.lower())
        if not found:
            raise Missing(
                f"error {name[:80]!r}: neither {ERRORS_TABLE} nor the end of topic errors has it; give a document id "
                "or SOURCE@OFFSET as `catchment errors --samples 5` lists them; `catchment receipt` finds other pings"
            )
        return found

    def _of_record(self, source: str, offset: int) -> list[Found]:
        time_ns = self._time_ns(source, offset)
        when = "" if time_ns is None else f" and submission_timestamp = {sql_moment(time_ns)}"
        stored = self._table(f"source = {sql_text(source)} and source_offset = {offset}{when}", 1)
        return stored or [other for other in self._end() if (other.source, other.offset) == (source, offset)]

    def of_document(self, document_id: str) -> list[Found]:
        """The failures of a document id (lower case), the newest first; empty when it has none."""
        stored = self._table(f"document_id = {sql_text(document_id)}", MOST_FOUND)
        known = {other.name for other in stored}
        fresh = [other for other in self._end() if other.failure.document_id == document_id and other.name not in known]
        return [*reversed(fresh), *stored]

    def _time_ns(self, source: str, offset: int) -> int | None:
        """When the raw record came, which tells the one file that can hold its failure; None when it is gone."""
        topic, _, partition = source.partition("/")
        if not partition.isdecimal() or int(partition) >= self._log.topics().get(topic, 0):
            return None
        raw = TopicPartition(topic, int(partition))
        bounds = self._log.bounds(raw)
        if not bounds.start <= offset < bounds.end:
            return None
        reader = self._log.open_reader(raw, offset)
        try:
            return message.decode(reader.read(1, 1, 0.0)[0].payload).timestamp
        except (Malformed, Missing):
            return None
        finally:
            reader.close()

    def _end(self) -> list[Found]:
        """The failures at the end of topic `errors`, the oldest of each partition first."""
        found = []
        for number in range(self._log.topics().get("errors", 0)):
            partition = TopicPartition("errors", number)
            bounds = self._log.bounds(partition)
            reader = self._log.open_reader(partition, max(bounds.start, bounds.end - END_RECORDS))
            try:
                records = reader.read(END_RECORDS, END_BYTES, 0.0)
            except Missing:  # retention went past it between the two calls
                continue
            finally:
                reader.close()
            found += [read for record in records if (read := read_found(record.payload)) is not None]
        return found

    def _table(self, condition: str, most: int) -> list[Found]:
        rows = self._rows(
            f"select * from {ERRORS_TABLE} where {condition} order by submission_timestamp desc, source_offset desc"
            f" limit {most}"
        )
        return [_found(row) for row in rows]

    def _refused(self, wanted: Wanted) -> list[dict[str, Any]]:
        everything = Wanted(wanted.since_ns, wanted.namespace, wanted.doctype)
        return self._rows(
            f"select document_namespace, document_type, count(*) pings from {ERRORS_TABLE}"
            f" where {_condition(everything)} group by all"
        )

    def _passed(
        self, places: Iterable[tuple[str | None, str | None]], since_ns: int
    ) -> dict[tuple[str | None, str | None], int]:
        """Rows of each doctype's tables, of all versions, since then."""
        tables = self._lake().tables()
        parts = []
        names: list[tuple[str | None, str | None]] = []
        for namespace, doctype in places:
            if namespace and doctype:
                stem = f"{snake_case(namespace)}.{snake_case(doctype)}_v"
                parts += [
                    f"select {len(names)} as place, count(*) pings from {table}"
                    f" where submission_timestamp >= {sql_moment(since_ns)}"
                    for table in tables
                    if table.startswith(stem) and table.removeprefix(stem).isdecimal()
                ]
                names.append((namespace, doctype))
        passed: dict[tuple[str | None, str | None], int] = dict.fromkeys(names, 0)
        for row in self._rows(" union all ".join(parts)) if parts else []:
            passed[names[row["place"]]] += row["pings"]
        return passed

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        try:
            rows = self._engine().run(sql, Limits(timeout_s=QUERY_S)).read_all().to_pylist()
        except QueryError as error:
            if error.reason == "unknown_table":  # no loader has run yet, so nothing was refused
                return []
            raise
        return list(rows)


def read_found(payload: bytes) -> Found | None:
    """The failure in a record of topic `errors`; None when the record is of another kind."""
    try:
        read = message.decode(payload)
        failure = streams.read_failure(read)
    except Malformed:
        return None
    source, offset = streams.source_of(read)
    return Found(str(source), offset, failure, is_stored=False)


def _condition(wanted: Wanted) -> str:
    conditions = [
        f"(submission_timestamp >= {sql_moment(wanted.since_ns)} or submission_timestamp < {sql_moment(1000)})"
    ]
    for column, value in (
        ("document_namespace", wanted.namespace),
        ("document_type", wanted.doctype),
        ("code", wanted.code),
    ):
        if value:
            conditions.append(f"{column} = {sql_text(value)}")
    return " and ".join(conditions)


def _found(row: dict[str, Any]) -> Found:
    pointers: Sequence[str | None] = (row["schema_pointer"], row["document_pointer"])
    code = row["code"]
    return Found(
        row["source"] or "",
        -1 if row["source_offset"] is None else row["source_offset"],
        Failure(
            row["step"] or CODES.get(code, ("", ""))[0],
            code,
            row["message"] or "",
            row["detail"] or "",
            tuple(pointer for pointer in pointers if pointer is not None),
            nanoseconds(row["submission_timestamp"]),
            b"",
            row["edge"],
            row["uri"],
            row["args"],
            row["payload"] or b"",
            dict(row["headers"] or ()),
            row["document_namespace"],
            row["document_type"],
            row["document_version"],
            row["document_id"],
        ),
    )
