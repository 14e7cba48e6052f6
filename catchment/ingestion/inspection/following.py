"""Pings as they come: the ends of the loader's output topics, each ping with what became of it.

    reader of a partition, woken by the log ─▶ Sight ─▶ Filter ─▶ whoever watches

A `Follower` has a thread for each partition of the four topics, because a reader waits for one partition; a partition
or topic that is made later is found within `LOOK_S`. Order is kept within a partition. Whoever takes the sights may
take his time: what he has not taken stays in the log, on disk.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from catchment import message
from catchment.clock import utc
from catchment.errors import CatchmentError, Malformed, Missing
from catchment.events import Events
from catchment.ingestion import streams
from catchment.ingestion.decoder.body import gunzip, parse
from catchment.ingestion.decoder.failure import Refusal
from catchment.log.port import Log, Reader, Record, TopicPartition
from catchment.message import Message

KINDS = {"decoded": "document", "errors": "error", "duplicates": "duplicate", "deferred": "deferred"}
"""Topic → what its pings are called."""
LOOK_S = 1.0
READ_RECORDS = 500
READ_BYTES = 4 * 1024 * 1024
MAX_TEXT_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sight:
    """One ping as the decoder left it. Texts that are not known are empty."""

    kind: str
    """document, error, duplicate, or deferred (over a limit: kept, and not loaded until a replay)."""
    time_ns: int
    """When the edge received it; 0 when the record was no message."""
    namespace: str
    doctype: str
    version: int | None
    document_id: str
    client_id: str
    """Of documents and duplicates; a failure's document was not read that far."""
    debug_id: str
    channel: str
    source: str
    """Its raw record: `raw/0@17`."""
    body: bytes
    """JSON text of a document, the body as received of an error, else nothing."""
    step: str = ""
    code: str = ""
    message: str = ""
    detail: str = ""
    pointers: tuple[str, ...] = ()
    delta_s: int | None = None
    """Of a duplicate: how far it is from the first delivery, to 6 minutes."""
    rate_limit: str = ""
    """Of a deferred ping: the limit that it came over."""

    @property
    def place(self) -> str:
        """`telemetry.main.v4`, as far as it is known."""
        place = ".".join(part for part in (self.namespace, self.doctype) if part)
        return place if self.version is None or not place else f"{place}.v{self.version}"

    @property
    def text(self) -> bytes | None:
        """The body as text, gunzipped; None when it cannot be."""
        text = gunzip(self.body, MAX_TEXT_BYTES)
        return None if isinstance(text, Refusal) else text

    def as_json(self) -> dict[str, Any]:
        """What `--format json` writes: the document parsed, or its text when it cannot be."""
        told: dict[str, Any] = {
            "kind": self.kind,
            "time": utc(self.time_ns).isoformat() if self.time_ns else None,
            "namespace": self.namespace or None,
            "doctype": self.doctype or None,
            "version": self.version,
            "document_id": self.document_id or None,
            "client_id": self.client_id or None,
            "debug_id": self.debug_id or None,
            "source": self.source,
        }
        if self.kind == "error":
            told["error"] = {
                "step": self.step,
                "code": self.code,
                "message": self.message,
                "detail": self.detail,
                "pointers": list(self.pointers),
            }
        if self.kind == "duplicate":
            told["duplicate_delta_s"] = self.delta_s
        elif self.kind == "deferred":
            told["rate_limit"] = self.rate_limit
        else:
            text = self.text
            content = None if text is None else parse(text)
            told["document"] = None if isinstance(content, Refusal) else content
            if told["document"] is None:
                told["text"] = None if text is None else text.decode("utf-8", "replace")
        return told


