"""The acceptance test: what a real Firefox sends can be queried within 10 seconds, and its address is kept nowhere.

    Firefox ──POST──▶ edge ──▶ raw ──▶ loader ──▶ telemetry.main_v4 ──▶ catchment sql
                               │ └ read here: when each ping arrived, and what it holds

It runs with the schema set that Catchment ships and, where they are on this machine, with the real schemas of Firefox's
pings.
"""

from __future__ import annotations

import gzip
import json
import re
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from catchment import message
from catchment.clock import SystemClock
from catchment.events import Events
from catchment.log.open import open_log
from catchment.log.port import Log, TopicPartition
from catchment.log.settings import LogSettings
from tests.firefox.browser import firefox, is_installed
from tests.firefox.running import Running, running

pytestmark = [
    pytest.mark.firefox,
    pytest.mark.skipif(not is_installed(), reason="firefox-esr is not installed; run scripts/system-packages as root"),
]

ARRIVES_WITHIN_S = 60.0
VISIBLE_WITHIN_S = 10.0
ADDRESS = re.compile(rb"(?<![0-9a-fA-F:.])(127\.0\.0\.1|::1)(?![0-9a-fA-F:.])")
OUTPUTS = ("decoded", "errors", "duplicates")


@dataclass(frozen=True)
class Ping:
    """One submission as topic `raw` holds it."""

    path: str
    arrived_s: float
    """Seconds since the epoch, by the edge's stamp."""
    address: str
    content: dict[str, Any]

    @property
    def kind(self) -> str:
        """Doctype: fourth in Firefox's form of the path, second in the generic one."""
        parts = self.path.split("/")
        return parts[4] if parts[2] == "telemetry" else f"{parts[2]}.{parts[3]}"


def pings(log: Log) -> Generator[Ping, None, None]:
    """Submissions as they become durable; each is waited for until ARRIVES_WITHIN_S have passed."""
    reader = log.open_reader(TopicPartition("raw", 0), 0)
    ends_at = time.monotonic() + ARRIVES_WITHIN_S
    try:
        while (left_s := ends_at - time.monotonic()) > 0:
            for record in reader.read(1, 1, left_s):
                raw = message.decode(record.payload)
                fields = {field.name: field.value for field in raw.fields}
                content = json.loads(gzip.decompress(fields["content"]))
                yield Ping(fields["uri"], raw.timestamp / 1e9, fields["remote_addr"], content)
    finally:
        reader.close()


def wait_for(arriving: Iterator[Ping], *kinds: str) -> dict[str, Ping]:
    """The first ping of each kind."""
    found: dict[str, Ping] = {}
    for ping in arriving:
        found.setdefault(ping.kind, ping)
        if set(kinds) <= set(found):
            return found
    pytest.fail(f"waited {ARRIVES_WITHIN_S} s for {kinds}, and only {sorted(found)} came")


@pytest.fixture(params=["schemas of Catchment", "schemas of Firefox"])
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    settings = {}
    if request.param == "schemas of Firefox":
        shared: Path = request.getfixturevalue("shared_data")
        settings["CATCHMENT_SCHEMAS__PATHS"] = str(shared / "pipeline-schemas" / "schemas")
        settings["CATCHMENT_SCHEMAS__BUILTIN"] = "false"
    with running(tmp_path, settings) as started:
        yield started


@pytest.fixture
def log(platform: Running) -> Iterator[Log]:
    opened = open_log(LogSettings(), platform.home, SystemClock(), Events("test"))
    yield opened
    opened.close()


