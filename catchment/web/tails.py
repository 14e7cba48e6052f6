"""The last pings and the last errors: the ends of topics `decoded` and `errors`, newest first.

A tail is read when somebody looks, at most once a period, whoever looks; without viewers nothing is read. A record is
decoded once and kept as a row of few texts, so bodies of megabytes do not stay. Client ids are shortened: the page
shows that pings have one, not whose they are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from catchment import message
from catchment.clock import Clock
from catchment.errors import CatchmentError, Malformed, Missing
from catchment.events import Events
from catchment.ingestion.inspection.opened import hide_clients
from catchment.ingestion.streams import source_of
from catchment.log.port import Log, Reader, Record, TopicPartition
from catchment.message import Message, Value
from catchment.schemas.names import table_name
from catchment.web.formats import shortened

READ_BYTES = 16 * 1024 * 1024
"""Most bytes that one look reads of one partition."""
SHOWN_CHARS = 300


@dataclass(frozen=True, slots=True)
class Ping:
    """A decoded ping in a line. `query` shows its row; empty when its table's name is not known."""

    key: str
    time_ns: int
    place: str
    channel: str
    country: str
    application: str
    size_bytes: int
    document_id: str
    client: str
    query: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A ping that was refused, in a line and some details."""

    key: str
    name: str
    """Of its raw record, `raw/0@17`; the page of errors finds it by that."""
    time_ns: int
    place: str
    step: str
    code: str
    message: str
    detail: str
    pointers: tuple[str, ...]
    """Where a schema was broken: in the schema, in the ping."""
    uri: str
    document_id: str
    size_bytes: int
    query: str


class _Timed(Protocol):
    @property
    def time_ns(self) -> int: ...


Row = TypeVar("Row", bound=_Timed)


@dataclass(slots=True)
class _End(Generic[Row]):
    """One partition of a tail: its reader, and the rows made so far, the oldest first."""

    reader: Reader
    rows: list[Row] = field(default_factory=list)


class Tail(Generic[Row]):
    """The last `length` records of a topic as rows. Safe to call from several threads."""

    def __init__(
        self,
        log: Log,
        topic: str,
        row: Callable[[str, Message], Row],
        length: int,
        period_s: float,
        clock: Clock,
        events: Events,
    ) -> None:
        self._log = log
        self._topic = topic
        self._row = row
        self._length = length
        self._period_s = period_s
        self._clock = clock
        self._events = events
        self._ends: dict[TopicPartition, _End[Row]] = {}
        self._lock = threading.Lock()
        self._rows: tuple[Row, ...] = ()
        self._read_s: float | None = None

    def rows(self) -> tuple[Row, ...]:
        """The newest rows first; read anew when the last reading is older than the period.

        What cannot be read now (the log says why in an event) leaves the rows as they were.
        """
        with self._lock:
            now_s = self._clock.monotonic_s()
            if self._read_s is None or now_s - self._read_s >= self._period_s:
                self._read_s = now_s
                try:
                    self._rows = self._read()
                except (CatchmentError, OSError) as error:
                    self._events.warning("tail_failed", topic=self._topic, error=error)
            return self._rows

    def _read(self) -> tuple[Row, ...]:
        rows: list[Row] = []
        for number in range(self._log.topics().get(self._topic, 0)):
            rows += self._read_end(TopicPartition(self._topic, number))
        rows.sort(key=lambda row: row.time_ns, reverse=True)
        return tuple(rows[: self._length])

    def _read_end(self, source: TopicPartition) -> list[Row]:
        bounds = self._log.bounds(source)
        begin = max(bounds.start, bounds.end - self._length)
        end = self._ends.get(source)
        if end is None:
            end = self._ends[source] = _End(self._log.open_reader(source, begin))
        if not begin <= end.reader.position <= bounds.end:
            end.reader.seek(begin)
        while end.reader.position < bounds.end:
            try:
                records = end.reader.read(self._length, READ_BYTES, 0.0)
            except Missing:  # retention went past it between the two calls
                end.reader.seek(self._log.bounds(source).start)
                continue
            if not records:
                break
            end.rows += [row for record in records if (row := self._made(source, record)) is not None]
        del end.rows[: -self._length]
        return end.rows

    def _made(self, source: TopicPartition, record: Record) -> Row | None:
        try:
            return self._row(f"{source}/{record.offset}", message.decode(record.payload))
        except Malformed as error:
            self._events.warning("record_malformed", source=source, offset=record.offset, error=error)
            return None


def read_ping(key: str, found: Message) -> Ping:
    """A message of topic `decoded` as a row."""
    namespace, doctype, version = found.logger or "", _text(found, "docType"), _version(found)
    document_id = _text(found, "documentId")
    table = table_name(namespace, doctype, int(version)) if version else ""
    client = _text(found, "clientId")
    application = " ".join(part for part in (_text(found, "appName"), _text(found, "appVersion")) if part) or _text(
        found, "user_agent_browser"
    )
    return Ping(
        key,
        found.timestamp,
        _place(namespace, doctype, version),
        _text(found, "normalizedChannel"),
        _text(found, "geoCountry"),
        application,
        _size_bytes(found, "submission"),
        document_id,
        f"{client[:4]}…" if client else "",
        f"select *\nfrom {table}\nwhere document_id = {_literal(document_id)}" if table else "",
    )


def read_refused(key: str, found: Message) -> Refused:
    """A message of topic `errors` as a row. The fields are those that `ingestion/streams.py` writes."""
    document_id, code = _text(found, "documentId"), _text(found, "errorCode")
    wanted = f"document_id = {_literal(document_id)}" if document_id else f"code = {_literal(code)}"
    pointers = tuple(_cut(field.value) for field in found.fields if field.name == "errorPointers")
    source, offset = source_of(found)
    return Refused(
        key,
        f"{source}@{offset}",
        found.timestamp,
        _place(_text(found, "namespace"), _text(found, "docType"), _version(found)),
        _text(found, "errorStep"),
        code,
        _text(found, "errorMessage"),
        hide_clients(_text(found, "DecodeErrorDetail")),
        pointers,
        _text(found, "uri"),
        document_id,
        _size_bytes(found, "content") or _size_bytes(found, "data"),
        f"select *\nfrom monitoring.errors\nwhere {wanted}\norder by submission_timestamp desc\nlimit 20",
    )


def _place(namespace: str, doctype: str, version: str) -> str:
    place = ".".join(part for part in (namespace, doctype) if part)
    return shortened(f"{place}.v{version}" if place and version else place, 80)


def _version(found: Message) -> str:
    value = found.first("docVersion")
    return str(int(value)) if isinstance(value, (int, float)) and value == value // 1 else ""


def _text(found: Message, name: str) -> str:
    return _cut(found.first(name))


def _cut(value: Value | None) -> str:
    return shortened(str(value), SHOWN_CHARS) if value is not None else ""


def _size_bytes(found: Message, name: str) -> int:
    value = found.first(name)
    return len(value) if isinstance(value, (bytes, str)) else 0


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
