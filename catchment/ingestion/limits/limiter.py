"""Parts raw records into those that are loaded and those that are deferred, and keeps what it decided.

The file `<home>/limits/<topic>.<partition>.json`:

    until      the offset before which everything is decided
    deferred   offsets that were deferred, of those that the group may read again
    buckets    [namespace, doctype, tokens, time in ns], as they were at `until`
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from catchment import metrics
from catchment.clock import Clock
from catchment.directories import make_directory, replace_file
from catchment.errors import Corrupt, Unavailable
from catchment.events import Events
from catchment.health import WARNING, Finding
from catchment.ingestion.decoder.failure import Refusal
from catchment.ingestion.decoder.submission import unwrap
from catchment.ingestion.decoder.uri import read_path
from catchment.ingestion.limits.buckets import Bucket, Buckets
from catchment.ingestion.limits.rows import Deferral
from catchment.ingestion.limits.settings import LimitSettings, limit_of
from catchment.log.port import Record, TopicPartition

TOLD_S = 60.0
"""A flood of a doctype is told once in this time."""
RECENT_S = 300.0

DEFERRED = metrics.counter(
    "limits_deferred_total",
    "Submissions over a limit, again after a restart included.",
    "records",
    ("namespace", "doctype"),
)


@dataclass(slots=True)
class _Flood:
    """Deferrals of a doctype that are not told yet, and when the last ones were told and made."""

    records: int = 0
    told_s: float = -TOLD_S
    last_s: float = 0.0


@dataclass(slots=True)
class _Decisions:
    """What is decided of one partition. `deferred` has the offsets that the group may read again."""

    until: int
    deferred: set[int]
    buckets: Buckets
    is_kept: bool


class Limiter:
    """The limits of the partitions that this loader owns. One thread calls it, but for `check`."""

    def __init__(
        self,
        settings: LimitSettings,
        directory: Path | None,
        clock: Clock,
        events: Events,
        lenient: Collection[str] = (),
    ) -> None:
        """`directory` is made with the first decision; all loaders of a platform share it. None is for no limits.
        `lenient` are the namespaces whose paths the decoder reads by the rules of 2018."""
        self._lenient = lenient
        self._settings = settings
        self._limit_of = partial(limit_of, settings)
        self._directory = directory
        self._clock = clock
        self._events = events
        self._decisions: dict[TopicPartition, _Decisions] = {}
        self._floods: dict[tuple[str, str], _Flood] = {}

    def assigned(self, source: TopicPartition, committed: int) -> None:
        """Take a partition over at the group's offset. Raises Corrupt when what was kept cannot be read."""
        kept = _read(_path(self._directory, source)) if self._directory else {}
        until = max(kept.get("until", 0), committed)
        held = {
            (namespace, doctype): Bucket(tokens, at_ns) for namespace, doctype, tokens, at_ns in kept.get("buckets", ())
        }
        deferred = {offset for offset in kept.get("deferred", ()) if offset >= committed}
        self._decisions[source] = _Decisions(until, deferred, Buckets(self._limit_of, held), is_kept=True)

    def revoked(self, source: TopicPartition) -> None:
        self._decisions.pop(source, None)

    def part(self, source: TopicPartition, records: Sequence[Record]) -> tuple[Sequence[Record], Sequence[Deferral]]:
        """The records to load, and the others; each in order. What was decided before is decided so again."""
        decisions = self._decisions[source]
        if not self._settings.is_on and records[0].offset >= decisions.until:
            return records, ()
        admitted: list[Record] = []
        deferred: list[Deferral] = []
        for record in records:
            deferral = self._decide(decisions, record)
            if deferral is None:
                admitted.append(record)
            else:
                deferred.append(deferral)
        if deferred:
            self._tell(deferred)
        return admitted, deferred

    def keep(self) -> None:
        """Return when all decisions are durable. Raises Unavailable; then call it again."""
        for source, decisions in self._decisions.items():
            if self._directory and not decisions.is_kept:
                _write(_path(self._directory, source), decisions)
                decisions.is_kept = True

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """The group will not read below these offsets again."""
        for source, end in offsets.items():
            decisions = self._decisions[source]
            decisions.deferred = {offset for offset in decisions.deferred if offset >= end}

    def check(self) -> list[Finding]:
        """A warning for the doctypes that were deferred in the last minutes. From any thread."""
        since_s = self._clock.monotonic_s() - RECENT_S
        names = sorted("/".join(key) for key, flood in list(self._floods.items()) if flood.last_s > since_s)
        if not names:
            return []
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        return [Finding("limit_exceeded", WARNING, f"{shown}: over the limit, deferred; see `catchment limits`")]

    def _decide(self, decisions: _Decisions, record: Record) -> Deferral | None:
        """The deferral of a record, None to load it. What is not understood is loaded, so that it becomes an error."""
        is_decided = record.offset < decisions.until
        if is_decided and record.offset not in decisions.deferred:
            return None
        unwrapped = unwrap(record.payload)
        submission = None if isinstance(unwrapped, Refusal) else unwrapped[0]
        named = read_path(submission.uri, self._lenient) if submission else None
        if not is_decided:
            decisions.until, decisions.is_kept = record.offset + 1, False
        if submission is None or named is None or isinstance(named, Refusal):
            return None
        route, document_id = named
        if not is_decided:
            if decisions.buckets.admits((route.namespace, route.doctype), submission.received_ns):
                return None
            decisions.deferred.add(record.offset)
        return Deferral(
            record.offset,
            submission.uuid,
            submission.received_ns,
            route.namespace,
            route.doctype,
            route.version,
            document_id,
            submission.uri or "",
            str(self._limit_of(route.namespace, route.doctype)),
            len(submission.body),
            submission.hostname,
        )

    def _tell(self, deferred: Sequence[Deferral]) -> None:
        now_s = self._clock.monotonic_s()
        for deferral in deferred:
            key = (deferral.namespace, deferral.doctype)
            DEFERRED.labels(*key).inc()
            flood = self._floods.setdefault(key, _Flood())
            flood.records += 1
            flood.last_s = now_s
        for (namespace, doctype), flood in list(self._floods.items()):
            if flood.records and now_s - flood.told_s >= TOLD_S:
                self._events.warning(
                    "limit_exceeded",
                    namespace=namespace,
                    doctype=doctype,
                    deferred=flood.records,
                    limit=self._limit_of(namespace, doctype),
                )
                flood.records, flood.told_s = 0, now_s
            elif now_s - flood.last_s > RECENT_S:
                del self._floods[namespace, doctype]


def _path(directory: Path, source: TopicPartition) -> Path:
    return directory / f"{source.topic}.{source.partition}.json"


def _write(path: Path, decisions: _Decisions) -> None:
    """Replace what was kept, whole and durably."""
    buckets = [(*key, bucket.tokens, bucket.at_ns) for key, bucket in decisions.buckets.held.items()]
    document = {"until": decisions.until, "deferred": sorted(decisions.deferred), "buckets": buckets}
    try:
        make_directory(path.parent)
        replace_file(path, orjson.dumps(document))
    except OSError as error:
        raise Unavailable(f"{path}: decisions on limits cannot be kept: {error.strerror}; try again") from error


def _read(path: Path) -> dict[str, Any]:
    """What was kept of a partition, {} when nothing was."""
    try:
        found = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except orjson.JSONDecodeError as error:
        raise Corrupt(
            f"{path}: not the decisions on limits of a partition ({error}); restore it, or remove it: then what comes "
            "again after a crash may be decided otherwise than the first time"
        ) from error
    assert isinstance(found, dict)
    return found
