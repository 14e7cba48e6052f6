"""Opens the object store that a URL names: its scheme chooses the backend."""

from __future__ import annotations

from pathlib import Path

from catchment.errors import BadConfig
from catchment.objects.files import FileObjects
from catchment.objects.port import ObjectStore


def open_objects(url: str, data_dir: Path) -> ObjectStore:
    """The store at `url` (`[objects] url`); a relative `file:` directory is below `data_dir`. Raises BadConfig."""
    scheme, colon, rest = url.partition(":")
    place = rest.removeprefix("//")
    if scheme != "file" or not colon or not place:
        raise BadConfig(f"[objects] url is {url!r}, must be `file:` and a directory; for example `file:objects`")
    return FileObjects((data_dir / place).absolute())
