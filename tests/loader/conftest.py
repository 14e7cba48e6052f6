"""Fixtures of real servers."""

from tests.engine_hive import hive_server  # noqa: F401  fixtures
from tests.engines import minio_server  # noqa: F401  fixtures
from tests.postgres import postgres_server, postgres_url  # noqa: F401  fixtures
