"""Archives of the past into the landfill, so that they are listed, verified and replayed like what came in here.

A file becomes objects by hour, as an edge's records do; its name in them is made of the file's name and of a digest of
its bytes, its offsets are the places of its messages. So importing a file again changes nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from catchment import message
from catchment.archives import read_file
from catchment.framing import Damage, Framed
from catchment.ingestion.landfill.packing import Pack, look
from catchment.ingestion.landfill.shelf import Landfill
from catchment.log.port import Record, TopicPartition

_NAME_CHARACTERS = 40


@dataclass(slots=True)
class Imported:
    """What a file gave; `damaged_bytes` of it belong to no message."""

    records: int = 0
    objects: int = 0
    damaged_bytes: int = 0


def import_file(
    path: Path, landfill: Landfill, object_bytes: int, progress: Callable[[int], None] = lambda offset: None
) -> Imported:
    """Bring the messages of a file, of any layout, into the landfill. `progress` is told how far the file is read.

    Raises Corrupt when it cannot be unpacked to its end; what comes before is imported then, and the same call goes on
    once the file is mended.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:8]
    stem = re.sub(r"[^a-z0-9-]+", "-", path.name.lower()).strip("-")[:_NAME_CHARACTERS]
    source = TopicPartition(f"{stem or 'file'}-{digest}", 0)
    imported = Imported()
    pack: Pack | None = None

    def ship() -> None:
        assert pack is not None
        landfill.store(pack.seal(), source, lambda point: None)
        imported.objects += 1

    with path.open("rb") as file:
        for found in read_file(str(path), file):
            if isinstance(found, Damage):
                imported.damaged_bytes += found.length
                continue
            record = Record(imported.records, _strict(found))
            seen = look(record.payload)
            if pack is not None and (pack.plain_bytes >= object_bytes or not pack.takes(seen)):
                ship()
                pack = None
            pack = pack or Pack(f"{source.topic}.0", source, record.offset)
            pack.add(record, seen)
            imported.records += 1
            progress(file.tell())
    if pack is not None:
        ship()
    return imported


def _strict(found: Framed) -> bytes:
    """The message as the decoder reads it: old writers made uuids of other lengths, which become a digest of them."""
    if len(found.message.uuid) == message.UUID_BYTES:
        return found.payload
    found.message.uuid = hashlib.blake2b(found.message.uuid, digest_size=message.UUID_BYTES).digest()
    return message.encode(found.message)
