"""A preview: the landfill's submissions of a doctype, judged by a proposed schema and by the one in force.

    objects of the time ─▶ submissions of the doctype ─▶ sample ─▶ gunzip, JSON ─▶ both schemas ─▶ Report

Submissions go through the decoder's own steps (`decoder/submission.py`, `uri.py`, `body.py`), so that the same pings
are refused. Repeats are not left out: shares are of submissions. What the archiver has not shipped yet is not seen.
Each submission is in the sample with the same chance, by a generator with a seed, so that two runs see the same ones.
Memory holds one block of records, counts, and a few examples a rule.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from catchment.clock import utc
from catchment.ingestion.decoder.body import gunzip, parse
from catchment.ingestion.decoder.failure import Refusal
from catchment.ingestion.decoder.metadata import body_version
from catchment.ingestion.decoder.settings import DecoderSettings
from catchment.ingestion.decoder.submission import Submission, unwrap
from catchment.ingestion.decoder.uri import TELEMETRY, read_path
from catchment.ingestion.inspection.opened import hide_clients
from catchment.ingestion.landfill.shelf import Landfill
from catchment.ingestion.preview.report import Broken, Example, Report
from catchment.ingestion.preview.unnamed import Sightings
from catchment.ingestion.replay.records import stamp
from catchment.schemas.describing import columns_of
from catchment.schemas.pointers import child, pointer_of, steps_of
from catchment.schemas.registry import CLIENT_ID_PROPERTIES, Registry, Schema, Violation

MOST_POINTERS = 50
MOST_VALUE_CHARACTERS = 200
OTHERS = "elsewhere"
_INDEX = re.compile(r"/\d+(?=/|$)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which submissions: received from `since_ns` to `until_ns` (not included), sent as `version` or, with None, as
    any. At most about `limit` are judged, picked at random with `seed`."""

    since_ns: int
    until_ns: int
    version: int | None
    limit: int
    examples: int
    seed: int = 1


def version_to_judge(proposed: Schema, registry: Registry) -> int | None:
    """Whose pings show what a schema will meet: of its own version when that is there, else of the newest one before
    it, else of any."""
    there = [
        schema.version
        for schema in registry.all()
        if (schema.namespace, schema.doctype) == (proposed.namespace, proposed.doctype)
    ]
    return max((version for version in there if version <= proposed.version), default=None)


class Preview:
    """One preview of `proposed`. `current` is the schema in force for the pings that are judged; None when there is
    none."""

    def __init__(self, proposed: Schema, current: Schema | None, landfill: Landfill, settings: DecoderSettings) -> None:
        """Raises Incompatible when the proposed schema cannot be used."""
        _ = proposed.validator
        self._proposed = proposed
        self._current = current
        self._landfill = landfill
        self._settings = settings

    def run(self, wanted: Wanted, progress: Callable[[int, int], None] = lambda done, size: None) -> Report:
        """Judge what is wanted. `progress` is told bytes read and bytes in all. Raises Corrupt and Missing for an
        object of the landfill that is damaged or has expired meanwhile."""
        namespace, doctype = self._proposed.namespace, self._proposed.doctype
        indexes = [
            index
            for index in self._landfill.indexes(wanted.since_ns, wanted.until_ns)
            if index.matching(namespace, doctype)
        ]
        counted = sum(count.records for index in indexes for count in index.matching(namespace, doctype))
        chance = min(wanted.limit / counted, 1.0) if counted else 1.0
        name = f"{namespace}.{doctype}"
        judged_as = name if wanted.version is None else f"{name}.{wanted.version}"
        other = self._current.table if self._current is not None else None
        report = Report(
            f"{name}.{self._proposed.version}", self._proposed.table, other, judged_as, is_sample=chance < 1.0
        )
        judge = _Judge(self._proposed, self._current, wanted, self._settings, report)
        pick = random.Random(wanted.seed).random
        size, done = sum(index.plain_bytes for index in indexes), 0
        for index in indexes:
            for block in self._landfill.blocks(index):
                for submission, version, document_id in self._matching((record.payload for record in block), wanted):
                    report.matching += 1
                    if chance == 1.0 or pick() < chance:
                        judge.add(submission, version, document_id)
                done += sum(len(record.payload) for record in block)
                progress(done, size)
        judge.finish()
        self._compare_columns(report)
        return report

    def _matching(self, payloads: Iterator[bytes], wanted: Wanted) -> Iterator[tuple[Submission, int | None, str]]:
        lenient = frozenset(self._settings.lenient_namespaces)
        for payload in payloads:
            received_ns = stamp(payload)
            if received_ns is None or not wanted.since_ns <= received_ns < wanted.until_ns:
                continue
            unwrapped = unwrap(payload)
            if isinstance(unwrapped, Refusal):
                continue
            named = read_path(unwrapped[0].uri, lenient)
            if isinstance(named, Refusal):
                continue
            route, document_id = named
            if (route.namespace, route.doctype) == (self._proposed.namespace, self._proposed.doctype):
                yield unwrapped[0], route.version, document_id

    def _compare_columns(self, report: Report) -> None:
        new = columns_of(self._proposed.shape)
        old = columns_of(self._current.shape) if self._current is not None else {}
        report.columns_added = {path: kind for path, kind in new.items() if path not in old}
        report.columns_removed = {path: kind for path, kind in old.items() if path not in new}
        report.columns_retyped = {
            path: (old[path], kind) for path, kind in new.items() if path in old and old[path] != kind
        }


