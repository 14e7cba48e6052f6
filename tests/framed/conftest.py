"""Fixtures of real servers."""

from tests.buckets import bucket  # noqa: F401  fixtures
from tests.engines import minio_server  # noqa: F401  fixtures
