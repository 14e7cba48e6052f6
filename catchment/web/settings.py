"""Settings of the console: where it listens, how often it looks, and what one query may cost."""

from __future__ import annotations

from dataclasses import dataclass

from catchment.config import option


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """Section `[console]`."""

    host: str = option(
        "127.0.0.1", "Address that the console listens on. It asks nobody for a name: open it to trusted networks only."
    )
    port: int = option(8080, "Port of the console's pages; 0 picks a free one.", minimum=0, maximum=65535)
    admin_port: int = option(0, "Port of its health and metrics; 0 picks a free one.", minimum=0, maximum=65535)
    hosts: tuple[str, ...] = option(
        (), "More names that browsers may reach the console by, besides localhost, `host` and plain addresses."
    )
    sample_s: float = option(2.0, "How often the platform is looked at, and pages renew.", unit="seconds", minimum=0.2)
    tail_rows: int = option(20, "Last pings and last errors shown, each.", unit="rows", minimum=1, maximum=200)
    show_client_ids: bool = option(
        False, "Show client ids whole on the pages Tail, Errors and Catalogue; else they are cut to four characters."
    )
    add_schemas: bool = option(
        True, "Let the editor and POST /api/schemas add schemas; false where people reach the console who must not."
    )
    check_s: float = option(
        5.0, "Longest time that checking a schema in the editor may take.", unit="seconds", minimum=0.1, maximum=60
    )
    shown_rows: int = option(1_000, "Rows of a result on the page.", unit="rows", minimum=1, maximum=100_000)
    download_rows: int = option(100_000, "Rows of a result in a download.", unit="rows", minimum=1, maximum=10_000_000)
    query_s: float = option(60.0, "Longest time of a query; then it is stopped.", unit="seconds", minimum=0.1)
    query_memory_bytes: int = option(512 * 1024 * 1024, "Memory of one query.", unit="bytes", minimum=64 * 1024 * 1024)
    running_queries: int = option(2, "Queries that run at once; others wait.", unit="queries", minimum=1, maximum=32)
    waiting_queries: int = option(8, "Queries that wait; more are refused as busy.", unit="queries", minimum=0)
