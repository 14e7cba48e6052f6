"""Adding a schema to the folder of added schemas: what `catchment schema add` and the console's form do.

The schema is judged as a part of the whole registry before it is written; what the registry would refuse is refused
here, and nothing is changed. The file is put atomically, so every running service takes it within seconds. One at a
time may add.
"""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from pathlib import Path

from catchment.directories import make_directory, replace_file
from catchment.errors import Incompatible
from catchment.schemas.live import LiveRegistry
from catchment.schemas.registry import Schema


@dataclass(frozen=True, slots=True)
class Added:
    """What was done: the schema as it is now, the one whose place it took, and whether anything has changed."""

    schema: Schema
    before: Schema | None
    is_changed: bool


def add_schema(live: LiveRegistry, folder: Path, namespace: str, doctype: str, version: int, content: bytes) -> Added:
    """Put `content` (JSON text) into `folder`, the last of the sources of `live`, as the schema of these documents.

    Durable when this returns; taken by the services within 5 s. Raises Incompatible with the first thing that is wrong:
    the name, the schema, its table, a change that its documents or its table do not allow, or another schema that is
    broken already. OSError when the folder cannot be written.
    """
    name = f"{namespace}/{doctype}/{doctype}.{version}.schema.json"
    if name.count("/") != 2 or not all(part.strip(".") for part in name.split("/")):
        raise Incompatible(f"schema {name}: a namespace and a doctype are letters, digits and -; rename it")
    make_directory(folder)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        proposed, problems = live.propose({name: content})
        schema = proposed.find(namespace, doctype, version)
        if problems or schema is None:
            found = f"; {len(problems) - 1} more" if len(problems) > 1 else ""
            raise Incompatible((problems or [f"schema {name}: its name cannot be used"])[0] + found)
        before = live.current.find(namespace, doctype, version)
        path = folder / name
        if before is not None and before.content == content and before.path == path:
            return Added(schema, before, is_changed=False)
        make_directory(path.parent)
        replace_file(path, content)
    live.look()
    live.look()
    return Added(schema, before, is_changed=True)
