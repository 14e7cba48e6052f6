"""Settings of the log: where it is, how it is cut into segments, and how long its topics are kept.

`retention_of` gives the rule of the platform's own topics; a topic that is created with a rule of its own keeps that.
"""

from __future__ import annotations

from dataclasses import dataclass

from catchment.config import option
from catchment.log.port import MAX_PAYLOAD_BYTES, Retention

_DAY_S = 86_400.0
_STREAMS = ("decoded", "errors", "duplicates", "deferred")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Section `[log]`."""

    url: str = option(
        "file:log",
        "Where the log is: `file:` and a directory (relative to the home), or `kafka://` and brokers, "
        "`kafka://one:9092,two:9092/prefix`.",
    )
    partitions: int = option(
        8, "Partitions of topic raw on Kafka; the topics that the loaders write have as many.", minimum=1, maximum=10000
    )
    replication: int = option(
        0, "Copies of each partition on Kafka; 0 is the brokers' `default.replication.factor`.", minimum=0, maximum=100
    )
    min_insync: int = option(
        0,
        "Copies on Kafka that must have a record before it counts as stored; 0 is the brokers' `min.insync.replicas`.",
        minimum=0,
        maximum=100,
    )
    delivery_timeout_s: float = option(
        60.0,
        "So long a loader waits for Kafka to take a record; then it starts again from what is committed.",
        unit="seconds",
        minimum=1,
    )
    session_timeout_s: float = option(
        15.0,
        "A member of a group on Kafka that is silent so long gives its partitions away.",
        unit="seconds",
        minimum=1,
    )
    max_poll_s: float = option(
        600.0,
        "So may a member of a group on Kafka work, or wait for the object store, before its partitions go to another.",
        unit="seconds",
        minimum=10,
        maximum=86_400,
    )
    kafka: tuple[tuple[str, str], ...] = option(
        (), "Options for librdkafka as it names them, such as `security.protocol` and `sasl.username`."
    )
    segment_bytes: int = option(
        64 * 1024 * 1024, "A segment of this size is sealed and the next one begun.", unit="bytes", minimum=4096
    )
    prepare_from_bytes: int = option(
        4 * 1024 * 1024,
        "A segment that has this much gets its successor prepared: a file of zeros that appends overwrite, which costs "
        "the disk half as much as growing one; 0 never prepares.",
        unit="bytes",
        minimum=0,
    )
    max_queue_bytes: int = option(
        64 * 1024 * 1024,
        "Payloads that one partition's writer holds in memory; more are refused as busy.",
        unit="bytes",
        minimum=MAX_PAYLOAD_BYTES,
    )
    min_free_bytes: int = option(
        1024 * 1024 * 1024,
        "Space that must stay free on the log's disk; below it appends are refused as full.",
        unit="bytes",
        minimum=0,
    )
    raw_max_age_s: float = option(
        7 * _DAY_S,
        "Submissions older than this go once the loader and the archiver are behind them.",
        unit="seconds",
        minimum=60,
    )
    raw_max_bytes: int = option(
        20 * 1024**3,
        "Submissions beyond this size go once the loader and the archiver are behind them.",
        unit="bytes",
        minimum=0,
    )
    stream_max_age_s: float = option(
        2 * _DAY_S,
        "Error, duplicate and deferred records older than this go; decoded ones once the framed lake has them too.",
        unit="seconds",
        minimum=60,
    )
    stream_max_bytes: int = option(
        1024**3,
        "Error, duplicate and deferred records beyond this size, each, go; decoded ones as above.",
        unit="bytes",
        minimum=0,
    )


def is_kafka(settings: LogSettings) -> bool:
    """Whether the log is on Kafka; a log in files is then an edge's own, which the forwarder empties."""
    return settings.url.startswith("kafka:")


def retention_of(settings: LogSettings, topic: str) -> Retention:
    """The rule for `topic` when it was created without one; topics that the platform does not know are kept."""
    if topic == "raw":
        held_by = ("forwarder",) if is_kafka(settings) else ("loader", "archiver")
        return Retention(settings.raw_max_bytes, settings.raw_max_age_s, held_by)
    if topic == "decoded":
        return Retention(settings.stream_max_bytes, settings.stream_max_age_s, ("framed",))
    if topic in _STREAMS:
        return Retention(settings.stream_max_bytes, settings.stream_max_age_s)
    return Retention()
