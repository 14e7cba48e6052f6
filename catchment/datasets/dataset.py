"""`Dataset`: which files of a source to read, and what of their records. Each refinement gives a new one; nothing is
read before `summaries` or `records`.

    Dataset.from_source("telemetry").where(doctype="main", date="20261125").select("clientId", os="environment.system")

Files are found by listing: conditions by value narrow the listing as far as the leading dimensions have them, the
others are asked of each folder's name. Source: the semantics of moztelemetry's `Dataset`.
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import orjson

from catchment.datasets.layout import SOURCES, Source, asked, component, dimension_named
from catchment.datasets.reading import Damaged, Decode, Place, Reading
from catchment.datasets.record import selector
from catchment.datasets.workers import stream
from catchment.errors import Corrupt, Missing, QueryError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from catchment.datasets.table import Table

SMALL_BYTES = 4 * 1024 * 1024
"""Files of so many bytes in all are read in this process: starting another one takes longer."""
_GREATEST_BYTES = 1 << 32

Condition = Callable[[str], bool]


class Summary(NamedTuple):
    """A file."""

    key: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Clause:
    """What a dimension must be. `starts` are all the beginnings that its values can have, None when that is not known;
    with `is_whole` they are the values."""

    test: Condition
    starts: tuple[str, ...] | None = None
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Dataset:
    """Files below `source.prefix` at `place`, those that meet all `clauses`, and what is selected of their records."""

    place: Place
    source: Source
    clauses: Mapping[str, Clause] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, place: Place, name: str) -> Dataset:
        """The source `name` at a place: one of its `sources.json`, where it has that; else a namespace of the framed
        lake, or `framed` (all of it) or `cohorts`. Raises Missing."""
        store = place.open()
        try:
            former = _former_sources(store.get("sources.json"))
        except Missing:
            former = None
        if former is not None:
            told = former.get(name)
            if told is None:
                raise Missing(
                    f"source {name!r}: not in sources.json at {place.url}; there are {', '.join(sorted(former))}"
                )
            metadata = f"{str(told.get('metadata_prefix', name)).rstrip('/')}/schema.json"
            prefix = str(told.get("prefix", name)).strip("/") + "/"
            return cls(place, Source(prefix, _former_dimensions(metadata, store.get(metadata))))
        if name in SOURCES:
            return cls(place, SOURCES[name])
        return cls(place, SOURCES["framed"]).where(namespace=name)

    def where(self, **conditions: object) -> Dataset:
        """Only files whose dimensions meet these: a value (or a date), a beginning (`"2026*"`), a collection of either,
        or a function of the folder's name. Raises Missing for an unknown dimension, QueryError for one that has a
        condition already."""
        clauses = dict(self.clauses)
        for name, condition in conditions.items():
            dimension = dimension_named(name, self.source.dimensions)
            if dimension is None:
                raise Missing(f"where {name}: no such dimension; there are {', '.join(self.source.dimensions)}")
            if dimension in clauses:
                raise QueryError(f"where {name}: dimension {dimension} has a condition already; name all in one")
            clauses[dimension] = _clause(dimension, condition)
        return replace(self, clauses=clauses)

    def select(self, *paths: str, **named: str) -> Dataset:
        """Only these values of each record, by JMESPath: a dict of the expression, or of the name given, to the value,
        None where there is none. Raises QueryError for an expression that is none, or a name that is taken."""
        selected = dict(self.paths)
        for name, path in [*((path, path) for path in paths), *named.items()]:
            if name in selected:
                raise QueryError(f"select {name!r}: selected already; give one of them another name")
            selected[name] = path
        selector(selected)
        return replace(self, paths=selected)

    def summaries(self, limit: int | None = None) -> list[Summary]:
        """The files, ordered by key; the first `limit`."""
        return list(islice(self._found(), limit))

    @overload
    def records(self, spark: None = None, **options: Any) -> Iterator[dict[str, Any]]: ...

    @overload
    def records(self, spark: object, **options: Any) -> Any: ...

    def records(self, spark: object = None, **options: Any) -> Any:
        """The records, read here (`stream`), or as an RDD of this Spark session (`rdd`); `options` are theirs."""
        return self.stream(**options) if spark is None else self.rdd(spark, **options)

    def stream(
        self,
        *,
        limit: int | None = None,
        sample: float = 1.0,
        seed: int = 42,
        decode: Decode | None = None,
        summaries: Sequence[Summary] | None = None,
        workers: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The records, as they are read. `sample`, from 0 to 1, is the share of *files* that is read, drawn by `seed`;
        `limit` gives that many records in the order of the files, and makes `sample` void.

        `workers` processes read (one a core; few bytes, and a limit, in this process; 0 always so); then records of
        several files mix. Files that are damaged give a warning and the messages that are whole. Raises Corrupt for one
        that cannot be unpacked, Missing for one that is gone, Unavailable when the store or a worker is.
        """
        if not 0 <= sample <= 1:
            raise QueryError(f"sample is {sample}, must be from 0 to 1")
        reading = Reading(self.place, dict(self.paths), decode)
        return _read(reading, lambda: self._chosen(limit, sample, seed, summaries), limit, workers)

    def rdd(
        self,
        spark: Any,
        *,
        group_by: str = "greedy",
        sample: float = 1.0,
        seed: int = 42,
        decode: Decode | None = None,
        summaries: Sequence[Summary] | None = None,
    ) -> Any:
        """The records as an RDD of dicts, of a Spark session or context whose executors have this package and reach the
        place. Ten groups of files for each of its cores; `group_by` is as `grouped` takes it."""
        if not 0 <= sample <= 1:
            raise QueryError(f"sample is {sample}, must be from 0 to 1")
        context = getattr(spark, "sparkContext", spark)
        if not hasattr(context, "parallelize"):
            raise QueryError(
                f"records of {type(spark).__name__}: must be a SparkSession or SparkContext; pip install "
                "'pyspark>=4.0', and no Connect session, which has no RDDs"
            )
        files = self._chosen(None, sample, seed, summaries)
        groups = grouped(files, 10 * context.defaultParallelism, group_by)
        reading = Reading(self.place, dict(self.paths), decode)
        return context.parallelize(groups, max(len(groups), 1)).flatMap(reading.whole_records)

    def table(self, types: Mapping[str, pa.DataType] | None = None, **options: Any) -> Table:
        """The selected values as columns, for everything that reads Arrow; see `catchment/datasets/table.py`."""
        from catchment.datasets.table import Table

        return Table(lambda: self.records(**options), tuple(self.paths), types or {})

    def duckdb(
        self,
        connection: duckdb.DuckDBPyConnection | None = None,
        types: Mapping[str, pa.DataType] | None = None,
        **options: Any,
    ) -> duckdb.DuckDBPyRelation:
        """The selected values as a relation of DuckDB, read anew for each query on it. `options` are those of
        `records`. Columns are texts (JSON for what is no text), but for those that `types` names."""
        return self.table(types, **options).duckdb(connection)

    def _chosen(
        self, limit: int | None, sample: float, seed: int, summaries: Sequence[Summary] | None
    ) -> Sequence[Summary]:
        files = self.summaries() if summaries is None else summaries
        if limit is not None or sample == 1:
            return files
        return random.Random(seed).sample(list(files), int(len(files) * sample))

    def _found(self) -> Iterator[Summary]:
        store, dimensions = self.place.open(), self.source.dimensions
        conditions = [self.clauses[name].test if name in self.clauses else None for name in dimensions]
        for prefix in self._prefixes():
            for stored in store.list(prefix):
                values = stored.key[len(self.source.prefix) :].split("/")[:-1]
                if len(values) < len(dimensions):
                    continue  # no file of this source
                pairs = zip(values, conditions, strict=False)
                if all(condition is None or condition(value) for value, condition in pairs):
                    yield Summary(stored.key, stored.size_bytes)

    def _prefixes(self) -> list[str]:
        """Beginnings of all keys that the clauses let pass, made of the values of leading dimensions that are known."""
        known: list[tuple[str, ...]] = []
        for name in self.source.dimensions:
            clause = self.clauses.get(name)
            if clause is None or clause.starts is None:
                break
            known.append(tuple(f"{start}/" for start in clause.starts) if clause.is_whole else clause.starts)
            if not clause.is_whole:
                break
        found = sorted({self.source.prefix + "".join(starts) for starts in product(*known)})
        return [one for at, one in enumerate(found) if not any(one.startswith(other) for other in found[:at])]


