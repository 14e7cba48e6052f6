"""The whole chain on one page: `Decoder.decode` takes raw records and returns a `Document` or a `Failure` for each.

    unwrap ─▶ locate ─▶ uri ─▶ gunzip ─▶ json ─▶ schema ─▶ annotate ─▶ Document
       │                 │        │        │        │
       └─────────────────┴────────┴────────┴────────┴──────────────▶ Failure (step, code, the whole submission)

A block of records goes through one step before any goes into the next: the processor then finds each step's code in its
caches, which saves a quarter of the time of small pings. What one record does changes nothing for the others.

Duplicates are found after the chain, over a batch (`ingestion/deduplication.py`), so an id whose first delivery failed
is not burnt: the corrected ping comes in.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from catchment import metrics
from catchment.document import NOTHING_STATED, Document
from catchment.errors import Incompatible
from catchment.ingestion.decoder.agents import Agent, ParsedAgent, parse_agent, read_agent
from catchment.ingestion.decoder.body import gunzip, parse
from catchment.ingestion.decoder.dates import http_date_s, rfc3339_ns
from catchment.ingestion.decoder.failure import CODES, Failure, Refusal, cut
from catchment.ingestion.decoder.geo import NOWHERE, Geo, Place, known_place
from catchment.ingestion.decoder.kinds import read_stated
from catchment.ingestion.decoder.metadata import (
    body_version,
    channel_of,
    client_of,
    normalize_app_name,
    normalize_channel,
    normalize_country,
    normalize_os,
    normalize_os_version,
    os_of,
    sample_id,
)
from catchment.ingestion.decoder.settings import DecoderSettings
from catchment.ingestion.decoder.submission import Submission, blank_addresses, unwrap
from catchment.ingestion.decoder.uri import TELEMETRY, Route, read_path
from catchment.log.port import Record, TopicPartition
from catchment.schemas.registry import Registry, Violation

FAILURES = metrics.counter("decoder_failures_total", "Submissions that a step refused.", "records", ("step", "code"))

BLOCK = 32
BLOCK_BYTES = 32 * 1024
"""Most records, and bytes of them, that go through a step together. What is made of them must fit the caches of the
processor too, and of a large ping that is 25 times its message: with their columns, six together cost 7 % more than
each alone, and a batch of thirteen 20 %."""
_NO_AGENT, _NOT_PARSED = Agent(), ParsedAgent()


@dataclass(slots=True)
class Passage:
    """One record on its way through the chain: what the steps behind it have made."""

    record: bytes
    offset: int
    outcome: Document | Failure | None = None
    route: Route | None = None
    document_id: str | None = None
    version: int | None = None
    submission: Submission | None = None
    text: bytes = b""
    content: dict[str, Any] = field(default_factory=dict)
    place: Place = NOWHERE


class Decoder:
    """Decodes records of the raw topic. One thread calls it; it keeps nothing between calls but caches."""

    def __init__(self, registry: Registry, geo: Geo, settings: DecoderSettings) -> None:
        self._registry = registry
        self._geo = geo
        self._max_json_bytes = settings.max_json_bytes
        self._lenient = frozenset(settings.lenient_namespaces)
        self._steps = (self._unwrap, self._read_uri, self._gunzip, self._parse, self._judge, self._annotate)

    def adopt(self, registry: Registry) -> None:
        """Judge by these schemas from the next record on."""
        self._registry = registry

    def decode(self, payload: bytes, source: TopicPartition, offset: int) -> Document | Failure:
        """`decode_batch` for one record."""
        return self.decode_batch([Record(offset, payload)], source)[0]

    def decode_batch(self, records: Sequence[Record], source: TopicPartition) -> list[Document | Failure]:
        """For each raw record, in order, its document or the failure that keeps it. Never raises, whatever the bytes.

        `source` is only reported with an unexpected exception.
        """
        outcomes: list[Document | Failure] = []
        for block in blocks(records):
            passages = [Passage(payload, offset) for offset, payload in block]
            going = passages
            for step in self._steps:
                for passage in going:
                    try:
                        refusal = step(passage)
                    except Exception as error:  # noqa: BLE001  one record must not stop the ones beside it
                        refusal = Refusal("internal", cut(f"{source}@{passage.offset}: {_described(error)}"))
                    if refusal is not None:
                        passage.outcome = _refuse(passage, refusal)
                going = [passage for passage in going if passage.outcome is None]
            outcomes += [passage.outcome for passage in passages if passage.outcome is not None]
        return outcomes

    def _unwrap(self, passage: Passage) -> Refusal | None:
        """Read the message and turn the address into a place. The address goes no further than this function."""
        unwrapped = unwrap(passage.record)
        if isinstance(unwrapped, Refusal):
            return unwrapped
        submission, addresses = unwrapped
        passage.place = known_place(submission.headers) or self._geo.locate(addresses)
        passage.submission = submission
        return None

    def _read_uri(self, passage: Passage) -> Refusal | None:
        assert passage.submission is not None
        named = read_path(passage.submission.uri, self._lenient)
        if isinstance(named, Refusal):
            return named
        passage.route, passage.document_id = named
        passage.version = passage.route.version
        return None

    def _gunzip(self, passage: Passage) -> Refusal | None:
        assert passage.submission is not None
        text = gunzip(passage.submission.body, self._max_json_bytes)
        if isinstance(text, Refusal):
            return text
        passage.text = text
        return None

    def _parse(self, passage: Passage) -> Refusal | None:
        content = parse(passage.text)
        if isinstance(content, Refusal):
            return content
        passage.content = content
        return None

    def _judge(self, passage: Passage) -> Refusal | None:
        """What the schema says against the document. Telemetry is open: a doctype without a schema passes whole."""
        route = passage.route
        assert route is not None
        if passage.version is None:
            passage.version = body_version(passage.content)
        schema = self._registry.find(route.namespace, route.doctype, passage.version)
        if schema is None:
            return None if route.namespace == TELEMETRY else _unknown_schema(route, passage.version)
        try:
            violation = schema.violation(passage.content)
        except Incompatible as error:
            return Refusal("schema_unusable", cut(str(error)))
        return None if violation is None else _violated(route, passage.version, violation)

    def _annotate(self, passage: Passage) -> None:
        assert passage.submission is not None and passage.route is not None
        assert passage.document_id is not None and passage.version is not None
        place, route = passage.place, passage.route
        if place.isp is not None and not self._geo.names_isp(route.namespace, route.doctype):
            place = place._replace(isp=None)
        passage.outcome = annotate(
            passage.submission,
            place,
            route,
            passage.document_id,
            passage.version,
            passage.text,
            passage.content,
        )


def blocks(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """`records` in order, in portions of at most BLOCK records and BLOCK_BYTES bytes, one record at least."""
    start = size_bytes = 0
    for at, record in enumerate(records):
        size_bytes += len(record.payload)
        if at - start == BLOCK or (size_bytes > BLOCK_BYTES and at > start):
            yield records[start:at]
            start, size_bytes = at, len(record.payload)
    if start < len(records):
        yield records[start:]


def annotate(
    submission: Submission,
    place: Place,
    route: Route,
    document_id: str,
    version: int,
    text: bytes,
    content: dict[str, Any],
) -> Document:
    """The document with the metadata that all tables and streams share."""
    header = submission.headers.get
    user_agent = header("User-Agent")
    browser, browser_version, browser_os = read_agent(user_agent) if user_agent else _NO_AGENT
    parsed_browser, parsed_version, parsed_os, parsed_os_version, device = (
        parse_agent(user_agent) if user_agent else _NOT_PARSED
    )
    client_id = client_of(content)
    stated = read_stated(content, version) if route.namespace == TELEMETRY else NOTHING_STATED
    os_name, os_version = os_of(content)
    os_name = os_name or stated.os
    channel = stated.app_update_channel or route.app_update_channel or channel_of(content)
    app_name = stated.app_name or route.app_name
    date, created = header("Date"), content.get("creationDate")
    date_s = http_date_s(date) if date else None
    return Document(
        route.namespace,
        route.doctype,
        version,
        document_id,
        submission.received_ns,
        text,
        content,
        submission.uuid,
        submission.hostname,
        client_id,
        sample_id(client_id) if client_id else None,
        normalize_channel(channel) if channel else None,
        normalize_os(os_name) if os_name else None,
        normalize_os_version(os_version) if os_version else None,
        normalize_app_name(app_name) if app_name else None,
        normalize_country(place.country),
        place.country,
        place.subdivision1,
        place.subdivision2,
        place.city,
        place.isp,
        browser,
        browser_version,
        browser_os,
        parsed_browser,
        parsed_version,
        parsed_os,
        parsed_os_version,
        device,
        route.app_name,
        route.app_version,
        route.app_update_channel,
        route.app_build_id,
        date,
        header("DNT"),
        header("Host"),
        header("X-Debug-ID"),
        header("X-PingSender-Version"),
        header("X-Source-Tags"),
        header("X-Telemetry-Agent"),
        None if date_s is None else date_s - submission.received_ns // 1_000_000_000,
        rfc3339_ns(created) if type(created) is str else None,
        stated,
    )


def _refuse(passage: Passage, refusal: Refusal) -> Failure:
    """The second exit: everything that is needed to decode the submission again, and why it was refused.

    A record in which no submission was found is kept itself, without what looks like an address.
    """
    step, message = CODES[refusal.code]
    FAILURES.labels(step, refusal.code).inc()
    submission = passage.submission or Submission(b"", 0, None, None, None, blank_addresses(passage.record), {})
    route = passage.route
    return Failure(
        step,
        refusal.code,
        refusal.message or message,
        refusal.detail,
        refusal.pointers,
        submission.received_ns,
        submission.uuid,
        submission.hostname,
        submission.uri,
        submission.args,
        submission.body,
        submission.headers,
        route.namespace if route else refusal.namespace,
        route.doctype if route else refusal.doctype,
        passage.version,
        passage.document_id,
    )


def _unknown_schema(route: Route, version: int) -> Refusal:
    name = f"{route.namespace}/{route.doctype}/{version}"
    return Refusal("schema_not_found", name, message=f"{_legacy_name(route, version)} error: schema not found")


def _violated(route: Route, version: int, violation: Violation) -> Refusal:
    message = (
        f"{_legacy_name(route, version)} error: SchemaURI: {violation.schema_pointer} Keyword: {violation.keyword}"
    )
    return Refusal(
        "schema_violation",
        cut(violation.detail),
        cut(message),
        (cut(violation.schema_pointer), cut(violation.document_pointer)),
    )


def _described(error: Exception) -> str:
    """Type, place and text of an exception; an address that the text might hold is blanked."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].name}:{frames[-1].lineno}" if frames else "?"
    text = blank_addresses(str(error).encode("utf-8", "backslashreplace")).decode()
    return f"{type(error).__name__} in {where}: {text}"


def _legacy_name(route: Route, version: int) -> str:
    """How error texts have always named a schema."""
    if route.namespace == TELEMETRY:
        return f"schema: {route.doctype} version: {version} validation"
    return f"namespace: {route.namespace} schema: {route.doctype} version: {version}"