class _Judge:
    """Judges submissions one by one, and keeps count in the report."""

    def __init__(
        self, proposed: Schema, current: Schema | None, wanted: Wanted, settings: DecoderSettings, report: Report
    ) -> None:
        self._proposed = proposed
        self._current = current
        self._wanted = wanted
        self._max_json_bytes = settings.max_json_bytes
        self._report = report
        self._sightings = Sightings(proposed.shape)
        self._broken: dict[str, Broken] = {}
        self._undecodable: Counter[str] = Counter()

    def add(self, submission: Submission, version: int | None, document_id: str) -> None:
        report = self._report
        text = gunzip(submission.body, self._max_json_bytes)
        content = text if isinstance(text, Refusal) else parse(text)
        if isinstance(content, Refusal):
            self._undecodable[content.code] += 1
            return
        version = body_version(content) if version is None else version
        if self._wanted.version not in (None, version):
            report.other_versions += 1
            return
        report.judged += 1
        was_accepted = self._is_accepted_today(content)
        self._sightings.add(content)
        violation = self._proposed.violation(content)
        if violation is None:
            report.newly_accepted += not was_accepted
            return
        report.refused += 1
        report.newly_refused += was_accepted
        self._note(violation, content, submission, document_id, was_accepted)

    def finish(self) -> None:
        report = self._report
        report.undecodable = dict(self._undecodable.most_common())
        report.broken = sorted(self._broken.values(), key=lambda broken: (-broken.pings, broken.rule))
        for broken in report.broken:
            broken.pointers = dict(sorted(broken.pointers.items(), key=lambda item: (-item[1], item[0])))
        report.unnamed = self._sightings.unnamed()
        report.unnamed_left_out = self._sightings.left_out
        report.proposal = self._sightings.proposal()

    def _is_accepted_today(self, content: dict[str, Any]) -> bool:
        if self._current is None:
            return self._proposed.namespace == TELEMETRY
        return self._current.violation(content) is None

    def _note(
        self, violation: Violation, content: dict[str, Any], submission: Submission, document_id: str, is_new: bool
    ) -> None:
        rule = f"{violation.schema_pointer}/{violation.keyword}"
        broken = self._broken.setdefault(rule, Broken(rule))
        broken.pings += 1
        broken.newly += is_new
        place = _INDEX.sub("/*", violation.document_pointer)
        if place not in broken.pointers and len(broken.pointers) >= MOST_POINTERS:
            place = OTHERS
        broken.pointers[place] = broken.pointers.get(place, 0) + 1
        if len(broken.examples) < self._wanted.examples:
            broken.examples.append(_example(violation, content, submission, document_id))


def _example(violation: Violation, content: dict[str, Any], submission: Submission, document_id: str) -> Example:
    """The place of a violation, without the ids of clients."""
    steps = steps_of(violation.document_pointer)
    value: Any = content
    for step in steps:
        value = child(value, step)
    text = orjson.dumps(value).decode()
    detail = violation.detail
    if steps and steps[-1] in CLIENT_ID_PROPERTIES:
        shown = hide_clients(f'"clientId":{text}').partition(":")[2]
        detail = detail.replace(text, shown) if text in detail else f"{shown} breaks it"
        text = shown
    text = hide_clients(text)
    if len(text) > MOST_VALUE_CHARACTERS:
        text = f"{text[:MOST_VALUE_CHARACTERS]} …"
    received = f"{utc(submission.received_ns):%Y-%m-%dT%H:%M:%SZ}"
    return Example(document_id, received, pointer_of(steps), hide_clients(detail), text)