def read_sight(topic: str, payload: bytes) -> Sight:
    """The sight in a record of one of the four topics. Raises Malformed."""
    found = message.decode(payload)
    source, offset = streams.source_of(found)
    common = (
        KINDS[topic],
        found.timestamp,
        _text(found, "namespace") if topic == "errors" else found.logger or "",
        _text(found, "docType"),
        _version(found),
        _text(found, "documentId"),
        _text(found, "clientId"),
        _text(found, "X-Debug-ID"),
        _text(found, "normalizedChannel"),
        f"{source}@{offset}",
    )
    if topic == "decoded":
        return Sight(*common, _bytes(found, "submission"))
    if topic == "deferred":
        return Sight(*common, b"", rate_limit=_text(found, "rateLimit"))
    if topic == "duplicates":
        delta = found.first("duplicateDelta")
        delta_s = delta * streams.DELTA_UNIT_NS // 10**9 if isinstance(delta, int) else None
        return Sight(*common, b"", delta_s=delta_s)
    return Sight(
        *common,
        _bytes(found, "content") or _bytes(found, "data"),
        _text(found, "errorStep"),
        _text(found, "errorCode"),
        _text(found, "errorMessage"),
        _text(found, "DecodeErrorDetail"),
        tuple(str(field.value) for field in found.fields if field.name == "errorPointers"),
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """Which pings somebody wants to see; empty takes all. A client's or debug id must be the whole one."""

    namespace: str = ""
    doctype: str = ""
    client_id: str = ""
    debug_id: str = ""
    kinds: frozenset[str] = frozenset(KINDS.values())

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(topic for topic, kind in KINDS.items() if kind in self.kinds)

    def takes(self, sight: Sight) -> bool:
        return (
            sight.kind in self.kinds
            and self.namespace in ("", sight.namespace)
            and self.doctype in ("", sight.doctype)
            and self.debug_id in ("", sight.debug_id)
            and (self.client_id in ("", sight.client_id) or self._is_in_refused(sight))
        )

    def _is_in_refused(self, sight: Sight) -> bool:
        """A refused ping was not read as far as its client id; what its text holds decides."""
        return sight.kind == "error" and self.client_id.encode() in (sight.text or b"")


class Follower:
    """Hands sights to `take`, from several threads, until it is closed. `take` may block."""

    def __init__(
        self,
        log: Log,
        topics: Sequence[str],
        take: Callable[[Sequence[Sight]], None],
        events: Events,
        *,
        back: int | None = 0,
    ) -> None:
        """Begins `back` records before the end of each partition; None: at its start. What is made later is read
        from its start."""
        self._log = log
        self._topics = topics
        self._take = take
        self._events = events
        self._stopping = threading.Event()
        self._threads: dict[TopicPartition, threading.Thread] = {}
        for source in self._there():
            self._follow(source, self._begin(source, back))
        self._looking = threading.Thread(target=self._look, name="follower", daemon=True)
        self._looking.start()

    def stop(self) -> None:
        """Let go of the log soon (LOOK_S), without waiting for it."""
        self._stopping.set()

    @property
    def has_left(self) -> bool:
        """Whether it has let go of the log."""
        return not any(thread.is_alive() for thread in (self._looking, *self._threads.values()))

    def close(self) -> None:
        """Let go of the log. Returns within LOOK_S when `take` does not block."""
        self.stop()
        self._looking.join()
        for thread in self._threads.values():
            thread.join()

    def _there(self) -> list[TopicPartition]:
        counts = self._log.topics()
        return [TopicPartition(topic, number) for topic in self._topics for number in range(counts.get(topic, 0))]

    def _begin(self, source: TopicPartition, back: int | None) -> int:
        bounds = self._log.bounds(source)
        return bounds.start if back is None else max(bounds.end - back, bounds.start)

    def _look(self) -> None:
        """Find partitions that are new."""
        while not self._stopping.wait(LOOK_S):
            try:
                for source in self._there():
                    if source not in self._threads:
                        self._follow(source, self._begin(source, None))
            except CatchmentError as error:
                self._events.warning("follow_failed", error=error)

    def _follow(self, source: TopicPartition, begin: int) -> None:
        thread = threading.Thread(target=self._run, args=(source, begin), name=f"follow-{source}", daemon=True)
        self._threads[source] = thread
        thread.start()

    def _run(self, source: TopicPartition, begin: int) -> None:
        reader = self._log.open_reader(source, begin)
        try:
            while not self._stopping.is_set():
                self._take_next(source, reader)
        except (CatchmentError, OSError) as error:  # damage, or a closed log: this partition cannot be followed on
            if not self._stopping.is_set():
                self._events.error("follow_ended", partition=source, error=error)
        finally:
            reader.close()

    def _take_next(self, source: TopicPartition, reader: Reader) -> None:
        try:
            records = reader.read(READ_RECORDS, READ_BYTES, LOOK_S)
        except Missing:  # retention went past it
            reader.seek(self._log.bounds(source).start)
            return
        sights = [sight for record in records if (sight := self._sight(source, record)) is not None]
        if sights:
            self._take(sights)

    def _sight(self, source: TopicPartition, record: Record) -> Sight | None:
        try:
            return read_sight(source.topic, record.payload)
        except Malformed as error:
            self._events.warning("record_malformed", source=source, offset=record.offset, error=error)
            return None


def latest(log: Log, wanted: Filter, back: int, most: int) -> list[Sight]:
    """The newest sights that the filter takes, among the last `back` records of each partition; the newest first."""
    found: list[Sight] = []
    for topic in wanted.topics:
        for number in range(log.topics().get(topic, 0)):
            source = TopicPartition(topic, number)
            bounds = log.bounds(source)
            reader = log.open_reader(source, max(bounds.end - back, bounds.start))
            newest: deque[Sight] = deque(maxlen=most)
            try:
                while reader.position < bounds.end and (records := reader.read(back, READ_BYTES, 0.0)):
                    sights = (read_sight(topic, record.payload) for record in records)
                    newest += [sight for sight in sights if wanted.takes(sight)]
            except (Missing, Malformed):  # what retention took, or who else wrote: the rest is shown
                continue
            finally:
                reader.close()
                found += newest
    found.sort(key=lambda sight: sight.time_ns, reverse=True)
    return found[:most]


def _text(found: Message, name: str) -> str:
    value = found.first(name)
    return value if isinstance(value, str) else ""


def _bytes(found: Message, name: str) -> bytes:
    value = found.first(name)
    return value if isinstance(value, bytes) else b""


def _version(found: Message) -> int | None:
    value = found.first("docVersion")
    return int(value) if isinstance(value, (int, float)) and value == value // 1 else None
