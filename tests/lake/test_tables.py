"""Tables are made, grown, described, and read by others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numbered import SCHEMA, START, make_rows, numbers
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import EqualTo

from catchment.clock import SystemClock
from catchment.errors import BadConfig, Incompatible, Missing, Unavailable
from catchment.events import Events
from catchment.lake.commit import Span
from catchment.lake.open import open_lake
from catchment.lake.plan import plan
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.lake.tables import Lake

TABLE = "telemetry.main_v4"


def schema(**fields: pa.DataType) -> pa.Schema:
    return pa.schema(list(fields.items()))


def test_a_table_has_the_layout_that_the_docs_name(lake: Lake) -> None:
    lake.ensure(TABLE, SCHEMA)
    table = lake.load(TABLE)
    assert table.format_version == 2
    assert [(field.name, str(field.transform)) for field in table.spec().fields] == [
        ("submission_timestamp_day", "day")
    ]
    assert [table.schema().find_column_name(f.source_id) for f in table.sort_order().fields] == ["sample_id"]
    assert lake.tables() == [TABLE]


def test_rows_are_split_by_day(tmp_path: Path, lake: Lake) -> None:
    lake.ensure(TABLE, SCHEMA)
    timeless = make_rows(90, 5).set_column(0, SCHEMA.field(0), pa.nulls(5, SCHEMA.field(0).type))
    rows = pa.concat_tables([make_rows(0, 30, day=0), make_rows(30, 30, day=2), make_rows(60, 30, day=0), timeless])
    assert lake.commit(TABLE, rows, {"raw/0": Span(None, 95)}).files == 3
    found = {path.parent.name: pq.ParquetFile(path).read() for path in tmp_path.rglob("*.parquet")}
    assert {day: part.num_rows for day, part in found.items()} == {
        "submission_timestamp_day=2026-11-20": 60,
        "submission_timestamp_day=2026-11-22": 30,
        "submission_timestamp_day=null": 5,
    }
    assert numbers(lake, TABLE) == list(range(95))


def test_times_before_1970_have_their_day(lake: Lake) -> None:
    lake.ensure(TABLE, SCHEMA)
    early = pa.array([dt.datetime(1969, 12, 31, 23, 59, 59, tzinfo=dt.UTC)], SCHEMA.field(0).type)
    lake.commit(TABLE, make_rows(0, 1).set_column(0, SCHEMA.field(0), early), {})
    assert [file.partition[0] for file in plan(lake.load(TABLE), EqualTo("sample_id", 0))] == [-1]


def test_a_table_grows_by_columns_and_nested_fields_and_wider_numbers(lake: Lake) -> None:
    lake.ensure(TABLE, schema(n=pa.int32(), s=pa.struct([("a", pa.string())])))
    lake.commit(TABLE, pa.table({"n": pa.array([1], pa.int32()), "s": [{"a": "x"}]}), {})
    grown = schema(
        s=pa.struct([("b", pa.list_(pa.struct([("c", pa.int64())]))), ("a", pa.string())]),
        more=pa.map_(pa.string(), pa.float64()),
        n=pa.int64(),
    )
    lake.ensure(TABLE, grown)
    lake.commit(TABLE, pa.Table.from_pylist([{"s": {"a": "y", "b": [{"c": 2}]}, "n": 2**40}], grown), {})
    rows = lake.load(TABLE).scan().to_arrow().to_pylist()
    assert sorted((row["n"], row["s"]["a"], row["s"]["b"], row["more"]) for row in rows) == [
        (1, "x", None, None),
        (2**40, "y", [{"c": 2}], None),
    ]


def test_an_older_writer_goes_on_after_the_table_has_grown(lake: Lake, reopen: Callable[[], Lake]) -> None:
    older = reopen()
    older.ensure(TABLE, SCHEMA)
    lake.ensure(TABLE, SCHEMA.append(pa.field("extra", pa.string())))
    older.commit(TABLE, make_rows(0, 5), {"raw/0": Span(None, 5)})
    assert lake.load(TABLE).scan().to_arrow().column("extra").null_count == 5


@pytest.mark.parametrize(
    "changed",
    [
        schema(n=pa.string()),
        schema(n=pa.struct([("a", pa.int64())])),
        schema(n=pa.float64()),
        schema(s=pa.struct([("a", pa.int64())])),
        schema(l=pa.list_(pa.int64())),
        schema(m=pa.map_(pa.int64(), pa.string())),
        schema(t=pa.timestamp("ns", "UTC")),
    ],
    ids=str,
)
def test_an_incompatible_change_is_refused_and_changes_nothing(lake: Lake, changed: pa.Schema) -> None:
    held = schema(
        n=pa.int64(), s=pa.struct([("a", pa.string())]), l=pa.list_(pa.string()), m=pa.map_(pa.string(), pa.string())
    )
    lake.ensure(TABLE, held)
    before = lake.load(TABLE).metadata_location
    with pytest.raises(Incompatible):
        lake.ensure(TABLE, changed)
    assert lake.load(TABLE).metadata_location == before


def test_rows_that_do_not_fit_are_refused_before_anything_is_written(tmp_path: Path, lake: Lake) -> None:
    lake.ensure(TABLE, SCHEMA)
    with pytest.raises(Incompatible, match="ensure the schema first"):
        lake.commit(TABLE, make_rows(0, 1).append_column("extra", pa.array(["x"])), {})
    assert list(tmp_path.rglob("*.parquet")) == []


def test_a_table_is_described_from_its_metadata(lake: Lake) -> None:
    text = pa.field("words", pa.list_(pa.struct([("w", pa.string())])), metadata={"doc": "what was said"})
    lake.ensure(TABLE, SCHEMA.append(text))
    empty = lake.describe(TABLE)
    assert (empty.rows, empty.files, empty.committed_at, dict(empty.offsets)) == (0, 0, None, {})
    lake.commit(TABLE, make_rows(0, 7), {"raw/3": Span(None, 9)})
    found = lake.describe(TABLE)
    assert (found.rows, found.files, dict(found.offsets)) == (7, 1, {"raw/3": 9})
    assert found.size_bytes > 0
    words = found.columns[-1]
    assert (words.name, words.type, words.comment, words.fields[0].name) == (
        "words",
        "list<struct>",
        "what was said",
        "w",
    )


def test_the_bounds_of_a_file_keep_only_what_may_match(lake: Lake) -> None:
    lake.ensure(TABLE, SCHEMA)
    lake.commit(TABLE, make_rows(0, 3), {})
    table = lake.load(TABLE)
    assert len(plan(table, EqualTo("document_id", "00000001"))) == 1
    assert plan(table, EqualTo("document_id", "00000009")) == []
    assert plan(table, EqualTo("submission_timestamp", (START + dt.timedelta(days=1)).isoformat())) == []
    assert len(plan(table, EqualTo("number", 77))) == 1


def test_the_library_reads_and_appends_to_the_same_catalog(tmp_path: Path, lake: Lake) -> None:
    lake.ensure(TABLE, SCHEMA)
    lake.commit(TABLE, make_rows(0, 5), {"raw/0": Span(None, 5)})
    stock = SqlCatalog(
        "catchment", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/objects/tables"
    )
    table = stock.load_table(TABLE)
    assert table.scan().to_arrow().num_rows == 5
    with table.update_schema() as update:
        update.union_by_name(SCHEMA.append(pa.field("theirs", pa.string())))
    stock.close()
    lake.commit(TABLE, make_rows(5, 5), {"raw/0": Span(5, 10)})
    assert numbers(lake, TABLE) == list(range(10))
    assert "theirs" in lake.load(TABLE).schema().column_names


def test_unknown_tables_are_missing(lake: Lake) -> None:
    for call in (lake.offsets, lake.describe, lake.load):
        with pytest.raises(Missing, match=r"telemetry\.nothing"):
            call("telemetry.nothing")


def test_a_full_disk_is_unavailable_and_nothing_changes(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.ensure(TABLE, SCHEMA)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(Unavailable, match="No space left"):
            lake.commit(TABLE, make_rows(0, 5), {"raw/0": Span(None, 5)})
    assert lake.offsets(TABLE) == {}
    lake.commit(TABLE, make_rows(0, 5), {"raw/0": Span(None, 5)})
    assert numbers(lake, TABLE) == list(range(5))


@pytest.mark.parametrize(
    ("catalog", "objects"), [("mysql:x", "file:objects"), ("sqlite:", "file:objects"), ("sqlite:c.db", "ftp:x")]
)
def test_a_bad_url_is_refused_with_an_example(tmp_path: Path, catalog: str, objects: str) -> None:
    with pytest.raises(BadConfig, match="for example"):
        open_lake(CatalogSettings(catalog), ObjectsSettings(objects), tmp_path, SystemClock(), Events("test"))
