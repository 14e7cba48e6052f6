"""Documents, failures and duplicates as Heka messages, for the topics `decoded`, `errors` and `duplicates`.

Loggers, types and field names are those of 2018, so that its plugins and readers understand the streams:

    stream                 Logger         Type                  body in
    telemetry document     telemetry      telemetry             Fields.submission
    other document         <namespace>    validated             Fields.submission
    duplicate              as above       telemetry.duplicate, duplicate          (metadata only)
    failure                as above       telemetry.error, error                  Fields.content
    failure, no valid uri  moz_ingest     error                 Fields.content
    not a message          moz_ingest     error.decode          Fields.data

Different from 2018: a telemetry document is not split into sections, `submission` is the whole text as received, so a
reader of one field sees all of the ping; the schema version of the URI is `docVersion` for both; Uuid and Timestamp are
the raw message's, exactly. Every message carries `sourceTopic`, `sourcePartition` and `sourceOffset` of its raw record.

Most fields repeat from ping to ping, so groups of them are encoded once and kept.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from functools import lru_cache

from catchment.document import Document
from catchment.errors import Malformed
from catchment.ingestion.decoder.failure import CODES, Failure
from catchment.ingestion.decoder.uri import TELEMETRY
from catchment.ingestion.deduplication import Repeat
from catchment.log.port import TopicPartition
from catchment.message import BYTES, DOUBLE, INTEGER, Message, encode_field_with, encode_varint, field_prefix

EDGE_LOGGER = "moz_ingest"
DELTA_UNIT_NS = 360_000_000_000
"""Duplicates' distance in time is counted in 6 minutes, and says so (representation `6m`)."""
_DAY_NS = 86_400_000_000_000
_CACHED = 8192

_UUID, _TIMESTAMP, _TYPE, _LOGGER, _HOSTNAME = b"\x0a\x10", b"\x10", b"\x1a", b"\x22", b"\x4a"
_BYTES_TAG = b"\x2a"
_NINE_BYTES_FROM, _NINE_BYTES_TO = 1 << 56, 1 << 63
_NO_UUID = bytes(16)

_DOCUMENT_ID = field_prefix("documentId")
_DOCUMENT_ID_HEAD = encode_field_with(_DOCUMENT_ID, bytes(36))[:-36]
_CLIENT_ID = field_prefix("clientId")
_SUBMISSION = field_prefix("submission", BYTES, "json")
_CONTENT = field_prefix("content", BYTES)
_DATA = field_prefix("data", BYTES)
_SOURCE_OFFSET = field_prefix("sourceOffset", INTEGER)
_SAMPLE_IDS = [
    b"\x52" + encode_varint(len(encoded)) + encoded
    for encoded in (field_prefix("sampleId", DOUBLE) + b"\x39" + struct.pack("<d", number) for number in range(100))
]

DOCUMENT_HEADERS = (
    ("Date", "header_date"),
    ("DNT", "header_dnt"),
    ("Host", "header_host"),
    ("X-Debug-ID", "header_x_debug_id"),
    ("X-PingSender-Version", "header_x_pingsender_version"),
    ("X-Source-Tags", "header_x_source_tags"),
    ("X-Telemetry-Agent", "header_x_telemetry_agent"),
)
"""Field of the stream, attribute of the document."""

ERROR_TYPES = {"unwrap": "decode", "uri": "uri", "gunzip": "json", "json": "json", "schema": "json"}
"""Step → DecodeErrorType as it was in 2018; other steps are their own."""


_FAILURE_FIELDS = frozenset(
    {
        "sourceTopic",
        "sourcePartition",
        "sourceOffset",
        "content",
        "data",
        "uri",
        "args",
        "documentId",
        "docType",
        "docVersion",
        "namespace",
        "DecodeErrorType",
        "DecodeError",
        "DecodeErrorDetail",
        "errorStep",
        "errorCode",
        "errorMessage",
        "errorPointers",
    }
)
"""Fields of a failure's message that are no request headers."""


def encode_document(document: Document, source: TopicPartition, offset: int) -> bytes:
    """The message for topic `decoded`."""
    return b"".join(
        (_described(document, "", source, offset), encode_field_with(_SUBMISSION, document.body, _BYTES_TAG))
    )


