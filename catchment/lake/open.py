"""Opens the lake that the settings name: the schemes of the two URLs choose where names and files are."""

from __future__ import annotations

from pathlib import Path

from catchment.clock import Clock
from catchment.directories import make_directory
from catchment.errors import BadConfig
from catchment.events import Events
from catchment.lake.catalog import Catalog, PointerCatalog
from catchment.lake.files import SCHEME, DurableFiles, LakeFiles
from catchment.lake.pointers import Pointers, PostgresStatements, SqliteStatements
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.lake.tables import Lake
from catchment.objects.settings import S3Settings

TABLES = "tables"
"""Folder of the lake below the objects' root."""


def open_lake(
    catalog_settings: CatalogSettings,
    objects_settings: ObjectsSettings,
    data_dir: Path,
    clock: Clock,
    events: Events,
    s3: S3Settings | None = None,
) -> Lake:
    """The lake with its catalog at `catalog.url` and its files at `objects.url`; relative paths are below `data_dir`,
    buckets are reached as `s3` says (None: as AWS programs find them). Both are made when absent, but for buckets and
    databases. Raises BadConfig for an unknown scheme or an unusable place, MissingExtra."""
    files, warehouse, properties = _files(objects_settings.url, data_dir, s3 or S3Settings())
    try:
        return Lake(_catalog(catalog_settings, data_dir, files, warehouse, properties), clock, events)
    except OSError as error:
        raise BadConfig(
            f"the lake with its catalog at {catalog_settings.url} cannot be opened: {error}; name places to write to"
        ) from error


def _files(url: str, data_dir: Path, s3: S3Settings) -> tuple[LakeFiles, str, dict[str, str]]:
    """The files, the location below which tables are, and what pyiceberg must know to reach the files itself."""
    if url.startswith("s3:"):
        from catchment.lake.buckets import BucketFiles, bucket_properties
        from catchment.objects.s3 import bucket_of

        bucket, prefix = bucket_of(url)
        properties = bucket_properties(s3)
        return BucketFiles(properties), f"s3://{bucket}/{prefix}{TABLES}", properties
    objects = _path("[objects] url", url, "file", "file:objects", data_dir) / TABLES
    try:
        make_directory(objects)
    except OSError as error:
        raise BadConfig(f"the lake at {objects} cannot be opened: {error}; name places to write to") from error
    return DurableFiles(), f"{SCHEME}{objects}", {}


def _catalog(
    settings: CatalogSettings, data_dir: Path, files: LakeFiles, warehouse: str, properties: dict[str, str]
) -> Catalog:
    scheme = settings.url.partition(":")[0]
    if scheme in ("postgresql", "postgres"):
        return PointerCatalog(Pointers(PostgresStatements(settings.url, settings.password)), files, warehouse)
    if scheme == "thrift":
        from catchment.lake.library import HiveCatalog

        return HiveCatalog(settings.url, files, warehouse, properties)
    path = _path("[catalog] url", settings.url, "sqlite", "sqlite:catalog.db", data_dir)
    return PointerCatalog(Pointers(SqliteStatements(path)), files, warehouse)


def _path(setting: str, url: str, scheme: str, example: str, data_dir: Path) -> Path:
    found, colon, rest = url.partition(":")
    place = rest.removeprefix("//")
    if found != scheme or not colon or not place:
        raise BadConfig(f"{setting} is {url!r}, must be `{scheme}:` and a path; for example `{example}`")
    return (data_dir / place).absolute()
