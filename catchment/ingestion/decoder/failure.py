"""What leaves the chain by the second exit: why, and everything that is needed to decode the submission again.

A step returns a `Refusal`; the chain adds the submission to it and that is a `Failure`. `message` is one of a small
set of stable texts, so that failures can be counted by it; the value met is in `detail`. Both keep the wording of the
original pipeline where it had one. `CODES` is the list of all codes; `docs/decoder.md` explains each, and a test holds
the page to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ERRORS_TABLE = "monitoring.errors"
"""Where failures are kept; `loader/failures.py` has its columns."""
MAX_DETAIL_BYTES = 1024

CODES: dict[str, tuple[str, str]] = {
    "record_lost": ("read", "the log no longer holds this record"),
    "message_malformed": ("unwrap", "not a Heka message"),
    "uri_missing": ("uri", "missing uri"),
    "uri_invalid": ("uri", "invalid uri"),
    "document_id_invalid": ("uri", "invalid uri: document id is not a UUID"),
    "gzip_corrupt": ("gunzip", "invalid submission: ungzip failed"),
    "gzip_trailing": ("gunzip", "invalid submission: ungzip failed: bytes after the end"),
    "body_too_large": ("gunzip", "invalid submission: ungzip failed: over the size limit"),
    "json_empty": ("json", "invalid submission: failed to parse"),
    "json_invalid": ("json", "invalid submission: failed to parse"),
    "json_too_deep": ("json", "invalid submission: nested too deeply"),
    "json_not_object": ("json", "invalid submission: not an object"),
    "json_duplicate_key": ("json", "invalid submission: duplicate key"),
    "schema_not_found": ("schema", "schema not found"),
    "schema_unusable": ("schema", "schema does not compile"),
    "schema_violation": ("schema", "validation error"),
    "repeat": ("deduplication", "repeat of a submission that is kept, found by a replay"),
    "internal": ("internal", "unexpected exception"),
}
"""Code → (step that refuses with it, stable text; a schema violation's is completed with keyword and pointers)."""


@dataclass(slots=True)
class Refusal:
    """Why a step does not let a submission pass."""

    code: str
    detail: str
    message: str = ""
    """Stable text; empty takes the code's own."""
    pointers: tuple[str, ...] = ()
    """For a schema violation: JSON pointers into the schema and into the document."""
    document_id: str | None = None
    namespace: str | None = None
    doctype: str | None = None
    """What the uri step had understood when it refused."""


@dataclass(slots=True)
class Failure:
    """A submission that is not a document. Holds no address; `body` is as received, so it can be decoded again."""

    step: str
    code: str
    message: str
    detail: str
    pointers: tuple[str, ...]
    submission_ns: int
    """When the edge received it, ns since the epoch, UTC; 0 when the record is not a message."""
    uuid: bytes
    """Of the raw message, 16 bytes; empty when the record is not a message."""
    hostname: str | None
    """The edge that received it."""
    uri: str | None
    args: str | None
    body: bytes
    """As received (still compressed). For a record that is not a message: its bytes, addresses blanked."""
    headers: dict[str, str] = field(default_factory=dict)
    """All other text fields of the raw message, by the name stored there; never an address."""
    namespace: str | None = None
    doctype: str | None = None
    version: int | None = None
    document_id: str | None = None


def cut(text: str) -> str:
    """`text` with at most MAX_DETAIL_BYTES bytes of UTF-8, an ellipsis where something was cut off."""
    encoded = text.encode("utf-8", "backslashreplace")
    if len(encoded) <= MAX_DETAIL_BYTES:
        return encoded.decode()
    return encoded[: MAX_DETAIL_BYTES - 3].decode("utf-8", "ignore") + "…"
