"""Makes receipts of the parts of a platform."""

from __future__ import annotations

from pathlib import Path

from catchment.clock import Clock
from catchment.events import Events
from catchment.ingestion.decoder.chain import Decoder
from catchment.ingestion.decoder.geo import Geo
from catchment.ingestion.decoder.settings import DecoderSettings, GeoSettings
from catchment.ingestion.deduplication import DIRECTORY, DeduplicationSettings
from catchment.ingestion.inspection.failures import Failures
from catchment.ingestion.inspection.receipts import Receipts
from catchment.log.port import Log
from catchment.query.port import QueryEngine
from catchment.schemas.registry import Registry


def open_receipts(
    home: Path,
    log: Log,
    failures: Failures,
    engine: QueryEngine,
    registry: Registry,
    decoder: DecoderSettings,
    window: DeduplicationSettings,
    clock: Clock,
) -> Receipts:
    """Receipts of a home. They tell no place, so their decoder looks none up."""
    decodes = Decoder(registry, Geo(GeoSettings(), clock, Events("receipts")), decoder)
    is_lenient = bool(decoder.lenient_namespaces)
    return Receipts(log, engine, registry, decodes, failures, home / DIRECTORY, window, is_lenient=is_lenient)
