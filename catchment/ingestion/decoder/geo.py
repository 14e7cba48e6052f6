"""Step 2: from the client's address to a country, while the address is still known.

The address is the entry of X-Forwarded-For that the platform's own balancer appended: the text after the last comma,
or further left by the configured number of own proxies in between. Without that header, or when it names fewer hops or
ends in a comma, it is the socket's peer. What stands further left came from the client and is not believed.

Databases are in the MaxMind format, in either of two layouts: MaxMind's own (`country.iso_code`, `subdivisions`,
`city.names.en`, `city.geoname_id`) or flat (`country_code`, `state1`). A file that was replaced is noticed within
`look_again_s`. A record that already carries `geoCountry` (a replay of older data) keeps it, and nothing is looked up.
A city is named only if its GeoNames id is on the configured list, because a small town can point at a person. The
provider comes from a database of its own, and is dropped again from documents of doctypes that did not ask for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import maxminddb

from catchment import metrics
from catchment.clock import Clock
from catchment.errors import BadConfig
from catchment.events import Events
from catchment.ingestion.decoder.settings import GeoSettings
from catchment.ingestion.decoder.watched import Watched

UNKNOWN = "??"
CACHED_ADDRESSES = 65_536

LOOK_UPS_FAILED = metrics.counter(
    "geo_look_ups_failed_total", "Look-ups that met damage in the database; the place is then unknown.", "look-ups"
)

Addresses = tuple[str | None, str | None]
"""Where a raw message came from: the peer, and X-Forwarded-For. Lives until the look-up has been made."""


class Place(NamedTuple):
    country: str = UNKNOWN
    subdivision1: str | None = None
    subdivision2: str | None = None
    city: str | None = None
    isp: str | None = None


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
    return Place(country, city=fields.get("geoCity"), isp=fields.get("geoISP")) if country else None


class Geo:
    """Looks addresses up. One thread calls it; the caches hold addresses, nothing else does."""

    def __init__(self, settings: GeoSettings, clock: Clock, events: Events) -> None:
        """Raises BadConfig for a file that cannot be read."""
        self._settings = settings
        self._clock = clock
        self._places = Watched(settings.database, partial(_open, "database"), events)
        self._providers = Watched(settings.isp_database, partial(_open, "isp_database"), events)
        self._cities = Watched(settings.cities, _read_cities, events)
        self._forget()
        self._wait()

    def locate(self, addresses: Addresses) -> Place:
        """The place of the client; `NOWHERE` when the address is unknown, private, malformed or not in the database."""
        if self._clock.monotonic_s() >= self._look_again_s:
            # All of them, whatever the first one answers.
            renewed = [file.renew() for file in (self._places, self._providers, self._cities)]
            if any(renewed):
                self._forget()
            self._wait()
        return self._place(client_address(addresses, self._settings.trusted_hops))

    def names_isp(self, namespace: str, doctype: str) -> bool:
        """Whether documents of this doctype may name the client's provider."""
        asked = self._settings.isp_doctypes
        return "*" in asked or f"{namespace}/{doctype}" in asked

    def close(self) -> None:
        for file in (self._places, self._providers):
            if file.value is not None:
                file.value.close()
                file.value = None

    def _forget(self) -> None:
        """Look every address up anew."""
        self._place = lru_cache(CACHED_ADDRESSES)(self._look_up)

    def _wait(self) -> None:
        self._look_again_s = self._clock.monotonic_s() + self._settings.look_again_s

    def _look_up(self, address: str) -> Place:
        address = bare(address)
        place = self._read(_record(self._places.value, address))
        isp = _provider(_record(self._providers.value, address)) if self._settings.isp_doctypes else None
        return place._replace(isp=isp) if isp else place

    def _read(self, record: dict[str, Any]) -> Place:
        country = _text(_at(record, "country", "iso_code") or record.get("country_code"))
        if country is None:
            return NOWHERE
        first, second, *_ = [*_subdivisions(record)[: self._settings.subdivisions], None, None]
        return Place(country.upper(), first, second, self._city(record))

    def _city(self, record: dict[str, Any]) -> str | None:
        geoname_id = _at(record, "city", "geoname_id")
        if geoname_id is None or str(geoname_id) not in (self._cities.value or ()):
            return None
        return _text(_at(record, "city", "names", "en"))


def bare(address: str) -> str:
    """`address` without port and brackets: `1.2.3.4:80` → `1.2.3.4`, `[::1]:80` → `::1`."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


def _open(setting: str, path: Path) -> maxminddb.Reader:
    try:
        return maxminddb.open_database(path, maxminddb.MODE_AUTO)
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        raise BadConfig(
            f"[geo] {setting} {path} cannot be read: {error}; name an .mmdb file, or leave it empty for no look-up"
        ) from error


def _read_cities(path: Path) -> frozenset[str]:
    """GeoNames ids: the first tab-separated column of each line, so a GeoNames dump (`cities15000.txt`) fits too."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"[geo] cities {path} cannot be read: {error}; name a text file of GeoNames ids") from error
    return frozenset(line.partition("\t")[0].strip() for line in lines if line.strip())


def _record(reader: maxminddb.Reader | None, address: str) -> dict[str, Any]:
    """What a database has of an address; {} when that is nothing."""
    if reader is None or not address:
        return {}
    try:
        record = reader.get(address)
    except (ValueError, TypeError):  # no address, IPv6 in a database of IPv4, a NUL in it
        return {}
    except maxminddb.InvalidDatabaseError:
        LOOK_UPS_FAILED.inc()
        return {}
    return record if isinstance(record, dict) else {}


def _subdivisions(record: dict[str, Any]) -> list[str | None]:
    nested = record.get("subdivisions")
    if isinstance(nested, list):
        return [_text(_at(level, "iso_code")) for level in nested if isinstance(level, dict)]
    return [_text(record.get("state1")), _text(record.get("state2"))]


def _provider(record: dict[str, Any]) -> str | None:
    """MaxMind's ISP database names the provider, ASN databases the network's owner."""
    return _text(record.get("isp")) or _text(record.get("autonomous_system_organization"))


def _at(record: Any, *path: str) -> Any:
    for name in path:
        if not isinstance(record, dict):
            return None
        record = record.get(name)
    return record


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
