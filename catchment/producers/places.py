"""Where the simulated clients are: countries by weight, with networks to draw an address from.

An address only goes into `X-Forwarded-For`, so that the look-up of the country has something to find; nothing is ever
sent to it. The networks are large allocations that lie in one country as a whole.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Country:
    """One country. `networks` are the first 16 bits of IPv4 networks /16; `zones` minutes east of UTC."""

    code: str
    weight: float
    networks: tuple[str, ...]
    locales: tuple[str, ...]
    zones: tuple[int, ...]


COUNTRIES = (
    Country("US", 24.0, ("24.4", "73.20", "98.200"), ("en-US", "en-US", "en-US", "es-MX"), (-300, -360, -420, -480)),
    Country("DE", 17.0, ("2.162", "2.202", "2.242"), ("de", "de", "en-US"), (60,)),
    Country("FR", 8.0, ("2.6", "2.10", "31.34"), ("fr",), (60,)),
    Country("IN", 7.0, ("42.106", "49.34", "49.42"), ("en-US", "en-US", "hi-IN"), (330,)),
    Country("CN", 6.0, ("1.14", "1.26", "1.50"), ("zh-CN",), (480,)),
    Country("BR", 5.5, ("152.242", "177.18", "177.42"), ("pt-BR",), (-180,)),
    Country("RU", 5.0, ("2.62", "5.138", "5.166"), ("ru",), (180, 300)),
    Country("PL", 5.0, ("31.62", "79.186", "80.50"), ("pl",), (60,)),
    Country("GB", 4.5, ("2.98", "2.122", "5.66"), ("en-GB", "en-US"), (0,)),
    Country("IT", 4.5, ("2.34", "2.42", "2.114"), ("it",), (60,)),
    Country("ES", 3.0, ("2.138", "37.14", "46.26"), ("es-ES",), (60,)),
    Country("JP", 3.0, ("14.10", "27.82", "27.138"), ("ja",), (540,)),
    Country("ID", 2.5, ("36.66", "110.138", "114.122"), ("id", "en-US"), (420,)),
    Country("CA", 2.5, ("24.66", "24.78", "24.86"), ("en-CA", "fr", "en-US"), (-300, -480)),
    Country("MX", 1.5, ("177.226", "187.134", "187.138"), ("es-MX",), (-360,)),
    Country("AU", 1.0, ("1.42", "1.122", "14.202"), ("en-GB", "en-US"), (600,)),
)
"""The desktop's larger countries, with rounded weights (percent)."""

_WEIGHTS = [country.weight for country in COUNTRIES]


def draw_country(rng: random.Random) -> Country:
    return rng.choices(COUNTRIES, _WEIGHTS)[0]


def draw_address(rng: random.Random, country: Country) -> str:
    """An IPv4 address in one of the country's networks."""
    return f"{rng.choice(country.networks)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
