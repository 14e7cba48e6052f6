"""The key of a message on Kafka: its document id, so that one document always comes to one partition.

A submission has it in its path, a decoded one in the field `documentId`; both are found without reading the rest of
the message (wire format: `catchment/message.py`). A message without one has no key.
"""

from __future__ import annotations

_URI = b"\x0a\x03uri\x22"
_DOCUMENT_ID = b"\x0a\x0adocumentId\x22"
_LENGTH, _DASHES = 36, 4
_WITHIN = 64 * 1024
"""How far the fields before the body may reach."""


def key_of(payload: bytes) -> bytes | None:
    """The document id in lower case, None when there is none in the form of a UUID."""
    at = payload.find(_URI, 0, _WITHIN)
    if at >= 0:
        path, _ = _text(payload, at + len(_URI))
        for part in path.split(b"/"):
            if len(part) == _LENGTH and part.count(b"-") == _DASHES:
                return part.lower()
        return None
    at = payload.find(_DOCUMENT_ID, 0, _WITHIN)
    if at < 0:
        return None
    found, is_whole = _text(payload, at + len(_DOCUMENT_ID))
    return found.lower() if is_whole and len(found) == _LENGTH else None


def _text(payload: bytes, at: int) -> tuple[bytes, bool]:
    """The text whose length (a varint) is at `at`, and whether all of it is there."""
    length = shift = 0
    while at < len(payload) and shift < 28:
        byte = payload[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return payload[at : at + length], at + length <= len(payload)
