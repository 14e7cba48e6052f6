"""The catalogue: every doctype that has a schema, a table or pings, with its figures of the last day.

    schemas ─┐
    tables ──┼─▶ one entry per doctype, by the stem of its table's name (`telemetry.new_profile`)
    ledger ──┘

What it says is kept for a moment, whoever asks. The owner of a doctype is what its newest schema says in `x-owner`
(a text or a list of texts), else in `maintainers`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catchment.clock import Clock
from catchment.database.database import Database
from catchment.errors import CatchmentError, Incompatible
from catchment.schemas.names import snake_case
from catchment.web.catalogue.figures import Figures, figures

if TYPE_CHECKING:
    from catchment.lake.tables import Lake
    from catchment.schemas.registry import Registry, Schema

DAY_S = 86_400
KEPT_S = 5.0
SHOWN = 1_000
"""Entries of a list; more are counted, and found by searching."""
OWNER_KEYWORDS = ("x-owner", "maintainers")
SORTS = ("pings", "name", "errors", "latest", "owner", "versions")
"""Orders of the list, the usual one first."""
_TABLE = re.compile(r"(?P<stem>.+)_v(?P<version>\d{1,9})")
_NONE = Figures()
"""Of what the ledger has never counted."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One doctype. `versions` are those of schemas, the oldest first; `tables` exist already.

    Names are those of its schema. Without one they are told from what the ledger writes, as if they had been sent in
    lower case with `-`; a table that holds no pings of one doctype is called as it is."""

    stem: str
    namespace: str
    doctype: str
    title: str
    owner: str
    versions: tuple[int, ...]
    tables: tuple[str, ...]
    figures: Figures

    @property
    def name(self) -> str:
        return f"{self.namespace}.{self.doctype}"

    @property
    def kind(self) -> str:
        """What it lacks: "no schema", "table only" of one that counts no pings either; empty when it has a schema."""
        if self.versions:
            return ""
        return "no schema" if self.figures != _NONE else "table only"


@dataclass(frozen=True, slots=True)
class Listing:
    """The entries, by name, and what could not be read (empty: nothing)."""

    entries: tuple[Entry, ...]
    problems: tuple[str, ...]

    def find(self, namespace: str, doctype: str) -> Entry | None:
        stem = stem_of(namespace, doctype)
        return next((entry for entry in self.entries if entry.stem == stem), None)

    def select(self, text: str, sort: str) -> list[Entry]:
        """Those that have all words of `text` in name, title or owner, in one of the orders of SORTS: the largest or
        newest first, names from a to z."""
        words = text.lower().split()
        found = [
            entry
            for entry in self.entries
            if all(word in f"{entry.name} {entry.title} {entry.owner}".lower() for word in words)
        ]
        return sorted(found, key=_KEYS[sort])


_KEYS: Mapping[str, Callable[[Entry], Any]] = {
    "name": lambda entry: entry.name,
    "pings": lambda entry: (-entry.figures.accepted, entry.name),
    "errors": lambda entry: (-(entry.figures.error_share or 0), -entry.figures.errors, entry.name),
    "latest": lambda entry: (-entry.figures.latest_s, entry.name),
    "owner": lambda entry: (entry.owner == "", entry.owner.lower(), entry.name),
    "versions": lambda entry: (-len(entry.versions), entry.name),
}


class Catalogue:
    """Reads everything. Its parts are opened when they are first needed; safe to call from several threads."""

    def __init__(
        self,
        registry: Callable[[], Registry],
        lake: Callable[[], Lake],
        database: Callable[[], Database],
        clock: Clock,
    ) -> None:
        self.registry = registry
        self.lake = lake
        self.database = database
        self.clock = clock
        self._lock = threading.Lock()
        self._listing: tuple[float, Listing] | None = None

    def listing(self) -> Listing:
        """Everything there is; at most `KEPT_S` old."""
        with self._lock:
            now_s = self.clock.monotonic_s()
            if self._listing is None or now_s - self._listing[0] > KEPT_S:
                self._listing = (now_s, self._read())
            return self._listing[1]

    def forget(self) -> None:
        """Read anew when somebody asks next: a schema was added."""
        with self._lock:
            self._listing = None

    def now_s(self) -> int:
        return self.clock.time_ns() // 10**9

    def _read(self) -> Listing:
        problems: list[str] = []
        schemas = self.registry().all()
        tables: list[str] = []
        counted: dict[tuple[str, str], Figures] = {}
        try:
            tables = self.lake().tables()
        except CatchmentError as error:
            problems.append(f"The tables cannot be listed: {error}")
        try:
            now_s = self.now_s()
            counted = figures(self.database(), now_s - DAY_S, now_s)
        except CatchmentError as error:
            problems.append(f"The figures cannot be read: {error}")
        return Listing(tuple(_entries(schemas, tables, counted)), tuple(problems))


def stem_of(namespace: str, doctype: str) -> str:
    """What the tables of a doctype's versions are called, without `_v<version>`."""
    return f"{snake_case(namespace)}.{snake_case(doctype)}"


def owner_of(document: Mapping[str, Any]) -> str:
    """Whom to ask about these pings, as the schema says; empty when it says nothing."""
    for keyword in OWNER_KEYWORDS:
        value = document.get(keyword)
        names = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        if found := ", ".join(name.strip() for name in names if isinstance(name, str) and name.strip()):
            return found
    return ""


def _entries(
    schemas: Iterable[Schema], tables: Iterable[str], counted: Mapping[tuple[str, str], Figures]
) -> list[Entry]:
    described: dict[str, list[Schema]] = {}
    for schema in schemas:
        described.setdefault(stem_of(schema.namespace, schema.doctype), []).append(schema)
    made: dict[str, list[str]] = {}
    for table in tables:
        named = _TABLE.fullmatch(table)
        made.setdefault(named["stem"] if named else table, []).append(table)
    by_stem = {f"{namespace}.{doctype}": found for (namespace, doctype), found in counted.items() if doctype}
    entries = []
    for stem in described.keys() | made.keys() | by_stem.keys():
        versions = sorted(described.get(stem, ()), key=lambda schema: schema.version)
        newest = versions[-1] if versions else None
        namespace, _, doctype = (stem.replace("_", "-") if stem in by_stem else stem).partition(".")
        title, owner = _words(newest)
        entries.append(
            Entry(
                stem,
                newest.namespace if newest else namespace,
                newest.doctype if newest else doctype,
                title,
                owner,
                tuple(schema.version for schema in versions),
                tuple(sorted(made.get(stem, ()), key=lambda table: (len(table), table))),
                by_stem.get(stem, _NONE),
            )
        )
    return sorted(entries, key=_KEYS["name"])


def _words(schema: Schema | None) -> tuple[str, str]:
    """Title and owner of a schema; empty of one that cannot be read, whose page says why."""
    try:
        document = schema.document if schema is not None else {}
    except Incompatible:
        return "", ""
    title = document.get("title")
    return (" ".join(title.split()) if isinstance(title, str) else "", owner_of(document))
