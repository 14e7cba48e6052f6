"""Settings of the relational database."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from catchment.config import option


def _wrong_url(url: str) -> str | None:
    if urlsplit(url).password:
        return "holds a password, which would be printed; set [database] password instead"
    return None


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Section `[database]`."""

    url: str = option(
        "sqlite:catchment.db",
        "Where the relational database is: `sqlite:` and a file (relative to the home), or "
        "`postgresql://user@host/name`.",
        check=_wrong_url,
    )
    password: str = option("", "Password for `postgresql:`; empty asks the server and `~/.pgpass`.", secret=True)
    busy_s: float = option(30.0, "Longest wait for another writer.", unit="seconds", minimum=1)
