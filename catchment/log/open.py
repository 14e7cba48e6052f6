"""Opens the log that the settings name: the scheme of the URL chooses the backend, which is imported only then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from catchment.clock import Clock
from catchment.errors import BadConfig
from catchment.events import Events
from catchment.log.port import Log
from catchment.log.settings import LogSettings


def open_log(settings: LogSettings, data_dir: Path, clock: Clock, events: Events) -> Log:
    """The log at `settings.url`; a relative `file:` directory is below `data_dir`, and is made when it is absent.

    Raises BadConfig for an unknown scheme or an unusable directory, MissingExtra where the backend's library is absent.
    """
    scheme, colon, rest = settings.url.partition(":")
    opener = _BACKENDS.get(scheme) if colon else None
    if opener is None:
        known = ", ".join(f"`{name}:`" for name in _BACKENDS)
        raise BadConfig(f"[log] url is {settings.url!r}, must begin with one of {known}; for example `file:log`")
    return opener(rest, settings, data_dir, clock, events)


def _open_embedded(rest: str, settings: LogSettings, data_dir: Path, clock: Clock, events: Events) -> Log:
    place = rest.removeprefix("//")
    if not place:
        raise BadConfig(f"[log] url is {settings.url!r}, names no directory; for example `file:log`")
    from catchment.log.embedded.log import EmbeddedLog

    root = data_dir / place
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadConfig(f"[log] url: {root} cannot be made: {error.strerror}; name a directory to write to") from error
    return EmbeddedLog(root, settings, clock, events)


def open_edge_log(url: str, settings: LogSettings, data_dir: Path, clock: Clock, events: Events) -> Log:
    """The log on this machine's disk that an edge writes to when the log is elsewhere. Raises BadConfig."""
    scheme, _, rest = url.partition(":")
    if scheme != "file":
        raise BadConfig(
            f"[edge] log is {url!r}, must be on the edge's own disk: `file:` and a directory, as `file:log`"
        )
    return _open_embedded(rest, settings, data_dir, clock, events)


def _open_kafka(rest: str, settings: LogSettings, data_dir: Path, clock: Clock, events: Events) -> Log:
    servers, _, prefix = rest.removeprefix("//").partition("/")
    if not rest.startswith("//") or not all(server.strip() for server in servers.split(",")):
        raise BadConfig(
            f"[log] url is {settings.url!r}, must name brokers; for example `kafka://one:9092,two:9092` or, with a "
            "prefix for topics and groups, `kafka://one:9092/telemetry`"
        )
    from catchment.log.kafka.log import KafkaLog
    from catchment.log.names import checked_name

    return KafkaLog(servers, checked_name("prefix", prefix) if prefix else "", settings, events)


_BACKENDS: dict[str, Callable[[str, LogSettings, Path, Clock, Events], Log]] = {
    "file": _open_embedded,
    "kafka": _open_kafka,
}
