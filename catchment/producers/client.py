"""Who the simulated clients are: one installation each, the same for the same seed and number, whatever is sent.

client_of(seed=1, number=7)     always the same ids, build, machine and place
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass

from catchment.producers.places import draw_address, draw_country


@dataclass(frozen=True, slots=True)
class Build:
    """What is installed. `number` is YYYYMMDDhhmmss."""

    channel: str
    version: str
    display: str
    number: str


@dataclass(frozen=True, slots=True)
class System:
    """The machine's operating system, as the environment, Glean and the User-Agent name it."""

    name: str
    version: str
    build: str
    glean_name: str
    glean_version: str
    agent: str
    abi: str


@dataclass(frozen=True, slots=True)
class Client:
    """One installation. Days count from 1970-01-01; `zone` is minutes east of UTC."""

    number: int
    client_id: str
    glean_id: str
    group_id: str
    build: Build
    earlier_build: str | None
    system: System
    locale: str
    country: str
    zone: int
    address: str
    has_proxy: bool
    cores: int
    memory_mb: int
    age_days: int
    """Age of the profile; 0: it is new, and its first ping says so."""
    is_default: bool
    is_enterprise: bool
    addons: tuple[int, ...]
    """Indices into `environment.ADDONS`."""
    subsessions: int
    """Subsessions before the simulation begins."""


_CHANNELS: tuple[tuple[str, float, tuple[tuple[Build, float], ...]], ...] = (
    (
        "release",
        62.0,
        (
            (Build("release", "159.0.1", "159.0.1", "20261117101442"), 55.0),
            (Build("release", "159.0", "159.0", "20261109130259"), 25.0),
            (Build("release", "158.0.2", "158.0.2", "20261026092911"), 12.0),
            (Build("release", "157.0.1", "157.0.1", "20260929111830"), 5.0),
            (Build("release", "151.0", "151.0", "20260413121507"), 3.0),
        ),
    ),
    (
        "esr",
        16.0,
        (
            (Build("esr", "153.7.0", "153.7.0esr", "20261103151912"), 70.0),
            (Build("esr", "140.18.0", "140.18.0esr", "20261103140127"), 30.0),
        ),
    ),
    (
        "beta",
        13.0,
        (
            (Build("beta", "160.0", "160.0b4", "20261118091522"), 60.0),
            (Build("beta", "160.0", "160.0b2", "20261113090848"), 30.0),
            (Build("beta", "159.0", "159.0b9", "20261030091033"), 10.0),
        ),
    ),
    (
        "nightly",
        9.0,
        (
            (Build("nightly", "161.0a1", "161.0a1", "20261123093412"), 50.0),
            (Build("nightly", "161.0a1", "161.0a1", "20261122214529"), 30.0),
            (Build("nightly", "161.0a1", "161.0a1", "20261120095005"), 20.0),
        ),
    ),
)
"""Channel, its share in percent, its builds with theirs."""

_WINDOWS_AGENT = "Windows NT 10.0; Win64; x64"
_MAC_AGENT = "Macintosh; Intel Mac OS X 10.15"
_LINUX_AGENT = "X11; Linux x86_64"
_SYSTEMS = (
    (System("Windows_NT", "10.0", "26200", "Windows", "10.0", _WINDOWS_AGENT, "x86_64-msvc"), 48.0),
    (System("Windows_NT", "10.0", "19045", "Windows", "10.0", _WINDOWS_AGENT, "x86_64-msvc"), 30.0),
    (System("Windows_NT", "6.1", "7601", "Windows", "6.1", "Windows NT 6.1; Win64; x64", "x86_64-msvc"), 3.0),
    (System("Darwin", "25.1.0", "25B78", "Darwin", "25.1", _MAC_AGENT, "aarch64-gcc3"), 7.0),
    (System("Darwin", "23.6.0", "23H730", "Darwin", "23.6", _MAC_AGENT, "x86_64-gcc3"), 3.0),
    (System("Linux", "6.17.0-8-generic", "", "Linux", "6.17", _LINUX_AGENT, "x86_64-gcc3"), 6.0),
    (System("Linux", "6.12.57+deb13-amd64", "", "Linux", "6.12", _LINUX_AGENT, "x86_64-gcc3"), 3.0),
)
_NEW_SHARE = 0.06
_ADDONS = 14


def client_of(seed: int, number: int) -> Client:
    """Client `number` of the fleet that `seed` makes."""
    rng = random.Random(f"client {seed} {number}")
    _, _, builds = rng.choices(_CHANNELS, [share for _, share, _ in _CHANNELS])[0]
    build = rng.choices([build for build, _ in builds], [share for _, share in builds])[0]
    system = rng.choices([system for system, _ in _SYSTEMS], [share for _, share in _SYSTEMS])[0]
    country = draw_country(rng)
    is_new = rng.random() < _NEW_SHARE
    age_days = 0 if is_new else 1 + int(rng.expovariate(1 / 500))
    installed = 0 if rng.random() < 0.6 else 1 + min(int(rng.expovariate(1 / 3)), _ADDONS - 1)
    return Client(
        number=number,
        client_id=draw_uuid(rng),
        glean_id=draw_uuid(rng),
        group_id=draw_uuid(rng),
        build=build,
        earlier_build=None if is_new else rng.choice(builds)[0].number,
        system=system,
        locale=rng.choice(country.locales),
        country=country.code,
        zone=rng.choice(country.zones),
        address=draw_address(rng, country),
        has_proxy=rng.random() < 0.1,
        cores=rng.choice((2, 2, 4, 4, 4, 6, 8, 8, 12, 16)),
        memory_mb=rng.choice((3977, 4037, 7879, 8065, 8192, 16_214, 16_384, 32_691, 65_346)),
        age_days=min(age_days, 6000),
        is_default=rng.random() < 0.55,
        is_enterprise=build.channel == "esr" and rng.random() < 0.7,
        addons=tuple(sorted(rng.sample(range(_ADDONS), installed))),
        subsessions=0 if is_new else 1 + int(age_days * rng.lognormvariate(-0.5, 1.0)),
    )


def draw_uuid(rng: random.Random) -> str:
    """A UUID of version 4 in lower case."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def user_agent(client: Client) -> str:
    major = client.build.version.partition(".")[0]
    return f"Mozilla/5.0 ({client.system.agent}; rv:{major}.0) Gecko/20100101 Firefox/{major}.0"
