"""Step 7: the values that every table and stream shares, read from the document, the route and the place.

The rules are those of 2018, case-sensitive. A value of an unexpected type counts as absent: the schema, not this step,
judges the document.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from zlib import crc32

MAX_CLIENT_ID_CHARS = 256
CACHED_TEXTS = 4096

_MOBILE_APPS = (
    "Fennec",
    "Focus-TV",
    "Focus",
    "Klar",
    "FirefoxForFireTV",
    "Zerda_cn",
    "Zerda",
    "Scryer",
    "WebXR",
    "FirefoxReality_oculusvr",
    "FirefoxReality_googlevr",
    "FirefoxReality_wavevr",
    "Lockbox",
    "FirefoxConnect",
)
"""Prefixes; the longer of two comes first."""
_DESKTOP_APPS = frozenset({"Firefox", "Thunderbird"})
_OS_VERSION = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,2}", re.ASCII)

_COUNTRY_CODES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA "
    "CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA "
    "GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP "
    "KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS "
    "MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS "
    "RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW "
    "TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"
)
COUNTRIES = frozenset(_COUNTRY_CODES.split())
"""The 249 codes of ISO 3166-1 alpha-2."""
OTHER = "Other"


@lru_cache(CACHED_TEXTS)
def normalize_channel(channel: str) -> str:
    if channel in ("release", "esr", "aurora", "nightly"):
        return channel
    if channel.startswith("beta"):
        return "beta"
    return "nightly" if channel.startswith("nightly-cck-") else OTHER


@lru_cache(CACHED_TEXTS)
def normalize_os(name: str) -> str:
    """Desktop and mobile in one; the original had a function for each, and no name that both knew."""
    if name.startswith(("Windows", "WINNT")):
        return "Windows"
    if name.startswith("Darwin"):
        return "Mac"
    if name.startswith("iOS") or "iPhone" in name:
        return "iOS"
    if name.startswith("Android"):
        return "Android"
    return "Linux" if any(part in name for part in ("Linux", "BSD", "SunOS")) else OTHER


@lru_cache(CACHED_TEXTS)
def normalize_os_version(version: str) -> str | None:
    """The leading one to three groups of digits: `3.13.0-168-lowlatency` → `3.13.0`; None without any."""
    found = _OS_VERSION.match(version)
    return found[0] if found else None


@lru_cache(CACHED_TEXTS)
def normalize_app_name(name: str) -> str:
    if name in _DESKTOP_APPS:
        return name
    return next((app for app in _MOBILE_APPS if name.startswith(app)), OTHER)


@lru_cache(CACHED_TEXTS)
def normalize_country(code: str) -> str:
    upper = code.upper()
    return upper if upper in COUNTRIES else OTHER


def sample_id(client_id: str) -> int:
    """0 to 99: CRC-32 (IEEE) of the text as sent, modulo 100."""
    return crc32(client_id.encode()) % 100


def body_version(content: dict[str, Any]) -> int:
    """The version that a document of the Firefox form states in its body; 1 when it states no whole number."""
    for key in ("version", "v", "ver"):
        value = content.get(key)
        if value is None:
            continue
        if type(value) is str:
            return int(value) if 0 < len(value) < 10 and value.isascii() and value.isdecimal() else 1
        if type(value) is int or (type(value) is float and value.is_integer()):
            return int(value) if 0 <= value < 1_000_000_000 else 1
        return 1
    return 1


def client_of(content: dict[str, Any]) -> str | None:
    """The client's id: at the top (`clientId`, `client_id`, legacy `clientID`) or in Glean's `client_info`."""
    found = content.get("clientId") or content.get("client_id") or content.get("clientID")
    if found is None:
        found = _object(content.get("client_info")).get("client_id")
    return found if type(found) is str and 0 < len(found) <= MAX_CLIENT_ID_CHARS else None


def os_of(content: dict[str, Any]) -> tuple[str | None, str | None]:
    """Name and version of the operating system as the document states them: in the environment (desktop), in
    `client_info` (Glean) or at the top (mobile)."""
    environment = content.get("environment")
    if type(environment) is dict:
        system = _object(_object(environment.get("system")).get("os"))
        return _text(system.get("name")), _text(system.get("version"))
    client = content.get("client_info")
    if type(client) is dict:
        return _text(client.get("os")), _text(client.get("os_version"))
    return _text(content.get("os")), _text(content.get("osversion"))


def channel_of(content: dict[str, Any]) -> str | None:
    """The update channel that a Glean document states."""
    return _text(_object(content.get("client_info")).get("app_channel"))


_NOTHING: dict[str, Any] = {}


def _object(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else _NOTHING


def _text(value: Any) -> str | None:
    return value if type(value) is str and value else None
