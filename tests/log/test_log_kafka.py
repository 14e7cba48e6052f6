"""What is Kafka's own: retention that waits for nobody, a topic that takes less, foreign records, options, prefixes."""

from __future__ import annotations

import io
import random
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from catchment.clock import SystemClock
from catchment.errors import BadConfig, Missing, TooLarge, Unavailable, Unknown
from catchment.events import Events
from catchment.log.kafka.broker import MAX_MESSAGE_BYTES
from catchment.log.kafka.keys import key_of
from catchment.log.kafka.log import KafkaLog
from catchment.log.open import open_edge_log, open_log
from catchment.log.port import Bounds, Consumer, Record, Retention, TopicPartition
from catchment.log.settings import LogSettings, retention_of
from catchment.message import Field, Message, encode
from tests.engines import free_port
from tests.log.backends import WITHIN_S, kafka_settings

RAW = TopicPartition("raw", 0)
MANY = 1 << 30
DOCUMENT_ID = "0F3a1c22-7a3b-4c1d-9e8f-0123456789ab"


def opened(settings: LogSettings, folder: Path, told: io.StringIO | None = None) -> KafkaLog:
    log = open_log(settings, folder, SystemClock(), Events("test", told or io.StringIO()))
    assert isinstance(log, KafkaLog)
    return log


