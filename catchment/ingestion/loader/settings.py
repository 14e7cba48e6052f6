"""Options of the loader."""

from __future__ import annotations

from dataclasses import dataclass

from catchment.config import option


@dataclass(frozen=True, slots=True)
class LoaderSettings:
    processes: int = option(1, "Loader processes; they share the partitions of topic raw.", minimum=1, maximum=64)
    flush_s: float = option(5.0, "Longest time that a document waits for its commit.", unit="s", minimum=0.1)
    flush_bytes: int = option(
        64 * 1024 * 1024, "JSON text buffered before a commit is made at once.", unit="bytes", minimum=1024
    )
    batch_records: int = option(2000, "Most raw records handled in one step.", minimum=1, maximum=100_000)
    batch_bytes: int = option(
        128 * 1024,
        "Most raw bytes handled in one step; what is decoded of them should stay in the processor's caches.",
        unit="bytes",
        minimum=1024,
    )
    upkeep_s: float = option(
        600.0, "How often the first loader tidies each table and applies the log's retention.", unit="s", minimum=1
    )
    admin_port: int = option(
        0, "Port of the first loader's health and metrics; the next ones add 1. 0 picks free ports.", minimum=0
    )
