"""The schedule of faults is data: drawn from a seed, whole, in order."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from click.testing import CliRunner

from catchment.cli.main import cli
from catchment.torture.schedule import FARTHEST_CLOCK_S, KINDS, plan
from catchment.torture.stage import SERVICES


def test_the_same_seed_gives_the_same_faults_and_another_one_others() -> None:
    assert plan(7, 1000, 50, SERVICES) == plan(7, 1000, 50, SERVICES)
    assert plan(7, 1000, 50, SERVICES) != plan(8, 1000, 50, SERVICES)


@pytest.mark.parametrize("faults", [0, 1, 7, 100])
def test_a_schedule_has_its_faults_in_order_over_the_whole_run_and_of_every_kind(faults: int) -> None:
    schedule = plan(1, 10_000, faults, SERVICES)
    assert [fault.number for fault in schedule] == list(range(1, faults + 1))
    assert [fault.at for fault in schedule] == sorted(fault.at for fault in schedule)
    assert all(0 < fault.at < 10_000 for fault in schedule)
    assert len(Counter(fault.kind for fault in schedule)) == min(faults, len(KINDS))


def test_a_tear_meets_an_edge_and_clocks_stay_within_the_window_of_deduplication() -> None:
    schedule = plan(3, 10_000, 500, SERVICES)
    assert {fault.target for fault in schedule if fault.kind == "tear"} == {"edge-0", "edge-1"}
    clocks = [fault.amount for fault in schedule if fault.kind == "clock"]
    assert clocks
    assert max(map(abs, clocks)) <= FARTHEST_CLOCK_S


def test_a_dry_run_prints_the_schedule_and_touches_nothing() -> None:
    ran = CliRunner().invoke(cli, ["torture", "--dry-run", "--pings", "500", "--faults", "9", "--format", "json"])
    assert ran.exit_code == 0, ran.output
    assert [fault["kind"] for fault in json.loads(ran.stdout)] == [fault.kind for fault in plan(1, 500, 9, SERVICES)]