def test_what_firefox_sends_is_queried_within_seconds_and_its_address_is_kept_nowhere(
    platform: Running, log: Log, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with firefox(tmp_path / "firefox", platform.edge_port) as browser:
        arriving = pings(log)
        first = wait_for(arriving, "new-profile", "firefox-desktop.baseline")
        browser.ask_to_quit()
        main = wait_for(arriving, "main")["main"]

        histogram, expected = largest_histogram(main.content)
        row, visible_after_s = query_until_visible(platform, main, histogram)
        record_property("visible_after_s", round(visible_after_s, 2))
        assert row["client_id"] == browser.client_id
        assert row["build_id"] == browser.build_id
        assert row["reason"] == "shutdown"
        assert row["histogram_sum"] == expected
        assert visible_after_s <= VISIBLE_WITHIN_S, f"{visible_after_s:.1f} s from arrival to SQL"
        browser.wait_for_exit()
        arriving.close()

    assert {ping.address for ping in (main, *first.values())} <= {"127.0.0.1", "::1"}, "raw knows the address"
    new_profile = platform.sql(
        f"select client_id from telemetry.new_profile_v4 where client_id = '{browser.client_id}'"
    )
    assert len(new_profile) == 1
    baseline = first["firefox-desktop.baseline"].content["client_info"]["client_id"]
    assert uuid.UUID(baseline) != uuid.UUID(browser.client_id)
    assert platform.sql(
        f"select 1 as found from firefox_desktop.baseline_v1 where client_info.client_id = '{baseline}'"
    ) == [{"found": 1}]

    platform.stop()
    received, accounted = count(log)
    assert accounted == received
    assert addresses_in_outputs(log) == []
    assert addresses_in_lake(platform.home) == []
    assert addresses_in_logs(platform) == []


def largest_histogram(content: dict[str, Any]) -> tuple[str, int]:
    """Name and sum of the histogram of the parent process that counted most."""
    sums = {name: histogram["sum"] for name, histogram in content["payload"]["histograms"].items()}
    name = max(sums, key=lambda each: sums[each])
    assert sums[name] > 0
    return name, sums[name]


def query_until_visible(platform: Running, main: Ping, histogram: str) -> tuple[dict[str, Any], float]:
    """The row of the ping and the seconds from its arrival to the end of the query that returned it."""
    query = f"""
        select client_id, application.build_id as build_id, payload.info.reason as reason,
               payload.histograms['{histogram}'].sum as histogram_sum
        from telemetry.main_v4
        where document_id = '{main.path.split("/")[3]}'
    """
    while True:
        rows = platform.sql(query)
        took_s = time.time() - main.arrived_s
        if rows:
            assert len(rows) == 1
            return rows[0], took_s
        assert took_s < 3 * VISIBLE_WITHIN_S, f"not visible {took_s:.0f} s after its arrival"


def count(log: Log) -> tuple[int, int]:
    """How many submissions came in, and how many records the loader made of them."""
    ends = {
        topic: sum(log.bounds(TopicPartition(topic, number)).end for number in range(partitions))
        for topic, partitions in log.topics().items()
    }
    return ends["raw"], sum(ends.get(topic, 0) for topic in OUTPUTS)


def addresses_in_outputs(log: Log) -> list[str]:
    found = []
    for topic, partitions in log.topics().items():
        for number in range(partitions if topic in OUTPUTS else 0):
            reader = log.open_reader(TopicPartition(topic, number), 0)
            while records := reader.read(100, 1 << 20, 0):
                found += [f"{topic}: {record.payload!r}" for record in records if ADDRESS.search(record.payload)]
            reader.close()
    return found


def addresses_in_lake(home: Path) -> list[str]:
    """Rows of any table, as text, that hold the client's address."""
    files = sorted(home.rglob("*.parquet"))
    assert files
    found = []
    with duckdb.connect() as connection:
        for file in files:
            rows = connection.execute("select cast(t as varchar) from read_parquet(?) t", [str(file)]).fetchall()
            assert rows
            found += [f"{file}: {text}" for (text,) in rows if ADDRESS.search(text.encode())]
    return found


def addresses_in_logs(platform: Running) -> list[str]:
    return [
        f"{path.name}: {line}"
        for path, text in platform.logs()
        for line in text.splitlines()
        if ADDRESS.search(line.encode())
    ]
