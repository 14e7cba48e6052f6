"""Fixtures of real servers."""

from tests.engines import kafka_server  # noqa: F401  fixture
