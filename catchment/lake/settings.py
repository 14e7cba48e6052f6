"""Settings of the lake: where its catalog and its objects are, how long versions live, how files are compacted."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from catchment.config import option

_HOUR_S = 3_600.0
_MIB = 1024 * 1024


def _url_rule(url: str) -> str | None:
    if urlsplit(url).password:
        return "holds a password, which would be printed; set [catalog] password instead"
    return None


@dataclass(frozen=True, slots=True)
class CatalogSettings:
    """Section `[catalog]`."""

    url: str = option(
        "sqlite:catalog.db",
        "Where the names of the tables are: `sqlite:` and a file (relative to the home), or "
        "`postgresql://user@host/database`, or `thrift://host:9083` for a Hive Metastore.",
        check=_url_rule,
    )
    password: str = option("", "Password for `postgresql:`; empty asks the server and `~/.pgpass`.", secret=True)


@dataclass(frozen=True, slots=True)
class ObjectsSettings:
    """Section `[objects]`."""

    url: str = option(
        "file:objects",
        "Where tables and archived files are: `file:` and a directory (relative to the home), or `s3://bucket/prefix`.",
    )


@dataclass(frozen=True, slots=True)
class LakeSettings:
    """Section `[lake]`: upkeep of tables."""

    snapshot_age_s: float = option(
        600.0, "Versions of a table older than this are forgotten.", unit="seconds", minimum=1
    )
    replaced_age_s: float = option(
        _HOUR_S,
        "Files that a compaction has replaced are kept so long for queries that still read them.",
        unit="seconds",
        minimum=1,
    )
    orphan_age_s: float = option(
        24 * _HOUR_S, "Files that no version of a table names are deleted after this time.", unit="seconds", minimum=60
    )
    compact_min_files: int = option(
        16, "So many small files of one day and of about one size are made into one.", unit="files", minimum=2
    )
    target_file_bytes: int = option(
        128 * _MIB, "A file of at least half of this size is not small.", unit="bytes", minimum=1024
    )
    compact_max_bytes: int = option(
        256 * _MIB, "One compaction takes at most so many uncompressed bytes into memory.", unit="bytes", minimum=_MIB
    )
    promotion_share: float = option(
        0.25,
        "Share of the first loader's time that moving old values into new columns may take; 0 leaves it to "
        "`catchment promote`.",
        minimum=0.0,
        maximum=1.0,
    )
