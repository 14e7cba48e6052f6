"""The whole platform on Kafka, as real processes: edge, forwarder, loaders, SQL, while parts of it are away."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Producer

from catchment.clock import SystemClock
from catchment.events import Events
from catchment.lake.open import open_lake
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from tests.engines import Kafka, engine_folder, engine_home, new_kafka
from tests.firefox.running import COMMAND, Running, running
from tests.loader.scene import column, write_schemas

WITHIN_S = 120.0
TABLE = "shop.order_v1"


@pytest.fixture(scope="module")
def kafka() -> Iterator[Kafka]:
    """A broker that these tests stop and start."""
    engine_folder("kafka")
    with engine_home() as folder:
        yield new_kafka(folder)


def settings_of(kafka: Kafka, folder: Path) -> dict[str, str]:
    return {
        "CATCHMENT_LOG__URL": f"kafka://{kafka.address}/platform",
        "CATCHMENT_LOG__PARTITIONS": "4",
        "CATCHMENT_LOG__SESSION_TIMEOUT_S": "6",
        "CATCHMENT_LOG__KAFKA__SOCKET_TIMEOUT_MS": "2000",
        "CATCHMENT_LOG__KAFKA__TOPIC_METADATA_REFRESH_INTERVAL_MS": "500",
        "CATCHMENT_LEDGER__PERIOD_S": "0.5",
        "CATCHMENT_SCHEMAS__PATHS": str(write_schemas(folder)),
    }


def send(platform: Running, ids: list[str]) -> None:
    """Each is answered 200."""
    client = http.client.HTTPConnection("127.0.0.1", platform.edge_port, timeout=WITHIN_S)
    for number, document_id in enumerate(ids):
        client.request("POST", f"/submit/shop/order/1/{document_id}", json.dumps({"item": str(number)}))
        answer = client.getresponse()
        answer.read()
        assert answer.status == 200
    client.close()


def fresh(count: int) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(count)]


def pid_of(platform: Running, service: str) -> int:
    found: int = json.loads((platform.home / "run" / f"{service}.json").read_text(encoding="utf-8"))["pid"]
    return found


def await_true(is_met: Callable[[], bool]) -> None:
    ends_at_s = time.monotonic() + WITHIN_S
    while not is_met():
        assert time.monotonic() < ends_at_s
        time.sleep(0.5)


def stored(platform: Running) -> Sequence[object]:
    """The document ids in the table, looked up in this process: a command for each look would take longer."""
    events = Events("test", io.StringIO())
    lake = open_lake(CatalogSettings(), ObjectsSettings(), platform.home, SystemClock(), events)
    return column(lake, TABLE, "document_id") if TABLE in lake.tables() else []


def spoil(kafka: Kafka) -> None:
    """A foreign writer's records, which are no messages."""
    foreign = Producer({"bootstrap.servers": kafka.address, "log_level": 0})
    for value in (None, b"not a message"):
        foreign.produce("platform.raw", value)
    assert foreign.flush(WITHIN_S) == 0


def asked(platform: Running, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *command], env=platform.environment, capture_output=True, text=True, check=False)


def balanced(platform: Running) -> bool:
    """Whether the ledger has counted all of it, and finds nothing missing."""
    found = json.loads(asked(platform, "ledger", "--format", "json").stdout)
    return bool(found["lines"]) and all(line["state"] == "balanced" for line in found["lines"])


def has(platform: Running, text: str) -> bool:
    return any(text in log for _, log in platform.logs())


def test_nothing_is_lost_and_nothing_doubled_whatever_is_away(kafka: Kafka, tmp_path: Path) -> None:
    first, during, late = fresh(100), fresh(300), fresh(100)
    with kafka.running() as broker, running(tmp_path, settings_of(kafka, tmp_path)) as platform:
        send(platform, first)
        await_true(lambda: stored(platform) == sorted(first))

        broker.kill()  # for the whole of a load; the edge must not notice
        broker.wait()
        send(platform, during[:200])
        os.kill(pid_of(platform, "forwarder-0"), signal.SIGKILL)
        send(platform, during[200:])
        assert asked(platform, "status").returncode == 1
        with kafka.running():
            await_true(lambda: stored(platform) == sorted(first + during))

            other = subprocess.Popen([*COMMAND, "run", "loader", "--number", "1"], env=platform.environment)
            try:
                await_true(lambda: has(platform, "partition_revoked"))
                send(platform, [*first[:50], *late])  # 50 of them again
                await_true(lambda: stored(platform) == sorted(first + during + late))
            finally:
                other.kill()
                other.wait()
            more = fresh(100)
            send(platform, more)
            spoil(kafka)
            await_true(lambda: stored(platform) == sorted(first + during + late + more))
            await_true(lambda: balanced(platform))
            receipt = asked(platform, "receipt", more[0])
            assert "stage     stored" in receipt.stdout, receipt
            assert "raw" in asked(platform, "status").stdout
            assert platform.sql(f"select count(distinct document_id) as ids from {TABLE}") == [{"ids": 600}]
            spoilt = platform.sql("select code from monitoring.errors")
            assert [row["code"] for row in spoilt] == ["message_malformed"] * 2
            platform.stop()