@lru_cache
def admin_of(server: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": server, "log_level": 0})


def configured(server: str, topic: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    entries: Any = admin_of(server).describe_configs([resource])[resource].result()
    return {name: entry.value for name, entry in entries.items()}


def lower(server: str, topic: str) -> None:
    """Let the topic take 10,000 bytes at most."""
    less = ConfigEntry("max.message.bytes", "10000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[less])
    admin_of(server).incremental_alter_configs([resource])[resource].result()


def polled(consumer: Consumer, count: int) -> list[Record]:
    found: list[Record] = []
    ends_at_s = time.monotonic() + WITHIN_S
    while len(found) < count:
        batch = consumer.poll(1000, MANY, max(ends_at_s - time.monotonic(), 0))
        assert batch is not None, f"{len(found)} of {count} records came within {WITHIN_S} s"
        found += batch.records
    return found


def test_topics_are_made_with_what_the_settings_say(kafka_server: str, tmp_path: Path) -> None:
    log = opened(kafka_settings(kafka_server, tmp_path), tmp_path)
    log.create("raw", 2)
    named = log.broker.named("raw")
    made = configured(kafka_server, named)
    assert made["retention.ms"] == str(7 * 86_400_000)
    assert made["retention.bytes"] == str(20 * 1024**3 // 2)
    assert (made["cleanup.policy"], made["max.message.bytes"]) == ("delete", str(MAX_MESSAGE_BYTES))
    log.create("raw", 2, Retention(max_age_s=60.0))
    changed = configured(kafka_server, named)
    assert (changed["retention.ms"], changed["retention.bytes"]) == ("60000", "-1")
    log.close()


def test_logs_with_other_prefixes_do_not_see_each_other(kafka_server: str, tmp_path: Path) -> None:
    first, second = (opened(kafka_settings(kafka_server, tmp_path / name), tmp_path) for name in "ab")
    first.create("raw", 1)
    assert (first.topics(), second.topics()) == ({"raw": 1}, {})
    first.close()
    second.close()


def test_what_retention_removed_before_it_was_read_is_named(kafka_server: str, tmp_path: Path) -> None:
    told = io.StringIO()
    log = opened(kafka_settings(kafka_server, tmp_path), tmp_path, told)
    log.create("raw", 1)
    log.open_writer(RAW).append([b"%d" % number for number in range(10)])
    lost: list[tuple[TopicPartition, range]] = []
    first = log.open_consumer("group", ["raw"])
    polled(first, 10)
    first.commit({RAW: 2})
    first.close()
    place = KafkaPartition(log.broker.named("raw"), 0, 6)
    admin_of(kafka_server).delete_records([place])[place].result()
    assert log.bounds(RAW) == Bounds(6, 10)
    second = log.open_consumer("group", ["raw"], on_lost=lambda source, offsets, why: lost.append((source, offsets)))
    assert [record.offset for record in polled(second, 4)] == [6, 7, 8, 9]
    assert lost == [(RAW, range(2, 6))]
    assert "error test gap" in told.getvalue()
    reader = log.open_reader(RAW, 3)
    with pytest.raises(Missing, match="6 is the first one kept"):
        reader.read(1, MANY, 0)
    assert reader.position == 3
    log.close()


def test_a_group_that_committed_more_than_is_there_waits_for_it(kafka_server: str, tmp_path: Path) -> None:
    told = io.StringIO()
    log = opened(kafka_settings(kafka_server, tmp_path), tmp_path, told)
    log.create("raw", 1)
    writer = log.open_writer(RAW)
    writer.append([b"0"])
    first = log.open_consumer("group", ["raw"])
    polled(first, 1)
    first.commit({RAW: 3})
    first.close()
    second = log.open_consumer("group", ["raw"])
    assert second.poll(1, 1, 3.0) is None
    assert "committed_beyond_end" in told.getvalue()
    writer.append([b"1", b"2", b"3"])
    assert polled(second, 1) == [Record(3, b"3")]
    log.close()


def test_a_topic_that_takes_less_refuses_with_what_to_raise(kafka_server: str, tmp_path: Path) -> None:
    log = opened(kafka_settings(kafka_server, tmp_path), tmp_path)
    log.create("raw", 1)
    lower(kafka_server, log.broker.named("raw"))
    noise = random.Random(1).randbytes(100_000)
    with pytest.raises(TooLarge, match=f"max.message.bytes of the topic to {MAX_MESSAGE_BYTES}"):
        log.open_writer(RAW).append([noise])
    assert log.bounds(RAW) == Bounds(0, 0)
    log.close()


def test_a_limit_that_was_lowered_meanwhile_ends_the_writer_and_not_the_log(kafka_server: str, tmp_path: Path) -> None:
    log = opened(kafka_settings(kafka_server, tmp_path), tmp_path)
    log.create("raw", 1)
    writer = log.open_writer(RAW)
    lower(kafka_server, log.broker.named("raw"))
    with pytest.raises((TooLarge, Unknown), match="too large"):
        writer.append([b"0", random.Random(1).randbytes(100_000), b"2"])
    with pytest.raises(Unknown):
        writer.append([b"3"])
    assert log.open_writer(RAW).append([b"after"])
    log.close()


def test_foreign_records_come_as_they_are(kafka_server: str, tmp_path: Path) -> None:
    log = opened(kafka_settings(kafka_server, tmp_path), tmp_path)
    log.create("raw", 1)
    foreign = Producer({"bootstrap.servers": kafka_server, "log_level": 0})
    for value in (None, b"", b"not a message"):
        foreign.produce(log.broker.named("raw"), value, b"key")
    assert foreign.flush(WITHIN_S) == 0
    assert [record.payload for record in polled(log.open_consumer("group", ["raw"]), 3)] == [b"", b"", b"not a message"]
    log.close()


def test_away_brokers_are_told_once_and_named(tmp_path: Path) -> None:
    told = io.StringIO()
    url = f"kafka://127.0.0.1:{free_port()}"
    log = opened(LogSettings(url, kafka=(("socket.timeout.ms", "1000"),)), tmp_path, told)
    with pytest.raises(Unavailable, match=r"\[log\] url"):
        log.topics()
    assert told.getvalue().count("kafka_away") <= 1
    log.close()


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ((("acks", "1"),), r"\[log.kafka\] acks is set by Catchment"),
        ((("sasl.user", "me"),), "No such configuration property"),
        ((("security.protocol", "tls"),), "security.protocol"),
        ((("security.protocol", "SSL"), ("ssl.ca.location", "/nowhere/ca.pem")), "ssl.ca.location failed"),
    ],
)
def test_options_go_to_the_library_and_are_refused_by_name(
    tmp_path: Path, options: tuple[tuple[str, str], ...], names: str
) -> None:
    with pytest.raises(BadConfig, match=names):
        opened(LogSettings("kafka://127.0.0.1:1", kafka=options), tmp_path)


@pytest.mark.parametrize(
    "url", ["kafka:", "kafka:broker:9092", "kafka://", "kafka://a:1,,b:1", "kafka://a:1/two/parts"]
)
def test_a_url_without_brokers_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadConfig):
        open_log(LogSettings(url), tmp_path, SystemClock(), Events("test", io.StringIO()))


def test_the_edges_own_log_waits_for_the_forwarder(tmp_path: Path) -> None:
    settings = LogSettings("kafka://a:1")
    assert retention_of(settings, "raw").held_by == ("forwarder",)
    with pytest.raises(BadConfig, match=r"\[edge\] log"):
        open_edge_log("kafka://a:1", settings, tmp_path, SystemClock(), Events("test", io.StringIO()))


def message(**fields: str) -> bytes:
    told = [Field(name, (value,)) for name, value in fields.items()]
    return encode(Message(bytes(16), 1, "raw", "moz_ingest", fields=told))


@pytest.mark.parametrize(
    ("payload", "key"),
    [
        (message(uri=f"/submit/telemetry/{DOCUMENT_ID}/main/Firefox/61.0/release/1"), DOCUMENT_ID.lower().encode()),
        (message(remote_addr="::1", uri=f"/submit/a/b/1/{DOCUMENT_ID}"), DOCUMENT_ID.lower().encode()),
        (message(namespace="a", documentId=DOCUMENT_ID), DOCUMENT_ID.lower().encode()),
        (message(uri="/submit/a/b/1/none"), None),
        (message(documentId=DOCUMENT_ID)[:-9], None),
        (message(uri=f"/{'x' * 300}/{DOCUMENT_ID}"), DOCUMENT_ID.lower().encode()),
        (b"", None),
        (b"\x0a\x03uri\x22\xff\xff\xff\xff\xff", None),
    ],
)
def test_the_key_is_the_document_id(payload: bytes, key: bytes | None) -> None:
    assert key_of(payload) == key
