"""Options of the decoder and of the geographic look-up."""

from __future__ import annotations

from dataclasses import dataclass

from catchment.config import option


@dataclass(frozen=True, slots=True)
class DecoderSettings:
    max_json_bytes: int = option(
        8 * 1024 * 1024,
        "Longest body after gunzip; a longer one is an error of code body_too_large.",
        unit="bytes",
        minimum=1024,
        maximum=8 * 1024 * 1024,
    )
    lenient_namespaces: tuple[str, ...] = option(
        (),
        "Namespaces whose paths are read as in 2018: what follows the last component is ignored, escapes and doubled "
        "slashes are resolved, and the document id may be any text.",
    )


def _wrong_doctypes(names: tuple[str, ...]) -> str | None:
    wrong = next((name for name in names if name != "*" and name.count("/") != 1), None)
    return None if wrong is None else f"{wrong!r} names no doctype; write namespace/doctype, or *"


@dataclass(frozen=True, slots=True)
class GeoSettings:
    database: str = option("", "Path of a country or city database (.mmdb); without one every country is ??.")
    trusted_hops: int = option(
        0,
        "Own proxies, besides the one that the edge talks to, that append to X-Forwarded-For; so many entries are "
        "passed over from its end.",
        minimum=0,
        maximum=16,
    )
    cities: str = option(
        "", "Path of a list of GeoNames ids, one a line, of cities that may be named; without one no city is."
    )
    subdivisions: int = option(
        2, "Levels of subdivision (state, county) that are kept if the database has them.", minimum=0, maximum=2
    )
    isp_database: str = option("", "Path of a database of providers (ISP or ASN, .mmdb); without one none is named.")
    isp_doctypes: tuple[str, ...] = option(
        (),
        "Doctypes whose documents name the client's provider, as namespace/doctype; * for all.",
        check=_wrong_doctypes,
    )
    look_again_s: float = option(60.0, "How often a replaced database is looked for.", unit="s", minimum=0.1)
