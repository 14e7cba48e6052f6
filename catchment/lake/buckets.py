"""Files of the lake in a bucket of S3: pyiceberg's file port over Arrow's client, and the same client for DuckDB.

A file is there, whole and durable, once its output is closed, and not before.
Arrow's client and not `catchment.objects.s3`: names of the lake are never used twice, so nothing is conditional, and
Arrow writes and reads columns in pieces outside of Python's lock. Locations are `s3://bucket/key`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from pyarrow import fs
from pyiceberg.io.pyarrow import PyArrowFileIO

from catchment.objects.s3 import DEFAULT_REGION
from catchment.objects.settings import S3Settings

SCHEME = "s3"
_CONNECT_S, _REQUEST_S = "5", "30"


class BucketFiles(PyArrowFileIO):
    """pyiceberg's file port over buckets; its properties are pyiceberg's `s3.…`."""

    def listed(self, location: str) -> Iterator[tuple[str, float]]:
        """All files below a location, each with the time of its last change (s since the epoch)."""
        bucket, _, key = location.removeprefix(f"{SCHEME}://").partition("/")
        below = fs.FileSelector(f"{bucket}/{key}", recursive=True, allow_not_found=True)
        for found in self.fs_by_scheme(SCHEME, bucket).get_file_info(below):
            if found.type == fs.FileType.File:
                yield f"{SCHEME}://{found.path}", found.mtime_ns / 1e9

    @property
    def remote(self) -> Any:
        """The file system for an engine that opens locations by itself."""
        from fsspec.implementations.arrow import ArrowFSWrapper

        wrapper = type("S3Files", (ArrowFSWrapper,), {"protocol": SCHEME})
        return wrapper(self.fs_by_scheme(SCHEME, None), skip_instance_cache=True)


def bucket_properties(settings: S3Settings) -> dict[str, str]:
    """What pyiceberg must know to reach the buckets as `settings` say; empty values are found as AWS programs do."""
    endpoint = settings.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = settings.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    given = {
        "s3.endpoint": endpoint,
        "s3.region": region or DEFAULT_REGION,
        "s3.access-key-id": settings.access_key,
        "s3.secret-access-key": settings.secret_key,
        "s3.connect-timeout": _CONNECT_S,
        "s3.request-timeout": _REQUEST_S,
    }
    return {name: value for name, value in given.items() if value}