def grouped(files: Sequence[Summary], groups: int, how: str = "greedy") -> list[list[str]]:
    """The keys in at most so many groups of about the same size. `greedy` deals them out from the largest down,
    `equal_size` gives each to the group that has least, and a file of over 4 GiB a group of its own."""
    if how not in ("greedy", "equal_size"):
        raise QueryError(f"group_by is {how!r}, must be greedy or equal_size")
    ordered = sorted(files, key=lambda file: -file.size_bytes)
    if how == "greedy":
        dealt = [[file.key for file in ordered[first::groups]] for first in range(min(groups, len(ordered)))]
        return [keys for keys in dealt if keys]
    alone = [[file.key] for file in ordered if file.size_bytes > _GREATEST_BYTES]
    sums, kept = [0] * groups, [list[str]() for _ in range(groups)]
    for file in ordered[len(alone) :]:
        least = sums.index(min(sums))
        sums[least] += file.size_bytes
        kept[least].append(file.key)
    return alone + [keys for keys in kept if keys]


def _read(
    reading: Reading, chosen: Callable[[], Sequence[Summary]], limit: int | None, workers: int | None
) -> Iterator[dict[str, Any]]:
    files = chosen()
    count = workers if workers is not None else min(os.cpu_count() or 1, len(files))
    is_small = workers is None and sum(file.size_bytes for file in files) <= SMALL_BYTES
    if limit is not None or count == 0 or is_small:
        found = reading.records(file.key for file in files)
    else:
        found = stream(reading, grouped(files, count))
    given = 0
    for record in found:
        if given == limit:
            return
        if isinstance(record, Damaged):
            warnings.warn(f"{record.key}: {record.length} bytes belong to no message", stacklevel=2)
            continue
        given += 1
        yield record


