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
"""

from __future__ import annotations

from catchment.document import Document
from catchment.errors import Malformed
from catchment.ingestion.decoder.failure import CODES, Failure
from catchment.ingestion.decoder.uri import TELEMETRY
from catchment.ingestion.described import described
from catchment.ingestion.fields import (
    double_field,
    hostname_field,
    integer_field,
    logger_and_type,
    source_fields,
    text_field,
)
from catchment.ingestion.marking import Repeat
from catchment.log.port import TopicPartition
from catchment.message import BYTES, Message, encode_field_with, encode_varint, field_prefix

EDGE_LOGGER = "moz_ingest"
DELTA_UNIT_NS = 360_000_000_000
"""Duplicates' distance in time is counted in 6 minutes, and says so (representation `6m`)."""

_UUID, _TIMESTAMP, _BYTES_TAG = b"\x0a\x10", b"\x10", b"\x2a"
_NO_UUID = bytes(16)

_SUBMISSION = field_prefix("submission", BYTES, "json")
_CONTENT = field_prefix("content", BYTES)
_DATA = field_prefix("data", BYTES)

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
        (described(document, "", source, offset), encode_field_with(_SUBMISSION, document.body, _BYTES_TAG))
    )


def encode_duplicate(document: Document, repeat: Repeat, source: TopicPartition, offset: int) -> bytes:
    """The message for topic `duplicates`: the document's metadata and its distance in time, no body."""
    delta = encode_varint(repeat.delta_ns // DELTA_UNIT_NS)
    return described(document, "duplicate", source, offset) + integer_field("duplicateDelta", delta, "6m")


def encode_failure(failure: Failure, source: TopicPartition, offset: int) -> bytes:
    """The message for topic `errors`: the raw message's fields without addresses, and why it was refused."""
    is_record = failure.step == "unwrap"
    has_path = not is_record and failure.code != "uri_invalid"
    logger = failure.namespace if has_path and failure.namespace is not None else EDGE_LOGGER
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
        *(text_field(name, value) for name, value in failure.headers.items() if name not in _FAILURE_FIELDS),
        *(text_field(name, value) for name, value in texts.items() if value is not None),
        *(text_field("errorPointers", pointer) for pointer in failure.pointers),
        b"" if failure.version is None else double_field("docVersion", failure.version),
        source_fields(source, offset),
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


def _head(uuid: bytes, timestamp_ns: int, logger: str, kind: str, hostname: str | None) -> bytes:
    return b"".join(
        (_UUID, uuid, _TIMESTAMP, encode_varint(timestamp_ns), logger_and_type(logger, kind), hostname_field(hostname))
    )
