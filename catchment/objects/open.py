"""Opens the object store that a URL names: its scheme chooses the backend."""

from __future__ import annotations

from pathlib import Path

from catchment.errors import BadConfig
from catchment.objects.files import FileObjects
from catchment.objects.port import ObjectStore
from catchment.objects.settings import S3Settings


def open_objects(url: str, data_dir: Path, s3: S3Settings | None = None) -> ObjectStore:
    """The store at `url` (`[objects] url`): `file:` and a directory, a relative one below `data_dir`, or
    `s3://bucket/prefix`, reached as `s3` says (None: as AWS programs find it). Raises BadConfig and MissingExtra."""
    scheme, colon, rest = url.partition(":")
    place = rest.removeprefix("//")
    if scheme == "s3":
        from catchment.objects.s3 import S3Objects

        return S3Objects(url, s3 or S3Settings())
    if scheme != "file" or not colon or not place:
        raise BadConfig(
            f"[objects] url is {url!r}, must be `file:` and a directory, or `s3://` and a bucket; for example "
            "`file:objects`"
        )
    return FileObjects((data_dir / place).absolute())
