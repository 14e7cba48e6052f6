"""Makes the parts that look at single pings, from the parts of a platform."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from catchment.clock import Clock
from catchment.events import Events
from catchment.ingestion.decoder.chain import Decoder
from catchment.ingestion.decoder.geo import Geo
from catchment.ingestion.decoder.settings import DecoderSettings, GeoSettings
from catchment.ingestion.deduplication import DIRECTORY, DeduplicationSettings
from catchment.ingestion.inspection.failures import Failures
from catchment.ingestion.inspection.receipts import Receipts
from catchment.lake.tables import Lake
from catchment.log.port import Log
from catchment.query.port import QueryEngine
from catchment.schemas.registry import Registry


def open_receipts(
    home: Path,
    log: Log,
    engine: Callable[[], QueryEngine],
    lake: Callable[[], Lake],
    registry: Registry,
    window: DeduplicationSettings,
    clock: Clock,
    events: Events,
) -> Receipts:
    """Receipts of a home. A receipt tells no place, so its decoder looks none up."""
    decoder = Decoder(registry, Geo(GeoSettings(), clock, events), DecoderSettings())
    failures = Failures(log, engine, lake)
    return Receipts(log, engine, registry, decoder, failures, home / DIRECTORY, window)
