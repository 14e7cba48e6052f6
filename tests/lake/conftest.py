"""A lake in a folder of its own."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catchment.clock import ManualClock
from catchment.events import Events
from catchment.lake.open import open_lake
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.lake.tables import Lake


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_900_000_000_000_000_000)


@pytest.fixture
def events() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def reopen(tmp_path: Path, clock: ManualClock, events: io.StringIO) -> Iterator[Callable[[], Lake]]:
    """Opens the test's lake again, as another process would."""
    opened: list[Lake] = []

    def make() -> Lake:
        lake = open_lake(CatalogSettings(), ObjectsSettings(), tmp_path, clock, Events("test", events))
        opened.append(lake)
        return lake

    yield make
    for lake in opened:
        lake.close()


@pytest.fixture
def lake(reopen: Callable[[], Lake]) -> Lake:
    return reopen()
