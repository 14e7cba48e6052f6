"""Buckets of a real S3 server (MinIO) for tests: each test has one of its own."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

import pytest

from catchment.objects.s3 import connect
from catchment.objects.settings import S3Settings
from tests.engines import Minio


@dataclass(frozen=True, slots=True)
class Bucket:
    """`url` names a prefix in it; `settings` reach it."""

    url: str
    settings: S3Settings

    @property
    def variables(self) -> dict[str, str]:
        """The same as variables of a platform's environment."""
        return {
            "CATCHMENT_OBJECTS__URL": self.url,
            "CATCHMENT_S3__ENDPOINT": self.settings.endpoint,
            "CATCHMENT_S3__ACCESS_KEY": self.settings.access_key,
            "CATCHMENT_S3__SECRET_KEY": self.settings.secret_key,
        }


def reach(minio: Minio) -> S3Settings:
    return S3Settings(endpoint=minio.endpoint, access_key=minio.access_key, secret_key=minio.secret_key)


def new_bucket(minio: Minio, part_bytes: int = S3Settings().part_bytes) -> Bucket:
    name = f"test-{uuid.uuid4().hex[:12]}"
    settings = replace(reach(minio), part_bytes=part_bytes)
    connect(settings).create_bucket(Bucket=name)
    return Bucket(f"s3://{name}/some/prefix", settings)


@pytest.fixture
def bucket(minio_server: Minio) -> Bucket:
    return new_bucket(minio_server)
