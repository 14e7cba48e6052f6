"""The forwarder loses nothing, whenever it is killed; keeps order; waits for brokers; puts aside what is not taken."""

from __future__ import annotations

import io
import multiprocessing
import random
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from catchment.clock import SystemClock
from catchment.events import Events
from catchment.ingestion.forwarder.loop import ASIDE, GROUP, Forwarder
from catchment.ingestion.forwarder.progress import Progress
from catchment.ingestion.forwarder.settings import ForwarderSettings
from catchment.log.kafka.keys import key_of
from catchment.log.kafka.log import KafkaLog
from catchment.log.open import open_log
from catchment.log.port import TopicPartition
from tests.engines import free_port
from tests.forwarder import forwarding

_children = multiprocessing.get_context("forkserver")


def run_child(home: Path, server: str, die_at: int | None, journal: Path | None = None) -> int:
    child = _children.Process(target=forwarding.forward, args=(home, server, die_at, journal))
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


def firsts(payloads: list[bytes]) -> list[bytes]:
    """Each payload where it came first."""
    return list(dict.fromkeys(payloads))


def check(accepted: list[list[bytes]], arrived: list[list[bytes]]) -> None:
    """All is there; of one partition of the edge, what came into one partition came in its order."""
    assert {payload for part in arrived for payload in part} == {payload for part in accepted for payload in part}
    place = {payload: (part, number) for part, sent in enumerate(accepted) for number, payload in enumerate(sent)}
    for part in arrived:
        for source in range(len(accepted)):
            numbers = [place[payload][1] for payload in firsts(part) if place[payload][0] == source]
            assert numbers == sorted(numbers)


def test_all_comes_once_in_order_keyed_by_document_id(kafka_server: str, tmp_path: Path) -> None:
    accepted = forwarding.fill(tmp_path, kafka_server)
    forwarding.forward(tmp_path, kafka_server, journal=tmp_path / "journal")
    arrived = forwarding.arrived(tmp_path, kafka_server)
    check(accepted, arrived)
    assert sum(map(len, arrived)) == sum(map(len, accepted))
    assert all(arrived)
    assert {point.split()[0] for point in (tmp_path / "journal").read_text().splitlines()} == {
        "batch_sent",
        "confirmed",
        "checkpointed",
    }
    assert key_of(arrived[0][0]) is not None


@pytest.mark.parametrize("die_at", [1, 3, 5, 8])
def test_a_kill_at_any_point_loses_nothing(kafka_server: str, tmp_path: Path, die_at: int) -> None:
    accepted = forwarding.fill(tmp_path, kafka_server)
    assert run_child(tmp_path, kafka_server, die_at) == -signal.SIGKILL
    forwarding.forward(tmp_path, kafka_server)
    check(accepted, forwarding.arrived(tmp_path, kafka_server))
    local = forwarding.edge_log(tmp_path, forwarding.kafka_settings(kafka_server, tmp_path))
    assert forwarding.is_forwarded(local)
    local.close()


def test_the_edges_segments_go_only_behind_the_forwarder(kafka_server: str, tmp_path: Path) -> None:
    forwarding.fill(tmp_path, kafka_server)
    local = forwarding.edge_log(tmp_path, forwarding.kafka_settings(kafka_server, tmp_path))
    sources = [TopicPartition("raw", number) for number in range(forwarding.EDGE_PARTITIONS)]
    local.enforce()
    assert [local.bounds(source).start for source in sources] == [0, 0]
    forwarding.forward(tmp_path, kafka_server)
    local.enforce()
    assert all(local.bounds(source).start > 0 for source in sources)
    local.close()


def limited(server: str, topic: str, size_bytes: int) -> None:
    admin = AdminClient({"bootstrap.servers": server, "log_level": 0})
    entry = ConfigEntry("max.message.bytes", str(size_bytes), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result()


def test_what_the_topic_does_not_take_is_put_aside_and_tried_again(kafka_server: str, tmp_path: Path) -> None:
    forwarding.fill(tmp_path, kafka_server)
    log = forwarding.kafka_log(tmp_path, kafka_server)
    log.create("raw", forwarding.PARTITIONS)
    limited(kafka_server, log.broker.named("raw"), 50_000)
    local = forwarding.edge_log(tmp_path, forwarding.kafka_settings(kafka_server, tmp_path))
    large = forwarding.submission(9, 9, random.Random(1).randbytes(100_000))
    writer = local.open_writer(TopicPartition("raw", 0))
    writer.append([large, forwarding.submission(9, 10)])
    writer.close()
    forwarding.forward(tmp_path, kafka_server)
    arrived = [payload for part in forwarding.arrived(tmp_path, kafka_server) for payload in part]
    assert large not in arrived
    assert forwarding.submission(9, 10) in arrived
    reader = local.open_reader(ASIDE, 0)
    assert [record.payload for record in reader.read(10, 1 << 30, 0)] == [large]

    limited(kafka_server, log.broker.named("raw"), 9_000_000)
    writer = local.open_writer(TopicPartition("raw", 0))
    writer.append([forwarding.submission(9, 11)])
    writer.close()
    forwarding.forward(tmp_path, kafka_server)
    arrived = [payload for part in forwarding.arrived(tmp_path, kafka_server) for payload in part]
    assert (arrived.count(large), arrived.count(forwarding.submission(9, 11))) == (1, 1)
    assert local.committed(GROUP, ASIDE) == 1
    local.close()
    log.close()


def test_it_waits_for_brokers_says_so_and_stops_when_told(tmp_path: Path) -> None:
    server = f"127.0.0.1:{free_port()}"
    forwarding.fill(tmp_path, server)
    settings = forwarding.kafka_settings(server, tmp_path)
    local, told = forwarding.edge_log(tmp_path, settings), io.StringIO()
    hasty = replace(settings, kafka=(("socket.timeout.ms", "1000"),))
    log = open_log(hasty, tmp_path, SystemClock(), Events("kafka", told))
    assert isinstance(log, KafkaLog)
    forwarder = Forwarder(
        ForwarderSettings(), local, lambda: log.open_keyed("raw", 1), SystemClock(), Events("forwarder", told)
    )
    assert forwarder.check() == []
    thread = threading.Thread(target=forwarder.run)
    thread.start()
    while not forwarder.last_error:
        thread.join(0.05)
    assert [finding.code for finding in forwarder.check()] == ["forwarder_waits"]
    forwarder.stop()
    thread.join()
    assert local.committed(GROUP, TopicPartition("raw", 0)) is None
    assert "forwarder_waits" in told.getvalue()
    local.close()
    log.close()


def test_a_checkpoint_stands_before_the_first_gap() -> None:
    progress = Progress()
    assert progress.checkpoint is None
    for offset in (3, 4, 7):
        progress.sent(offset)
    progress.confirmed(4)
    assert (progress.checkpoint, progress.waiting) == (3, 3)
    progress.confirmed(3)
    assert (progress.checkpoint, progress.waiting) == (7, 1)
    progress.confirmed(7)
    assert (progress.checkpoint, progress.waiting) == (8, 0)
