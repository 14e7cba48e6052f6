"""The table `monitoring.errors`: every submission that is not a document, whole, with the reason.

One row a failure. `code` is stable and `message` holds no values, so both can be counted; `detail` has the value met.
`payload` is the body as received, so that the submission can be decoded again; `headers` are the stored request
headers without addresses.
"""

from __future__ import annotations

import pyarrow as pa

from catchment.ingestion.decoder.failure import CODES, Failure, cut
from catchment.log.port import TopicPartition

ROW_OVERHEAD_BYTES = 512

SCHEMA = pa.schema(
    [
        pa.field("submission_timestamp", pa.timestamp("us", tz="UTC")),
        pa.field("step", pa.string()),
        pa.field("code", pa.string()),
        pa.field("message", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("schema_pointer", pa.string()),
        pa.field("document_pointer", pa.string()),
        pa.field("document_namespace", pa.string()),
        pa.field("document_type", pa.string()),
        pa.field("document_version", pa.int64()),
        pa.field("document_id", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("args", pa.string()),
        pa.field("headers", pa.map_(pa.string(), pa.string())),
        pa.field("payload", pa.binary()),
        pa.field("edge", pa.string()),
        pa.field("source", pa.string()),
        pa.field("source_offset", pa.int64()),
    ]
)


def lost_record(offset: int, why: str, found_ns: int) -> Failure:
    """The failure that stands for a record of which nothing is left but its offset; dated when that was found."""
    step, message = CODES["record_lost"]
    return Failure(
        step, "record_lost", message, cut(f"offset {offset}: {why}"), (), found_ns, b"", None, None, None, b""
    )


class FailureRows:
    """Gathers rows of `monitoring.errors`."""

    def __init__(self) -> None:
        self._rows: list[tuple[object, ...]] = []
        self._size_bytes = 0

    @property
    def rows(self) -> int:
        return len(self._rows)

    @property
    def size_bytes(self) -> int:
        """Approximate bytes held."""
        return self._size_bytes

    def append(self, failure: Failure, source: TopicPartition | None, offset: int | None) -> None:
        """Add a row; of a raw record that is not known, `source` and `offset` are None, and there is no body."""
        pointers = (*failure.pointers, None, None)
        self._size_bytes += len(failure.body) + ROW_OVERHEAD_BYTES
        self._rows.append(
            (
                failure.submission_ns // 1000,
                failure.step,
                failure.code,
                failure.message,
                failure.detail,
                pointers[0],
                pointers[1],
                failure.namespace,
                failure.doctype,
                failure.version,
                failure.document_id,
                failure.uri,
                failure.args,
                list(failure.headers.items()),
                failure.body if source else None,
                failure.hostname,
                str(source) if source else None,
                offset,
            )
        )

    def take(self) -> pa.Table:
        """All rows as a table of `SCHEMA`; the buffer is empty afterwards."""
        columns = list(zip(*self._rows, strict=True)) or [()] * len(SCHEMA)
        self._rows, self._size_bytes = [], 0
        arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
        return pa.table(arrays, schema=SCHEMA)