def _clause(dimension: str, condition: object) -> Clause:
    if callable(condition):
        return Clause(condition)
    if isinstance(condition, Collection) and not isinstance(condition, str | bytes):
        clauses = [_clause(dimension, one) for one in condition]
        starts = tuple(start for clause in clauses for start in clause.starts or ())
        is_known = all(clause.starts is not None for clause in clauses)
        return Clause(
            lambda value: any(clause.test(value) for clause in clauses),
            starts if is_known else None,
            all(clause.is_whole for clause in clauses),
        )
    if isinstance(condition, str) and condition.endswith("*"):
        start = _beginning(dimension, condition[:-1])
        return Clause(lambda value: value.startswith(start), (start,))
    wanted = asked(dimension, condition)
    return Clause(lambda value: value == wanted, (wanted,), is_whole=True)


def _beginning(dimension: str, text: str) -> str:
    is_day = dimension in ("date", "submissionDate")
    return (text.replace("-", "") if is_day else component(text)) if text else ""


def _former_sources(content: bytes) -> dict[str, dict[str, Any]]:
    try:
        return {str(name): dict(told) for name, told in orjson.loads(content).items()}
    except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError) as error:
        raise Corrupt(f"sources.json: not a list of sources ({error}); restore it") from error


def _former_dimensions(key: str, content: bytes) -> tuple[str, ...]:
    try:
        return tuple(told["field_name"] for told in orjson.loads(content)["dimensions"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Corrupt(f"{key}: names no dimensions ({error}); restore it") from error
