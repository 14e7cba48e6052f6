"""Step 2: from the client's address to a country, while the address is still known.

The address is the entry of X-Forwarded-For that the platform's own balancer appended: the text after the last comma,
or further left by the configured number of own proxies in between. Without that header, or when it names fewer hops or
ends in a comma, it is the socket's peer. What stands further left came from the client and is not believed.

Databases are in the MaxMind format, in either of two layouts: MaxMind's own (`country.iso_code`, `subdivisions`,
`city.names.en`, `city.geoname_id`) or flat (`country_code`, `state1`, `city`). The file is mapped, not read; one that
was replaced is noticed within `look_again_s`. A record that already carries `geoCountry` (a replay of older data) keeps
it, and nothing is looked up. A city is named only if its GeoNames id is on the configured list, because a small town
can point at a person.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import maxminddb

from catchment import metrics
from catchment.clock import Clock
from catchment.errors import BadConfig
from catchment.events import Events
from catchment.ingestion.decoder.settings import GeoSettings

UNKNOWN = "??"
CACHED_ADDRESSES = 65_536

LOOK_UPS_FAILED = metrics.counter(
    "geo_look_ups_failed_total", "Look-ups that met damage in the database; the place is then unknown.", "look-ups"
)
RELOADS = metrics.counter("geo_reloads_total", "Replaced geographic databases taken into use.", "databases")


Addresses = tuple[str | None, str | None]
"""Where a raw message came from: the peer, and X-Forwarded-For. Lives until the look-up has been made."""


class Place(NamedTuple):
    country: str = UNKNOWN
    subdivision1: str | None = None
    subdivision2: str | None = None
    city: str | None = None


NOWHERE = Place()


def client_address(addresses: Addresses, trusted_hops: int) -> str:
    """The address that the platform's outermost hop saw; empty when nothing is known."""
    remote, forwarded = addresses
    if forwarded:
        entries = forwarded.rsplit(",", trusted_hops + 1)
        if trusted_hops == 0 or len(entries) > trusted_hops:
            entry = entries[-1 - trusted_hops].strip()
            if entry:
                return entry
    return remote or ""


def known_place(fields: Mapping[str, str]) -> Place | None:
    """The place that an earlier decoder wrote into the record, if any."""
    country = fields.get("geoCountry")
    return Place(country, city=fields.get("geoCity")) if country else None


class Geo:
    """Looks addresses up. One thread calls it; the caches hold addresses, nothing else does."""

    def __init__(self, settings: GeoSettings, clock: Clock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._cities = _read_cities(settings.cities)
        self._reader: maxminddb.Reader | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._look_again_s = 0.0
        self._open()

    def locate(self, addresses: Addresses) -> Place:
        """The place of the client; `NOWHERE` when the address is unknown, private, malformed or not in the database."""
        if self._clock.monotonic_s() >= self._look_again_s:
            self._reopen_if_replaced()
        return self._place(client_address(addresses, self._settings.trusted_hops))

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _open(self) -> None:
        self._look_again_s = self._clock.monotonic_s() + self._settings.look_again_s
        self._place = lru_cache(CACHED_ADDRESSES)(self._look_up)
        if not self._settings.database:
            return
        path = Path(self._settings.database)
        try:
            self._stamp = _stamp(path)
            self._reader = maxminddb.open_database(path, maxminddb.MODE_AUTO)
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            raise BadConfig(
                f"[geo] database {path} cannot be read: {error}; name an .mmdb file, or leave it empty for no look-up"
            ) from error

    def _reopen_if_replaced(self) -> None:
        """A new file that cannot be read is reported; the old one, still mapped, stays in use."""
        self._look_again_s = self._clock.monotonic_s() + self._settings.look_again_s
        if not self._settings.database:
            return
        try:
            if _stamp(Path(self._settings.database)) == self._stamp:
                return
            self._open()
        except (OSError, BadConfig) as error:
            self._events.warning("geo_reload_failed", error=error)
            return
        RELOADS.inc()
        self._events.info("geo_reloaded", database=self._settings.database)

    def _look_up(self, address: str) -> Place:
        if self._reader is None or not address:
            return NOWHERE
        try:
            record = self._reader.get(bare(address))
        except (ValueError, TypeError):  # no address, IPv6 in a database of IPv4, a NUL in it
            return NOWHERE
        except maxminddb.InvalidDatabaseError:
            LOOK_UPS_FAILED.inc()
            return NOWHERE
        return self._read(record) if isinstance(record, dict) else NOWHERE

    def _read(self, record: dict[str, Any]) -> Place:
        country = _text(_at(record, "country", "iso_code") or record.get("country_code"))
        if country is None:
            return NOWHERE
        first, second, *_ = [*_subdivisions(record)[: self._settings.subdivisions], None, None]
        return Place(country.upper(), first, second, self._city(record))

    def _city(self, record: dict[str, Any]) -> str | None:
        geoname_id = _at(record, "city", "geoname_id")
        if geoname_id is None or str(geoname_id) not in self._cities:
            return None
        return _text(_at(record, "city", "names", "en"))


def bare(address: str) -> str:
    """`address` without port and brackets: `1.2.3.4:80` → `1.2.3.4`, `[::1]:80` → `::1`."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


def _subdivisions(record: dict[str, Any]) -> list[str | None]:
    nested = record.get("subdivisions")
    if isinstance(nested, list):
        return [_text(_at(level, "iso_code")) for level in nested if isinstance(level, dict)]
    return [_text(record.get("state1")), _text(record.get("state2"))]


def _at(record: Any, *path: str) -> Any:
    for name in path:
        if not isinstance(record, dict):
            return None
        record = record.get(name)
    return record


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _stamp(path: Path) -> tuple[int, int, int]:
    status = os.stat(path)  # noqa: PTH116
    return status.st_ino, status.st_mtime_ns, status.st_size


def _read_cities(path: str) -> frozenset[str]:
    """GeoNames ids: the first tab-separated column of each line, so a GeoNames dump (`cities15000.txt`) fits too."""
    if not path:
        return frozenset()
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"[geo] cities {path} cannot be read: {error}; name a text file of GeoNames ids") from error
    return frozenset(line.partition("\t")[0].strip() for line in lines if line.strip())
