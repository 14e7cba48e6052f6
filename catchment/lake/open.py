"""Opens the lake that the settings name: the schemes of the two URLs choose where names and files are."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from catchment.clock import Clock
from catchment.directories import make_directory
from catchment.errors import BadConfig
from catchment.events import Events
from catchment.lake.catalog import SqliteCatalog
from catchment.lake.files import SCHEME
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.lake.tables import Lake

TABLES = "tables"
"""Folder of the lake below the objects' root."""


def open_lake(
    catalog_settings: CatalogSettings, objects_settings: ObjectsSettings, data_dir: Path, clock: Clock, events: Events
) -> Lake:
    """The lake with its catalog at `catalog.url` and its files at `objects.url`; relative paths are below `data_dir`.
    Both are made when absent. Raises BadConfig for an unknown scheme or an unusable place."""
    catalog = _path("[catalog] url", catalog_settings.url, "sqlite", "sqlite:catalog.db", data_dir)
    objects = _path("[objects] url", objects_settings.url, "file", "file:objects", data_dir)
    try:
        make_directory(objects / TABLES)
        return Lake(SqliteCatalog(catalog, f"{SCHEME}{objects / TABLES}"), clock, events)
    except (OSError, sqlite3.Error) as error:
        raise BadConfig(
            f"the lake at {catalog} and {objects} cannot be opened: {error}; name places to write to"
        ) from error


def _path(setting: str, url: str, scheme: str, example: str, data_dir: Path) -> Path:
    found, colon, rest = url.partition(":")
    place = rest.removeprefix("//")
    if found != scheme or not colon or not place:
        raise BadConfig(f"{setting} is {url!r}, must be `{scheme}:` and a path; for example `{example}`")
    return (data_dir / place).absolute()
