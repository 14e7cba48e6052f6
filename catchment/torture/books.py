"""The ledger as an oracle: what it says must balance, and be what the deliveries one by one have come to.

The ledger lived under the same faults. When everything has drained it counts what it has not counted yet, and then

- every line of a minute, namespace and doctype must balance. One that is a `gap` (bits were flipped in records that the
  ledger or the loader had still to read) may not by itself; with the records of no known time all of them must;
- its totals, for each table and each error code, must be those of the tables and topics themselves;
- what it has as accepted must be every raw record, and each of those an answer 200 or an attempt of the fleet that got
  no answer: one cut off between the flush to the disk and the socket.

A bit that is flipped between the commit of a table and that of the loader's offset makes the loader name a record lost
whose row is there: it cannot know what the record was. So many more records are found than there were, `twice`, and no
more of them than drops whose document has landed.

Limits: all lines of the run are held in memory, some hundred bytes each.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from catchment.clock import utc
from catchment.events import Events
from catchment.ingestion.decoder.settings import DecoderSettings
from catchment.ingestion.ledger.balance import Judge, Line, Query, details, lines
from catchment.ingestion.ledger.book import DETAILED
from catchment.ingestion.ledger.loop import Ledger
from catchment.log.port import Log, TopicPartition
from catchment.platform import Platform
from catchment.torture.verdict import Answers, Held, Total, Verdict

DISAGREES = "ledger"
_ALWAYS = Query(0, 1 << 40)
_NS_A_SECOND = 1_000_000_000


def read_ledger(platform: Platform, log: Log, told: Path) -> tuple[list[Line], Counter[Total]]:
    """Let the ledger count what is left, and read all its lines, and its totals by kind and detail. What it tells
    meanwhile goes to the file `told`."""
    settings, database, lake = platform.ledger_settings(), platform.database(), platform.lake()
    lenient = platform.config.section(DecoderSettings).lenient_namespaces
    with told.open("w", encoding="utf-8") as stream:
        ledger = Ledger(settings, log, lake, database, platform.clock, Events("ledger", stream), lenient=lenient)
        with closing(ledger):
            while ledger.turn():
                continue
    found = lines(database, _ALWAYS, Judge.of(database, log, math.inf, 0))
    totals: Counter[Total] = Counter()
    for line in found:
        totals.update({(kind, ""): count for kind, count in line.counts.items() if kind not in DETAILED})
    for row in details(database, _ALWAYS):
        totals[row["kind"], row["detail"]] += row["records"]
    return found, totals


def raw_records(log: Log) -> int:
    """Raw records that were ever durable."""
    return sum(log.bounds(TopicPartition("raw", number)).end for number in range(log.topics().get("raw", 0)))


def compare(
    verdict: Verdict,
    answers: Answers,
    held: Held,
    raw: int,
    found: list[Line],
    totals: Mapping[Total, int],
) -> None:
    """Add to the verdict what the ledger says, and every disagreement. `raw`: how many raw records there are."""
    verdict.accepted = totals.get(("accepted", ""), 0)
    excess = {
        document_id: _records(held, document_id) - answers.acknowledged[document_id] for document_id in answers.ids
    }
    twice = sum(held.totals.values()) - raw
    verdict.unanswered = sum(extra for extra in excess.values() if extra > 0) - max(twice, 0)
    for which in (
        *_unbalanced(found, twice),
        *_other_totals(held.totals, totals),
        *_unexplained(verdict, answers, held, excess, raw, twice),
    ):
        verdict.disagreements += 1
        verdict.offenders.append((DISAGREES, which))


def _records(held: Held, document_id: str) -> int:
    return sum(counts[document_id] for counts in (held.rows, held.errors, held.duplicates, held.drops))


def _unbalanced(found: list[Line], twice: int) -> Iterator[str]:
    for line in found:
        if line.state not in ("balanced", "gap"):
            yield f"{_place(line)} is {line.state}: balance {line.balance:+,}"
    in_gaps = [line for line in found if line.state == "gap"]
    total = sum(line.balance for line in in_gaps) + max(twice, 0)
    if total and in_gaps:
        first = _place(in_gaps[0])
        yield f"{len(in_gaps):,} lines around damage do not balance together: {total:+,}, beginning with {first}"


def _place(line: Line) -> str:
    minute = f"{utc(line.begins_s * _NS_A_SECOND):%Y-%m-%d %H:%M}" if line.begins_s else "unknown time"
    return f"{minute} {line.namespace or '-'}.{line.doctype or '-'}"


def _other_totals(held: Mapping[Total, int], totals: Mapping[Total, int]) -> Iterator[str]:
    """Totals of what accepted records have become that differ between the ledger and what is really there."""
    for kind, detail in sorted(
        {*held, *(total for total in totals if total[0] not in ("accepted", "archived", "decoded"))}
    ):
        said, there = totals.get((kind, detail), 0), held.get((kind, detail), 0)
        if said != there:
            yield f"{' '.join((kind, detail)).strip()}: the ledger says {said:,}, there are {there:,}"


def _unexplained(
    verdict: Verdict, answers: Answers, held: Held, excess: Mapping[str, int], raw: int, twice: int
) -> Iterator[str]:
    if verdict.accepted != raw:
        yield f"accepted: the ledger says {verdict.accepted:,}, there are {raw:,} raw records"
    if not 0 <= twice <= sum(min(held.drops[document_id], max(extra, 0)) for document_id, extra in excess.items()):
        yield f"tables, duplicates and drops have {raw + twice:,} records, there are {raw:,} raw records"
    for document_id, extra in excess.items():
        if extra > answers.unanswered[document_id] + held.drops[document_id]:
            yield (
                f"document {document_id} is there {extra:,} times more than it was answered 200, but only "
                f"{answers.unanswered[document_id]:,} attempts to send it got no answer 200"
            )
    explained = verdict.acknowledged - verdict.lost + verdict.unanswered
    if verdict.accepted != explained:
        yield (
            f"accepted: the ledger says {verdict.accepted:,}; {verdict.acknowledged - verdict.lost:,} acknowledged and "
            f"{verdict.unanswered:,} unanswered records that were found are {explained:,}"
        )
