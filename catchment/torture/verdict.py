"""The oracle: every answer 200 against what the platform holds.

Each acknowledged delivery is one raw record, so it must be found again as exactly one of

    landed      the row of its document: the first delivery of each id, and never a second row
    errors      a row of `monitoring.errors`
    duplicates  a message of topic `duplicates`: a further delivery of an id that has landed
    drops       a row of `monitoring.errors` with the code `record_lost`, whose offset held this id before the damage

    acknowledged = landed + errors + duplicates + drops + lost

An id that is only in `duplicates` is lost: nobody has what it is said to repeat. `doubled` counts second rows of any
id, acknowledged or not, and raw records that were reported twice. Ids that were never acknowledged may have landed,
when only their answer was lost. What the ledger says to this is added by `books.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from catchment import message
from catchment.ingestion.decoder.failure import ERRORS_TABLE
from catchment.ingestion.limits.rows import DEFERRED_TABLE
from catchment.lake.tables import Lake
from catchment.log.port import Log, TopicPartition

DUPLICATES_TOPIC = "duplicates"
RECORD_LOST = "record_lost"
_READ_RECORDS, _READ_BYTES = 10_000, 16 * 1024 * 1024

Place = tuple[str, int]
"""A raw record: partition as `raw/0`, offset."""
Total = tuple[str, str]
"""What the ledger calls a kind of count, and its detail: a table, a code of an error, or nothing."""


class Answers(NamedTuple):
    """By document id, from the fleet's record: deliveries that were answered 200, and all attempts that were not."""

    acknowledged: Counter[str]
    unanswered: Counter[str]

    @property
    def ids(self) -> Iterable[str]:
        return self.acknowledged.keys() | self.unanswered.keys()


@dataclass(slots=True)
class Verdict:
    """Counts of acknowledged deliveries, and of what should not be. `offenders` names each: (what, id or place).

    `accepted` is what the ledger has; `unanswered` are records whose sender got no answer 200; `disagreements` are
    lines and totals of the ledger that are not so."""

    acknowledged: int = 0
    landed: int = 0
    errors: int = 0
    duplicates: int = 0
    drops: int = 0
    lost: int = 0
    doubled: int = 0
    faults: int = 0
    accepted: int = 0
    unanswered: int = 0
    disagreements: int = 0
    offenders: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.lost and not self.doubled and not self.disagreements

    @property
    def line(self) -> str:
        counts = {name: count for name, count in asdict(self).items() if name != "offenders"}
        return " ".join(f"{name}={count}" for name, count in counts.items())


@dataclass(slots=True)
class Held:
    """What the platform holds: how often each document id is where, raw records that are reported twice, and how many
    records of each kind that the ledger counts."""

    rows: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    drops: Counter[str] = field(default_factory=Counter)
    reported: Counter[Place] = field(default_factory=Counter)
    totals: Counter[Total] = field(default_factory=Counter)


def read_answers(record: Path) -> Answers:
    """What the fleet has written down of each delivery."""
    found = Answers(Counter(), Counter())
    with record.open("rb") as lines:
        for line in lines:
            delivery = orjson.loads(line)
            is_acknowledged = delivery["acknowledged_at"] is not None
            found.acknowledged[delivery["document_id"]] += is_acknowledged
            found.unanswered[delivery["document_id"]] += delivery["attempts"] - is_acknowledged
    return found


def read_held(lake: Lake, log: Log, damaged: Mapping[Place, str]) -> Held:
    """Read every table, and the topic of duplicates. `damaged`: the URI that stood at each place before its damage."""
    held = Held()
    for table in lake.tables():
        if table == ERRORS_TABLE:
            _read_errors(lake, damaged, held)
        elif table == DEFERRED_TABLE:
            held.totals["deferred", ""] += len(_columns(lake, table, "source_offset")[0])
        elif not table.startswith("monitoring."):
            ids = _columns(lake, table, "document_id")[0]
            held.rows.update(ids)
            held.totals["stored", table] += len(ids)
    for number in range(log.topics().get(DUPLICATES_TOPIC, 0)):
        for document_id, place in _duplicates(log, number):
            held.duplicates[document_id] += 1
            held.reported[place] += 1
            held.totals["duplicates", ""] += 1
    return held


def judge(acks: Mapping[str, int], held: Held) -> Verdict:
    """Find each delivery that was acknowledged, and everything that is there twice."""
    verdict = Verdict(acknowledged=sum(acks.values()))
    for document_id, deliveries in acks.items():
        left = deliveries
        landed = min(held.rows[document_id], 1, left)
        errors = min(held.errors[document_id], left - landed)
        drops = min(held.drops[document_id], left - landed - errors)
        left -= landed + errors + drops
        repeats = min(held.duplicates[document_id], left)
        if 0 < repeats == deliveries:  # all of them repeat what nobody has
            repeats -= 1
        left -= repeats
        verdict.landed += landed
        verdict.errors += errors
        verdict.drops += drops
        verdict.duplicates += repeats
        verdict.lost += left
        if left:
            verdict.offenders.append(("lost", document_id))
    for document_id, count in held.rows.items():
        if count > 1:
            verdict.doubled += count - 1
            verdict.offenders.append(("doubled", document_id))
    for (source, offset), count in held.reported.items():
        if count > 1:
            verdict.doubled += count - 1
            verdict.offenders.append(("reported twice", f"{source}@{offset}"))
    return verdict


def _read_errors(lake: Lake, damaged: Mapping[Place, str], held: Held) -> None:
    names = ("code", "document_id", "uri", "source", "source_offset")
    for code, document_id, uri, source, offset in zip(*_columns(lake, ERRORS_TABLE, *names), strict=True):
        place = (source, offset)
        held.reported[place] += 1
        held.totals["dropped" if code == RECORD_LOST else "errors", code] += 1
        if code == RECORD_LOST:
            held.drops.update(_components(damaged.get(place, "")))
        elif document_id is not None:
            held.errors[document_id] += 1
        else:
            held.errors.update(_components(uri or ""))


def _components(uri: str) -> set[str]:
    """What may be a document id in a URI that is perhaps not in order: all of its components."""
    return set(uri.partition("?")[0].split("/"))


def _columns(lake: Lake, table: str, *names: str) -> list[list[Any]]:
    found = lake.load(table).scan(selected_fields=names).to_arrow()
    return [found.column(name).to_pylist() for name in names]


def _duplicates(log: Log, number: int) -> Iterator[tuple[str, Place]]:
    source = TopicPartition(DUPLICATES_TOPIC, number)
    bounds = log.bounds(source)
    reader = log.open_reader(source, bounds.start)
    try:
        while reader.position < bounds.end:
            for record in reader.read(_READ_RECORDS, _READ_BYTES, 0):
                said = message.decode(record.payload)
                yield str(said.first("documentId")), (f"raw/{number}", _number(said))
    finally:
        reader.close()


def _number(said: message.Message) -> int:
    offset = said.first("sourceOffset")
    assert isinstance(offset, int)
    return offset


def write_offenders(path: Path, offenders: Iterable[tuple[str, str]]) -> None:
    path.write_bytes(b"".join(orjson.dumps({"what": what, "which": which}) + b"\n" for what, which in offenders))
