"""Options of the edge, and the rules that the set of them must keep.

Sources: the limits of the ingestion edges that this one stands in for (URI, body, header value, header name); the
deadlines are sized so that a mobile client on a bad line still gets through and an idle socket costs little.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from catchment.config import option

MAX_HEADER_NAME_BYTES = 256
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NAMESPACE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]*", re.ASCII)

DEFAULT_HEADERS = (
    "Content-Length",
    "Date",
    "DNT",
    "Host",
    "User-Agent",
    "X-Forwarded-For",
    "X-PingSender-Version",
    "X-Debug-ID",
    "X-Source-Tags",
    "X-Telemetry-Agent",
)


def _wrong_headers(names: tuple[str, ...]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if len(name.encode()) > MAX_HEADER_NAME_BYTES:
            return f"the name {name[:24]}… has {len(name.encode())} bytes, must have at most {MAX_HEADER_NAME_BYTES}"
        if not _TOKEN.fullmatch(name):
            return f"{name!r} cannot be a header name; use letters, digits and -"
        if name.lower() in seen:
            return f"{name!r} is named twice; keep one spelling"
        seen.add(name.lower())
    return None


def _wrong_namespaces(names: tuple[str, ...]) -> str | None:
    wrong = next((name for name in names if not _NAMESPACE.fullmatch(name)), None)
    return None if wrong is None else f"{wrong!r} cannot be a namespace; use letters, digits and -"


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    host: str = option("127.0.0.1", "Address that the edge listens on; 0.0.0.0 for all.")
    port: int = option(8000, "Port that producers send to; 0 picks a free one.", minimum=0, maximum=65535)
    admin_port: int = option(
        0, "Port of the first worker's health and metrics; the next ones add 1. 0 picks free ports.", minimum=0
    )
    log: str = option(
        "file:log",
        "Where the edge keeps what it accepts when `[log] url` is not `file:`: a directory on its own disk.",
    )
    workers: int = option(
        1, "Worker processes; they share the port, and each owns a partition of topic raw.", minimum=1, maximum=64
    )
    hostname: str = option("", "Name stored in each message as its edge; empty takes the machine's name.")
    headers: tuple[str, ...] = option(
        DEFAULT_HEADERS, "Request headers that are stored, in this order and spelling.", check=_wrong_headers
    )
    namespaces: tuple[str, ...] = option(
        (),
        "Namespaces that are accepted; any other is answered 404. Empty accepts all of them.",
        check=_wrong_namespaces,
    )
    store_remote_addr: bool = option(True, "Store the peer's address for the decoder's geographic look-up.")

    max_body_bytes: int = option(
        1024 * 1024, "Longest body; more is answered 413.", unit="bytes", minimum=1, maximum=8 * 1024 * 1024
    )
    max_uri_bytes: int = option(
        2048, "Longest path with query; more is answered 414.", unit="bytes", minimum=64, maximum=16384
    )
    max_header_value_bytes: int = option(
        1024, "Longest value of a stored header, as UTF-8; more is answered 431.", unit="bytes", minimum=1
    )
    max_headers: int = option(100, "Most headers in a request; more are answered 431.", minimum=8, maximum=1000)
    max_head_bytes: int = option(
        32 * 1024, "Most bytes of request line and headers; more are answered 431.", unit="bytes", minimum=1024
    )
    max_connections: int = option(10_000, "Most open connections of a worker; more are answered 503.", minimum=1)
    max_in_flight_bytes: int = option(
        64 * 1024 * 1024,
        "Most bytes of a worker received and not yet answered; from half of it on idle connections are not read, "
        "over it submissions are answered 503.",
        unit="bytes",
        minimum=1024 * 1024,
    )
    max_pipelined: int = option(
        256, "Most requests of one connection that wait for their answers; then it is not read.", minimum=1
    )

    keep_alive_s: float = option(75.0, "Longest time that a connection may be idle.", unit="s", minimum=0.01)
    head_s: float = option(10.0, "Longest time from a request's first byte to the end of its headers.", unit="s")
    body_grace_s: float = option(10.0, "Time before the rate of a body is judged.", unit="s", minimum=0.01)
    min_body_rate: float = option(1024.0, "Slowest body after that time; slower is answered 408.", unit="bytes/s")
    answer_s: float = option(
        60.0, "Longest wait for the disk; then 503 is answered and the client sends again.", unit="s", minimum=0.01
    )
    write_s: float = option(10.0, "Longest time that a client may leave its answers unread.", unit="s", minimum=0.01)
    linger_s: float = option(2.0, "Time to read on after a refusal, so that the client sees it.", unit="s")
    sweep_s: float = option(0.5, "How often the deadlines are looked at.", unit="s", minimum=0.005)
    drain_s: float = option(20.0, "Longest time for requests in progress at a stop.", unit="s", minimum=0.0)
    retry_after_s: int = option(30, "What Retry-After says with 503 and 507.", unit="s", minimum=1)
    min_free_bytes: int = option(
        1024 * 1024 * 1024, "Less free disk than this makes the edge unhealthy.", unit="bytes", minimum=0
    )
    backlog: int = option(1024, "Connections that the kernel holds until the worker takes them.", minimum=1)
