"""The table `monitoring.deferred` and the topic `deferred`: submissions that came over a limit, without their bodies.

One row and one message a submission. Its whole record stays in the raw log at (`source`, `source_offset`), and in the
archive, so that a replay can load it; a replay that has loaded it takes the row away.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from catchment.log.port import TopicPartition
from catchment.message import DOUBLE, INTEGER, Field, Message, encode

DEFERRED_TABLE = "monitoring.deferred"
_ROW_BYTES = 400

SCHEMA = pa.schema(
    [
        pa.field("submission_timestamp", pa.timestamp("us", tz="UTC")),
        pa.field("document_namespace", pa.string()),
        pa.field("document_type", pa.string()),
        pa.field("document_version", pa.int64()),
        pa.field("document_id", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("rate_limit", pa.string()),
        pa.field("size_bytes", pa.int64()),
        pa.field("edge", pa.string()),
        pa.field("source", pa.string()),
        pa.field("source_offset", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Deferral:
    """A submission that is not loaded now. `version` is None where the body tells it; `size_bytes` is the body's."""

    offset: int
    uuid: bytes
    submission_ns: int
    namespace: str
    doctype: str
    version: int | None
    document_id: str
    uri: str
    rate_limit: str
    size_bytes: int
    hostname: str | None


def encode_deferral(deferral: Deferral, source: TopicPartition) -> bytes:
    """The message for topic `deferred`: what the path tells, the limit, and where the raw record is."""
    texts = {
        "documentId": deferral.document_id,
        "docType": deferral.doctype,
        "uri": deferral.uri,
        "rateLimit": deferral.rate_limit,
        "sourceTopic": source.topic,
    }
    numbers = {"sourcePartition": source.partition, "sourceOffset": deferral.offset}
    fields = [Field(name, (text,)) for name, text in texts.items()]
    fields += [Field(name, (number,), INTEGER) for name, number in numbers.items()]
    if deferral.version is not None:
        fields.append(Field("docVersion", (float(deferral.version),), DOUBLE))
    return encode(
        Message(
            deferral.uuid,
            deferral.submission_ns,
            "deferred",
            deferral.namespace,
            hostname=deferral.hostname,
            fields=fields,
        )
    )


class DeferralRows:
    """Gathers rows of `monitoring.deferred`."""

    def __init__(self) -> None:
        self._rows: list[tuple[object, ...]] = []

    @property
    def rows(self) -> int:
        return len(self._rows)

    @property
    def size_bytes(self) -> int:
        """Approximate bytes held."""
        return len(self._rows) * _ROW_BYTES

    def append(self, deferral: Deferral, source: TopicPartition) -> None:
        self._rows.append(
            (
                deferral.submission_ns // 1000,
                deferral.namespace,
                deferral.doctype,
                deferral.version,
                deferral.document_id,
                deferral.uri,
                deferral.rate_limit,
                deferral.size_bytes,
                deferral.hostname,
                str(source),
                deferral.offset,
            )
        )

    def take(self) -> pa.Table:
        """All rows as a table of `SCHEMA`; the buffer is empty afterwards."""
        columns = list(zip(*self._rows, strict=True)) or [()] * len(SCHEMA)
        self._rows = []
        arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
        return pa.table(arrays, schema=SCHEMA)
