"""Names of the framed lake: its folders, its dimensions and the values that may stand in a key.

    framed/20261125/telemetry/main/Firefox/release/120.0/edge-7-3f09ac.0-00000000000000000000.heka.zst
           date     namespace doctype app  channel version  file

    framed-cohorts/20261125/telemetry/main/<experiment>/<branch>/<file>      one copy for each experiment
    framed-plans/<log>.<partition>/<first>.json.zst                          what a range of the log became

A value is a text; each byte of it outside `[a-zA-Z0-9_.]` is `_` (é gives two). One that is missing is UNKNOWN, one
that is not allowed OTHER. Different from 2018: a leading dot is `_` too, since `.` and `..` are no names of folders and
stores hide what begins with a dot; a value over 100 bytes is OTHER, where its message was refused before.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import NamedTuple

LAKE, COHORTS, PLANS = "framed/", "framed-cohorts/", "framed-plans/"
ENDING = ".heka.zst"
UNKNOWN, OTHER = "UNKNOWN", "OTHER"
MAX_VALUE_BYTES = 100

DIMENSIONS = ("date", "namespace", "doctype", "app", "channel", "version")
COHORT_DIMENSIONS = ("date", "namespace", "doctype", "experiment", "branch")

FORMER_NAMES = {
    "submission_date": "date",
    "source_name": "namespace",
    "doc_type": "doctype",
    "app_name": "app",
    "app_update_channel": "channel",
    "app_version": "version",
    "experiment_id": "experiment",
    "experiment_branch": "branch",
}
"""Names of 2018, in snake_case, of the dimensions above."""

_UNFIT = re.compile(rb"[^a-zA-Z0-9_.]")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(8192)
def component(value: str) -> str:
    """The folder's name for a value."""
    if not value:
        return UNKNOWN
    encoded = value.encode("utf-8", "surrogateescape")
    if len(encoded) > MAX_VALUE_BYTES:
        return OTHER
    fit = _UNFIT.sub(b"_", encoded).decode()
    return f"_{fit[1:]}" if fit[0] == "." else fit


def asked(dimension: str, value: object) -> str:
    """The folder's name that a question's value means. Days may be dates, or written with hyphens; None is UNKNOWN."""
    if isinstance(value, date):
        return value.strftime("%Y%m%d")
    text = "" if value is None else str(value)
    if dimension in ("date", "submissionDate") and _DAY.fullmatch(text):
        return text.replace("-", "")
    return component(text)


def dimension_named(name: str, dimensions: tuple[str, ...]) -> str | None:
    """The dimension that a name means: its own, the one of 2018, or either in snake_case; None when there is none."""
    if name in dimensions:
        return name
    snake = _HUMP.sub("_", name).lower()
    wanted = FORMER_NAMES.get(snake)
    for dimension in dimensions:
        if dimension == wanted or _HUMP.sub("_", dimension).lower() == snake:
            return dimension
    return None


class Source(NamedTuple):
    """Files below `prefix`, in folders for each of `dimensions`."""

    prefix: str
    dimensions: tuple[str, ...]


SOURCES = {"framed": Source(LAKE, DIMENSIONS), "cohorts": Source(COHORTS, COHORT_DIMENSIONS)}
"""What the platform writes itself."""
