"""What the console needs from the platform. The assembly implements it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from catchment.clock import Clock
from catchment.ingestion.ledger.settings import LedgerSettings
from catchment.log.port import Log
from catchment.query.port import QueryEngine

if TYPE_CHECKING:
    from catchment.database.database import Database
    from catchment.ingestion.inspection.receipts import Receipts
    from catchment.ingestion.landfill.shelf import Landfill
    from catchment.lake.tables import Lake
    from catchment.schemas.adding import Added
    from catchment.schemas.registry import Registry


class Platform(Protocol):
    """Parts of the running platform. All but the first three are heavy: the console asks for them when somebody wants
    what they know, from one thread at a time."""

    @property
    def home(self) -> Path: ...

    @property
    def clock(self) -> Clock: ...

    def log(self) -> Log: ...

    def engine(self) -> QueryEngine: ...

    def lake(self) -> Lake: ...

    def registry(self) -> Registry: ...

    def add_schema(self, namespace: str, doctype: str, version: int, content: bytes) -> Added:
        """As `catchment.schemas.adding.add_schema`."""
        ...

    def receipts(self) -> Receipts: ...

    def database(self) -> Database: ...

    def landfill(self) -> Landfill: ...

    def ledger_settings(self) -> LedgerSettings: ...
