"""What the console needs from the platform. The assembly implements it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from catchment.clock import Clock
from catchment.log.port import Log
from catchment.query.port import QueryEngine

if TYPE_CHECKING:
    from catchment.lake.tables import Lake


class Platform(Protocol):
    """Parts of the running platform. `engine` and `lake` are heavy: the console asks for them with the first query or
    the first list of tables, from one thread at a time."""

    @property
    def home(self) -> Path: ...

    @property
    def clock(self) -> Clock: ...

    def log(self) -> Log: ...

    def engine(self) -> QueryEngine: ...

    def lake(self) -> Lake: ...