def encode_duplicate(document: Document, repeat: Repeat, source: TopicPartition, offset: int) -> bytes:
    """The message for topic `duplicates`: the document's metadata and its distance in time, no body."""
    delta = encode_varint(repeat.delta_ns // DELTA_UNIT_NS)
    return _described(document, "duplicate", source, offset) + _integer("duplicateDelta", delta, "6m")


def encode_failure(failure: Failure, source: TopicPartition, offset: int) -> bytes:
    """The message for topic `errors`: the raw message's fields without addresses, and why it was refused."""
    is_record = failure.step == "unwrap"
    logger = EDGE_LOGGER if is_record or failure.namespace is None else failure.namespace
    kind = "error.decode" if is_record else "telemetry.error" if logger == TELEMETRY else "error"
    texts = {
        "uri": failure.uri,
        "args": failure.args,
        "documentId": failure.document_id,
        "docType": failure.doctype,
        "namespace": failure.namespace,
        "DecodeErrorType": ERROR_TYPES.get(failure.step, failure.step),
        "DecodeError": legacy_text(failure),
        "DecodeErrorDetail": failure.detail,
        "errorStep": failure.step,
        "errorCode": failure.code,
        "errorMessage": failure.message,
    }
    parts = [
        _head(failure.uuid or _NO_UUID, failure.submission_ns, logger, kind, failure.hostname),
        *(_text(name, value) for name, value in failure.headers.items() if name not in _FAILURE_FIELDS),
        *(_text(name, value) for name, value in texts.items() if value is not None),
        *(_text("errorPointers", pointer) for pointer in failure.pointers),
        b"" if failure.version is None else _double("docVersion", failure.version),
        _source(source, offset),
        encode_field_with(_DATA if is_record else _CONTENT, failure.body, _BYTES_TAG),
    ]
    return b"".join(parts)


def legacy_text(failure: Failure) -> str:
    """What 2018 called DecodeError: the stable text with the place that was met."""
    if failure.code in ("json_empty", "json_invalid"):
        return f"{failure.message} {failure.detail}"
    if failure.code == "schema_violation":
        return f"{failure.message} DocumentURI: {failure.pointers[1]}"
    return failure.message


def read_failure(message: Message) -> Failure:
    """The failure that `encode_failure` wrote. Raises Malformed for a message of another kind."""
    code = message.first("errorCode")
    if not isinstance(code, str) or code not in CODES:
        raise Malformed(
            f"reading a failure: errorCode is {code!r}, must be one of docs/decoder.md; is it from topic errors?"
        )
    version = message.first("docVersion")
    body = message.first("content")
    if body is None:
        body = message.first("data")

    def text(name: str) -> str | None:
        value = message.first(name)
        return value if isinstance(value, str) else None

    return Failure(
        text("errorStep") or "",
        code,
        text("errorMessage") or "",
        text("DecodeErrorDetail") or "",
        tuple(str(field.value) for field in message.fields if field.name == "errorPointers"),
        message.timestamp,
        b"" if message.uuid == _NO_UUID else message.uuid,
        message.hostname,
        text("uri"),
        text("args"),
        body if isinstance(body, bytes) else b"",
        {
            field.name: field.value
            for field in message.fields
            if field.name not in _FAILURE_FIELDS and isinstance(field.value, str)
        },
        text("namespace"),
        text("docType"),
        int(version) if isinstance(version, float) else None,
        text("documentId"),
    )


def source_of(message: Message) -> tuple[TopicPartition, int]:
    """The raw record that a message of any of the three streams was made of. Raises Malformed when it does not say."""
    topic, partition, offset = (message.first(name) for name in ("sourceTopic", "sourcePartition", "sourceOffset"))
    if not (isinstance(topic, str) and isinstance(partition, int) and isinstance(offset, int)):
        raise Malformed(
            "reading a stream: sourceTopic, sourcePartition or sourceOffset is missing; who wrote this topic?"
        )
    return TopicPartition(topic, partition), offset


def _described(document: Document, suffix: str, source: TopicPartition, offset: int) -> bytes:
    """Everything but the body. The calls to cached functions are by value, so equal pings share the bytes."""
    client_id, sample_id = document.client_id, document.sample_id
    return b"".join(
        (
            _UUID,
            document.uuid,
            _TIMESTAMP,
            _stamp(document.submission_ns),
            _stream(document.namespace, suffix),
            _hostname(document.hostname),
            _DOCUMENT_ID_HEAD,
            document.document_id.encode(),
            _route(
                document.namespace,
                document.doctype,
                document.version,
                document.app_name,
                document.app_version,
                document.app_update_channel,
                document.app_build_id,
                document.normalized_channel,
                document.normalized_app_name,
            ),
            _os(document.normalized_os, document.normalized_os_version),
            _geo(
                document.geo_country,
                document.geo_subdivision1,
                document.geo_subdivision2,
                document.geo_city,
                document.normalized_country_code,
            ),
            _agent(document.user_agent_browser, document.user_agent_version, document.user_agent_os),
            _headers(
                document.header_date,
                document.header_dnt,
                document.header_host,
                document.header_x_debug_id,
                document.header_x_pingsender_version,
                document.header_x_source_tags,
                document.header_x_telemetry_agent,
            ),
            _day(document.submission_ns // _DAY_NS),
            b"" if client_id is None else encode_field_with(_CLIENT_ID, client_id.encode()),
            b"" if sample_id is None else _SAMPLE_IDS[sample_id],
            _source(source, offset),
        )
    )


def _head(uuid: bytes, timestamp_ns: int, logger: str, kind: str, hostname: str | None) -> bytes:
    return b"".join((_UUID, uuid, _TIMESTAMP, encode_varint(timestamp_ns), _typed(logger, kind), _hostname(hostname)))


def _stamp(time_ns: int) -> bytes:
    """`encode_varint`, faster: the high half is the same for a quarter of a second."""
    if not _NINE_BYTES_FROM <= time_ns < _NINE_BYTES_TO:
        return encode_varint(time_ns)
    low = time_ns & 0x7F | (time_ns & 0x3F80) << 1 | (time_ns & 0x1FC000) << 2 | (time_ns & 0xFE00000) << 3
    return (low | 0x80808080).to_bytes(4, "little") + _high(time_ns >> 28)


@lru_cache(256)
def _high(number: int) -> bytes:
    return encode_varint(number)


@lru_cache(_CACHED)
def _stream(namespace: str, suffix: str) -> bytes:
    if namespace == TELEMETRY:
        return _typed(namespace, f"{TELEMETRY}.{suffix}" if suffix else TELEMETRY)
    return _typed(namespace, suffix or "validated")


@lru_cache(_CACHED)
def _typed(logger: str, kind: str) -> bytes:
    return _plain(_TYPE, kind) + _plain(_LOGGER, logger)


@lru_cache(_CACHED)
def _hostname(hostname: str | None) -> bytes:
    return b"" if hostname is None else _plain(_HOSTNAME, hostname)


def _plain(tag: bytes, text: str) -> bytes:
    encoded = text.encode()
    return tag + encode_varint(len(encoded)) + encoded


@lru_cache(_CACHED)
def _route(
    namespace: str,
    doctype: str,
    version: int,
    app_name: str | None,
    app_version: str | None,
    channel: str | None,
    build_id: str | None,
    normalized_channel: str | None,
    normalized_app_name: str | None,
) -> bytes:
    is_telemetry = namespace == TELEMETRY
    return b"".join(
        (
            _text("docType", doctype),
            _double("docVersion", version),
            _optional("appName", app_name),
            _optional("appVersion", app_version),
            _optional("appUpdateChannel", channel),
            _optional("appBuildId", build_id),
            _optional("normalizedChannel", normalized_channel),
            _optional("normalizedAppName", normalized_app_name),
            _text("sourceName", TELEMETRY) + _double("sourceVersion", version) if is_telemetry else b"",
        )
    )


@lru_cache(_CACHED)
def _os(name: str | None, version: str | None) -> bytes:
    return _optional("normalizedOs", name) + _optional("normalizedOSVersion", version)


@lru_cache(_CACHED)
def _geo(country: str | None, first: str | None, second: str | None, city: str | None, code: str | None) -> bytes:
    return b"".join(
        (
            _text("geoCountry", country or "??"),
            _text("geoCity", city or "??"),
            _optional("geoSubdivision1", first),
            _optional("geoSubdivision2", second),
            _optional("normalizedCountryCode", code),
        )
    )


@lru_cache(_CACHED)
def _agent(browser: str | None, version: str | None, os: str | None) -> bytes:
    return b"".join(
        (
            _optional("user_agent_browser", browser),
            _double("user_agent_version", int(version)) if version else b"",
            _optional("user_agent_os", os),
        )
    )


@lru_cache(_CACHED)
def _headers(*values: str | None) -> bytes:
    return b"".join(_optional(name, value) for (name, _), value in zip(DOCUMENT_HEADERS, values, strict=True))


@lru_cache(64)
def _day(day: int) -> bytes:
    return _text("submissionDate", datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y%m%d"))


def _source(source: TopicPartition, offset: int) -> bytes:
    encoded = _SOURCE_OFFSET + b"\x30" + encode_varint(offset)
    return b"".join((_partition(source), b"\x52", encode_varint(len(encoded)), encoded))


@lru_cache(_CACHED)
def _partition(source: TopicPartition) -> bytes:
    return _text("sourceTopic", source.topic) + _integer("sourcePartition", encode_varint(source.partition))


def _text(name: str, value: str) -> bytes:
    return encode_field_with(field_prefix(name), value.encode())


def _optional(name: str, value: str | None) -> bytes:
    return b"" if value is None else _text(name, value)


def _double(name: str, value: float) -> bytes:
    encoded = field_prefix(name, DOUBLE) + b"\x39" + struct.pack("<d", value)
    return b"\x52" + encode_varint(len(encoded)) + encoded


def _integer(name: str, varint: bytes, representation: str | None = None) -> bytes:
    encoded = field_prefix(name, INTEGER, representation) + b"\x30" + varint
    return b"\x52" + encode_varint(len(encoded)) + encoded
