"""A writer that is killed, whose disk fails, or whose machine loses power, at thousands of seeded points."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.log.crashes import Expectation, lose_power, run_child

SEEDS_A_SHARD = 50
GENERATIONS = 3


def live_through(root: Path, seed: int, failure_rate: float, *, power_fails: bool) -> int:
    """Let generation after generation work on one log and die; compare after each. Returns how many were killed."""
    root.mkdir()
    chance = random.Random(-seed)
    expectation = Expectation()
    history: list[str] = []
    killed = 0
    for generation in range(GENERATIONS):
        lines = run_child(root, seed, generation, failure_rate)
        killed += "end" not in lines
        history += lines
        if power_fails:
            lose_power(root, history, chance)
        expectation.take(lines)
        expectation.compare(root)
        segments = list(root.rglob("*.log"))  # as the comparing writer left them: synced
        history += [f"create {path}" for path in segments] + [f"directory {path.parent}" for path in segments]
        history += [f"sync {path.stat().st_size} {path}" for path in segments]
    shutil.rmtree(root)
    return killed


@pytest.mark.parametrize("shard", range(8))
def test_what_was_acknowledged_survives_a_kill_at_any_operation(tmp_path: Path, shard: int) -> None:
    seeds = range(shard * SEEDS_A_SHARD, (shard + 1) * SEEDS_A_SHARD)
    killed = sum(live_through(tmp_path / str(seed), seed, 0.0, power_fails=False) for seed in seeds)
    assert killed > len(seeds) * GENERATIONS // 2, "too few were killed for this test to mean anything"


@pytest.mark.parametrize("shard", range(8, 12))
def test_what_was_acknowledged_survives_kills_on_a_failing_disk_and_nothing_refused_appears(
    tmp_path: Path, shard: int
) -> None:
    seeds = range(shard * SEEDS_A_SHARD, (shard + 1) * SEEDS_A_SHARD)
    killed = sum(live_through(tmp_path / str(seed), seed, 0.05, power_fails=False) for seed in seeds)
    assert killed > len(seeds) * GENERATIONS // 2, "too few were killed for this test to mean anything"


@pytest.mark.parametrize("shard", range(12, 16))
def test_what_was_acknowledged_survives_a_loss_of_power(tmp_path: Path, shard: int) -> None:
    seeds = range(shard * SEEDS_A_SHARD, (shard + 1) * SEEDS_A_SHARD)
    killed = sum(live_through(tmp_path / str(seed), seed, 0.0, power_fails=True) for seed in seeds)
    assert killed > len(seeds) * GENERATIONS // 2, "too few were killed for this test to mean anything"
