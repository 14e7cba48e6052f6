"""A dataset finds the files that it is asked for, and gives their records: which, how many, in which form."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import psutil
import pytest

import catchment
from catchment import message
from catchment.clock import SystemClock
from catchment.datasets.dataset import Dataset, Summary, grouped
from catchment.datasets.layout import LAKE
from catchment.datasets.reading import Place
from catchment.datasets.record import record_of
from catchment.errors import Corrupt, Missing, QueryError, Unavailable
from catchment.events import Events
from catchment.framing import frame
from catchment.ingestion.framed.settings import FramedSettings
from catchment.ingestion.framed.writer import FramedWriter
from catchment.message import decode
from tests.buckets import Bucket
from tests.framed import barn, library
from tests.framed.library import dataset


@pytest.fixture
def home(tmp_path: Path) -> Path:
    library.stock(tmp_path)
    return tmp_path


def body_of(payload: bytes) -> bytes:
    body = decode(payload).first("submission")
    assert isinstance(body, bytes)
    return body


def numbers(found: Iterator[dict[str, Any]]) -> list[int]:
    return sorted(record["number"] for record in found)


def days_of(found: Dataset) -> list[str]:
    return sorted({file.key.split("/")[1] for file in found.summaries()})


def test_conditions_choose_files(home: Path) -> None:
    one = dataset(home).where(doctype="main", date="20261124", channel="nightly-cck-example")
    assert [file.key for file in one.summaries()] == [
        f"framed/20261124/telemetry/main/Firefox/nightly_cck_example/64.0/a.0-{0:020d}.heka.zst"
    ]
    assert numbers(one.records()) == list(range(50, 60))


@pytest.mark.parametrize(
    ("condition", "days"),
    [
        ("20261124", ["20261124"]),
        ("2026-11-24", ["20261124"]),
        (date(2026, 11, 24), ["20261124"]),
        (["20261123", "2026-11-25", "20300101"], ["20261123", "20261125"]),
        ("2026-11-2*", list(library.DAYS)),
        ("*", list(library.DAYS)),
        (["20261123", "20261125*"], ["20261123", "20261125"]),
        (lambda day: day >= "20261124", ["20261124", "20261125"]),
        ([], []),
        ("2026112", []),
    ],
)
def test_a_condition_is_a_value_a_beginning_a_collection_or_a_function(
    home: Path, condition: object, days: list[str]
) -> None:
    assert days_of(dataset(home).where(date=condition)) == days
    assert days_of(dataset(home).where(date=condition, doctype=lambda name: name == "crash")) == days


def test_the_names_of_2018_mean_the_same_dimensions(home: Path) -> None:
    now = dataset(home).where(doctype="main", date="20261124", channel="release", app="Firefox", version=lambda v: True)
    then = dataset(home).where(
        doc_type="main", submissionDate="20261124", appUpdateChannel="release", app_name="Firefox", appVersion="64.0"
    )
    assert now.summaries() == then.summaries() != []


def test_a_namespace_is_a_source_and_framed_is_all(home: Path) -> None:
    assert len(dataset(home, "shop").summaries()) == 1
    assert len(dataset(home, "framed").summaries()) == 13
    assert dataset(home, "cohorts").summaries() == []
    assert dataset(home, "framed").summaries(limit=2) == dataset(home, "framed").summaries()[:2]


def test_an_unknown_dimension_or_a_second_condition_is_refused(home: Path) -> None:
    with pytest.raises(Missing, match=r"where chanel: no such dimension; there are date, namespace, doctype, app"):
        dataset(home).where(chanel="release")
    with pytest.raises(QueryError, match="dimension doctype has a condition already"):
        dataset(home).where(doctype="main").where(doc_type="crash")
    with pytest.raises(QueryError, match="dimension namespace has a condition already"):
        dataset(home).where(namespace="shop")


def test_refining_leaves_the_former_dataset_as_it_was(home: Path) -> None:
    whole = dataset(home)
    whole.where(doctype="main").select("number")
    assert len(whole.summaries()) == 12
    assert "meta" in next(whole.records())


def test_selected_are_values_at_paths_under_their_names(home: Path) -> None:
    found = dataset(home).select("number", "absent", system="os.name").where(date="20261123", doctype="main")
    assert next(found.records()) == {"number": 10, "absent": None, "system": "Linux"}
    with pytest.raises(QueryError, match="select 'number': selected already"):
        found.select("number")
    with pytest.raises(QueryError, match="no JMESPath expression"):
        found.select("a[")


def test_nothing_is_read_before_the_first_record(home: Path) -> None:
    records = dataset(home).records()
    for path in (home / "objects").rglob("*.zst"):
        path.unlink()
    assert list(records) == []


def test_a_limit_gives_the_first_records(home: Path) -> None:
    assert [record["number"] for record in dataset(home).where(doctype="main").records(limit=12)] == [
        *range(10, 20),
        *range(2),
    ]
    assert list(dataset(home).records(limit=0)) == []


def test_a_sample_draws_files_by_its_seed_and_leaves_other_draws_alone(home: Path) -> None:
    found = dataset(home)
    first, again = numbers(found.records(sample=0.5)), numbers(found.records(sample=0.5))
    assert first == again
    assert len(first) == 60
    assert numbers(found.records(sample=0.5, seed=7)) != first
    assert list(found.records(sample=0)) == []
    with pytest.raises(QueryError, match=r"sample is 1.5, must be from 0 to 1"):
        found.records(sample=1.5)


def test_several_processes_read_the_same_records(home: Path) -> None:
    found = dataset(home).select("number")
    assert numbers(found.records(workers=3)) == numbers(found.records(workers=0)) == list(range(120))


def test_summaries_that_are_given_are_what_is_read(home: Path) -> None:
    files = dataset(home).summaries()[:1]
    assert len(list(dataset(home).records(summaries=files))) == 10


def test_workers_end_with_the_reader(home: Path) -> None:
    for number in range(40):
        library.put(home, f"framed/20261201/big/b/A/c/1/{number}", *(barn.decoded(at) for at in range(400)))
    before = set(psutil.Process().children(recursive=True))
    records = dataset(home, "big").records(workers=2)
    next(records)
    assert len(set(psutil.Process().children(recursive=True)) - before) == 2
    records.close()  # type: ignore[attr-defined]
    assert set(psutil.Process().children(recursive=True)) - before == set()


def test_a_worker_that_dies_is_said(home: Path) -> None:
    with pytest.raises(Unavailable, match="a worker ended with code 3"):
        list(dataset(home).records(workers=1, decode=dies))


def dies(file: BinaryIO) -> Iterator[dict[str, Any]]:
    os._exit(3)
    yield {}


def lines(file: BinaryIO) -> Iterator[dict[str, Any]]:
    print("a decoder may print")  # noqa: T201
    yield {"length": len(file.read())}


def fails(file: BinaryIO) -> Iterator[dict[str, Any]]:
    yield {"ratio": 1 // len(file.read(0))}


def test_a_decoder_of_ones_own_reads_other_formats_also_in_workers(home: Path) -> None:
    sizes = sorted(file.size_bytes for file in dataset(home).summaries())
    assert sorted(record["length"] for record in dataset(home).records(decode=lines)) == sizes
    assert sorted(record["length"] for record in dataset(home).records(decode=lines, workers=2)) == sizes
    with pytest.raises(QueryError, match=r"ZeroDivisionError"):
        list(dataset(home).records(decode=fails, workers=1))
    with pytest.raises(QueryError, match="put it into a module, or read with workers=0"):
        list(dataset(home).records(decode=lambda file: [], workers=1))


def test_damage_gives_a_warning_and_what_is_whole(home: Path) -> None:
    good = [barn.decoded(number) for number in (1, 2)]
    path = home / "objects" / LAKE / "20261201/torn/b/A/c/1/file"
    path.parent.mkdir(parents=True)
    path.write_bytes(frame(good[0]) + b"garbage" + frame(good[1]))
    with pytest.warns(UserWarning, match="file: 7 bytes belong to no message"):
        assert numbers(dataset(home, "torn").records()) == [1, 2]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_is_cut_short_is_an_error(home: Path, workers: int) -> None:
    path = next((home / "objects" / LAKE / "20261123/shop").rglob("*.zst"))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(Corrupt, match="cannot be unpacked to its end"):
        list(dataset(home, "shop").records(workers=workers))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_source_of_2018_is_read_in_all_its_layouts(tmp_path: Path, workers: int) -> None:
    wanted = library.stock_of_2018(tmp_path / "archive")
    place = Place(f"file:{tmp_path / 'archive'}", str(tmp_path))
    found = Dataset.at(place, "telemetry").where(
        docType="main", submission_date="2018-01-05", appUpdateChannel="nightly-cck-example"
    )
    got = sorted(found.select("number").records(workers=workers), key=lambda record: record["number"])
    assert got == wanted
    assert found.source.dimensions[0] == "submissionDate"
    with pytest.raises(Missing, match=r"source 'other': not in sources\.json"):
        Dataset.at(place, "other")


def test_a_framed_lake_in_a_bucket_is_written_and_read(tmp_path: Path, bucket: Bucket) -> None:
    wanted = barn.fill(tmp_path, 20)
    place = Place(bucket.url, str(tmp_path), bucket.settings)
    log, _ = barn.open_barn(tmp_path)
    points = barn.CrashPoints(log, None)
    registry = barn.write_schemas(tmp_path)
    events = Events("framed", io.StringIO())
    settings = FramedSettings(object_age_s=0.1)
    writer = FramedWriter(settings, "b", log, place.open(), lambda: registry, SystemClock(), events, at=points)
    points.writer = writer
    writer.run()
    log.close()
    found = Dataset.at(place, "telemetry").where(app="Firefox").select("number")
    given = sorted(orjson.loads(body_of(one))["number"] for one in wanted)
    assert sorted(record["number"] for record in found.records(workers=2)) == given


def test_groups_are_dealt_as_they_always_were() -> None:
    files = [Summary(str(size), size) for size in (10, 1, 5, 7, 3, 9, 2)]
    assert grouped(files, 3) == [["10", "5", "1"], ["9", "3"], ["7", "2"]]
    big = Summary("big", (1 << 32) + 1)
    assert grouped([*files, big], 3, "equal_size") == [["big"], ["10", "2", "1"], ["9", "3"], ["7", "5"]]
    with pytest.raises(QueryError, match="group_by is 'other'"):
        grouped(files, 3, "other")


def test_a_record_is_the_document_with_its_meta(home: Path) -> None:
    record = next(dataset(home, "shop").records())
    assert record["number"] == 9000
    assert record["meta"]["docType"] == "mystery"
    assert record["meta"]["Timestamp"] == barn.START_NS
    assert (record["meta"]["Type"], record["meta"]["Hostname"], record["meta"]["Logger"]) == (
        "validated",
        "edge",
        "shop",
    )


def framed(*fields: message.Field, payload: str | None = None) -> message.Message:
    return message.Message(bytes(16), 5, "t", payload=payload, fields=list(fields))


def test_a_split_ping_is_put_together_again() -> None:
    split = framed(
        message.Field("payload.histograms", ('{"A": 1}',)),
        message.Field("environment.system", (b'{"os": "x"}',), message.BYTES),
        message.Field("sampleId", (7.0,), message.DOUBLE),
        payload='{"type": "main", "payload": {"info": 1}}',
    )
    record = record_of(split)
    assert record.pop("meta")["sampleId"] == 7.0
    assert record == {
        "type": "main",
        "payload": {"info": 1, "histograms": {"A": 1}},
        "environment": {"system": {"os": "x"}},
    }


def test_bodies_in_every_form_are_read() -> None:
    def body(name: str, value: bytes) -> dict[str, Any]:
        record = record_of(framed(message.Field(name, (value,), message.BYTES)))
        del record["meta"]
        return record

    assert body("submission", orjson.dumps({"a": 1})) == {"a": 1}
    assert body("submission", b'{"a": "\xff"}') == {"a": "\ufffd"}
    assert body("submission", b"[1]") == {"content": [1]}
    assert body("content", b"raw text") == {"content": "raw text"}
    assert body("content", gzip.compress(b"raw text")) == {"content": "raw text"}
    assert body("content", b"\xff\xfe") == {}


def test_the_package_gives_the_platforms_dataset(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("CATCHMENT_HOME__PATH", str(home))
    found = catchment.Dataset.from_source("telemetry").where(doc_type="main", submission_date="20261124")
    assert len(list(found.records())) == 20
    with pytest.raises(AttributeError, match="no attribute 'Datasets'"):
        catchment.Datasets  # noqa: B018
