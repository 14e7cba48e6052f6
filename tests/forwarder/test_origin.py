"""A loader does not start on another log than the lake was loaded from: its records would be passed over."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from catchment.clock import SystemClock
from catchment.errors import BadConfig
from catchment.events import Events
from catchment.ingestion.loader.origin import refuse_another_log
from catchment.lake.open import open_lake
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.lake.tables import Lake, Span
from catchment.log.open import open_log
from catchment.log.port import Log, TopicPartition
from catchment.log.settings import LogSettings
from tests.log.backends import kafka_settings

RAW = TopicPartition("raw", 0)


def open_files(folder: Path, ends: Mapping[str, int] | None = None) -> Log:
    """A log with three records and what these groups have committed."""
    log = open_log(LogSettings(min_free_bytes=0), folder, SystemClock(), Events("test", io.StringIO()))
    log.create("raw", 1)
    log.open_writer(RAW).append([b"0", b"1", b"2"])
    for group, end in (ends or {}).items():
        consumer = log.open_consumer(group, ["raw"])
        assert consumer.poll(10, 1 << 20, 10) is not None
        consumer.commit({RAW: end})
        consumer.close()
    return log


def open_kafka(server: str, folder: Path) -> Log:
    log = open_log(kafka_settings(server, folder), folder, SystemClock(), Events("test", io.StringIO()))
    log.create("raw", 1)
    return log


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake that has read two records."""
    events = Events("test", io.StringIO())
    lake = open_lake(CatalogSettings(), ObjectsSettings(), tmp_path, SystemClock(), events)
    rows = pa.table({"n": pa.array([1, 2], pa.int64())})
    lake.ensure("shop.order_v1", rows.schema)
    lake.commit("shop.order_v1", rows, {"raw/0": Span(None, 2)})
    return lake


def test_files_that_were_forwarded_are_not_loaded_directly(tmp_path: Path, lake: Lake) -> None:
    log = open_files(tmp_path, {"forwarder": 1})
    with pytest.raises(BadConfig, match="was in Kafka and is in files now"):
        refuse_another_log(log, log, lake)
    log.close()


def test_files_that_were_loaded_stay_the_log(tmp_path: Path, lake: Lake) -> None:
    log = open_files(tmp_path, {"loader": 2})
    refuse_another_log(log, log, lake)
    with pytest.raises(BadConfig, match="was in files and is in Kafka now"):
        refuse_another_log(open_files(tmp_path / "other"), log, lake)
    log.close()


def test_a_topic_with_less_than_the_lake_has_read_is_another(kafka_server: str, tmp_path: Path, lake: Lake) -> None:
    log, edge_log = open_kafka(kafka_server, tmp_path), open_files(tmp_path)
    with pytest.raises(BadConfig, match="raw/0 has 0 records, and the lake has read 2"):
        refuse_another_log(log, edge_log, lake)
    log.open_writer(RAW).append([b"0", b"1"])
    refuse_another_log(log, edge_log, lake)
    log.close()
    edge_log.close()
