"""Settings of the SQL engine: which one, and what one query may use."""

from __future__ import annotations

from dataclasses import dataclass

from catchment.config import option

_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class SqlSettings:
    """Section `[sql]`."""

    url: str = option("duckdb:", "The engine that answers SQL; `duckdb:` is built in.")
    timeout_s: float = option(300.0, "A query that takes longer is stopped.", unit="seconds", minimum=0.1)
    memory_bytes: int = option(
        2 * _GIB, "Memory of one query; beyond it sorts and joins go to disk.", unit="bytes", minimum=64 * 1024**2
    )
    temporary_bytes: int = option(20 * _GIB, "Disk that one query may use meanwhile.", unit="bytes", minimum=0)
    threads: int = option(0, "Threads of one query; 0 is one for each core.", minimum=0, maximum=1024)
