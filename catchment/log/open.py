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

    Raises BadConfig for an unknown scheme or an unusable directory.
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


_BACKENDS: dict[str, Callable[[str, LogSettings, Path, Clock, Events], Log]] = {
    "file": _open_embedded,
}
