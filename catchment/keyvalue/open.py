"""Opens the key-value store that the settings name: the scheme of the URL chooses the backend, imported only then."""

from __future__ import annotations

from pathlib import Path

from catchment.clock import Clock
from catchment.errors import BadConfig
from catchment.keyvalue.port import KeyValue
from catchment.keyvalue.settings import KeyValueSettings


def open_keyvalue(settings: KeyValueSettings, data_dir: Path, clock: Clock) -> KeyValue:
    """The store at `settings.url`, made when it is absent; a relative file is below `data_dir`. Raises BadConfig,
    MissingExtra, Unavailable."""
    scheme, _, rest = settings.url.partition(":")
    place = rest.removeprefix("//")
    if scheme == "sqlite" and place:
        from catchment.keyvalue.sqlite import SqliteKeyValue

        return SqliteKeyValue(data_dir / place, clock, settings.timeout_s)
    if scheme == "dynamodb" and place:
        from catchment.keyvalue.dynamodb import open_dynamodb

        return open_dynamodb(place, settings, clock)
    raise BadConfig(
        f"[keyvalue] url is {settings.url!r}, must be `sqlite:` and a file, or `dynamodb://` and a table; for example "
        "`sqlite:keyvalue.db`"
    )
