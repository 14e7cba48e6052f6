"""The place of a client: which address counts, what a database says of it, and that no output holds an address."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from decoder_kit import CLIENT, OFFSET, PEER, SOURCE, accepted, open_decoder, open_geo, raw
from geo_database import FLAT, ISPS, NESTED, write_database
from hypothesis import given
from hypothesis import strategies as st

from catchment import message
from catchment.clock import ManualClock
from catchment.config import load
from catchment.errors import BadConfig
from catchment.events import Events
from catchment.ingestion import streams
from catchment.ingestion.decoder.geo import NOWHERE, Geo, Place, bare, client_address
from catchment.ingestion.decoder.settings import GeoSettings

MILTON_ADDRESS = "216.160.83.56"
MILTON_ID = "5803556"


@pytest.fixture
def nested(tmp_path: Path) -> str:
    return str(write_database(tmp_path / "city.mmdb", NESTED))


@pytest.fixture
def cities(tmp_path: Path) -> str:
    path = tmp_path / "cities.txt"
    path.write_text(f"{MILTON_ID}\tMilton\t…\n42\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("forwarded", "hops", "address"),
    [
        (None, 0, PEER),
        ("", 0, PEER),
        (CLIENT, 0, CLIENT),
        (f"1.1.1.1, {CLIENT}", 0, CLIENT),
        (f"1.1.1.1,{CLIENT}", 0, CLIENT),
        (f"{CLIENT},", 0, PEER),
        (f"{CLIENT}, ", 0, PEER),
        (f"1.1.1.1, {CLIENT}, 10.0.0.1", 1, CLIENT),
        (f"1.1.1.1, {CLIENT}, 10.0.0.1, 10.0.0.2", 2, CLIENT),
        (f"{CLIENT}, 10.0.0.1", 1, CLIENT),
        (CLIENT, 1, PEER),
        (", 10.0.0.1", 1, PEER),
    ],
)
def test_the_address_is_the_one_that_the_outermost_trusted_hop_saw(
    forwarded: str | None, hops: int, address: str
) -> None:
    assert client_address((PEER, forwarded), hops) == address


@pytest.mark.parametrize(
    ("written", "address"),
    [("1.2.3.4:80", "1.2.3.4"), ("[2001:db8::1]:80", "2001:db8::1"), ("2001:db8::1", "2001:db8::1"), ("[::1]", "::1")],
)
def test_ports_and_brackets_do_not_hide_an_address(written: str, address: str) -> None:
    assert bare(written) == address


def test_c31_the_last_entry_is_located_with_city_and_subdivision(nested: str, cities: str) -> None:
    geo = open_geo(database=nested, cities=cities)
    place = geo.locate((PEER, f"127.0.0.1, {MILTON_ADDRESS}"))
    assert place == Place("US", "WA", None, "Milton")


def test_c32_a_place_that_the_record_brings_is_kept_without_a_look_up(nested: str) -> None:
    record = raw(forwarded=MILTON_ADDRESS, headers={"geoCountry": "CA", "geoCity": "Halifax"})
    document = accepted(record, open_decoder(open_geo(database=nested)))
    assert (document.geo_country, document.geo_city, document.geo_subdivision1) == ("CA", "Halifax", None)


def test_c33_a_city_that_is_not_on_the_list_is_not_named(nested: str) -> None:
    assert open_geo(database=nested).locate((MILTON_ADDRESS, None)) == Place("US", "WA", None, None)


def test_c34_a_private_address_is_nowhere(nested: str) -> None:
    assert open_geo(database=nested).locate(("10.1.2.3", "192.168.0.1")) == NOWHERE
    assert Place("??", None, None, None) == NOWHERE


@pytest.mark.parametrize("address", ["unknown", "", "1.2.3", "::1", "2001:db8::1", "é", "1.2.3.4.5", "x" * 1000, "\0"])
def test_what_is_no_address_of_the_database_is_nowhere(nested: str, address: str) -> None:
    assert open_geo(database=nested).locate((address, None)) == NOWHERE


def test_without_a_database_every_place_is_unknown() -> None:
    assert open_geo().locate((MILTON_ADDRESS, None)) == NOWHERE


def test_a_flat_database_names_the_country_in_upper_case(tmp_path: Path) -> None:
    geo = open_geo(database=str(write_database(tmp_path / "country.mmdb", FLAT)))
    assert geo.locate((MILTON_ADDRESS, None)) == Place("US")
    assert geo.locate((CLIENT, None)) == Place("CA")


def test_subdivisions_can_be_switched_off(nested: str) -> None:
    assert open_geo(database=nested, subdivisions=0).locate((MILTON_ADDRESS, None)) == Place("US")


def test_a_replaced_database_is_taken_into_use_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    path = write_database(tmp_path / "city.mmdb", {"203.0.113.0/24": {"country": {"iso_code": "CA"}}})
    clock, told = ManualClock(), StringIO()
    geo = Geo(GeoSettings(database=str(path), look_again_s=60.0), clock, Events("decoder", told))
    assert geo.locate((CLIENT, None)).country == "CA"
    write_database(path, {"203.0.113.0/24": {"country": {"iso_code": "NZ"}}})
    assert geo.locate((CLIENT, None)).country == "CA"
    clock.advance(61)
    assert geo.locate((CLIENT, None)).country == "NZ"
    fresh = tmp_path / "broken"
    fresh.write_bytes(b"no database")
    fresh.replace(path)
    clock.advance(61)
    assert geo.locate((CLIENT, None)).country == "NZ"
    assert "geo_reload_failed" in told.getvalue()


def test_a_replaced_list_of_cities_is_taken_into_use(nested: str, cities: str) -> None:
    clock = ManualClock()
    geo = open_geo(clock, database=nested, cities=cities)
    assert geo.locate((MILTON_ADDRESS, None)).city == "Milton"
    fresh = Path(cities).with_suffix(".new")
    fresh.write_text("42\n", encoding="utf-8")
    fresh.replace(cities)
    clock.advance(61)
    assert geo.locate((MILTON_ADDRESS, None)) == Place("US", "WA", None, None)
    Path(cities).unlink()
    clock.advance(61)
    assert geo.locate((MILTON_ADDRESS, None)).country == "US"


@pytest.fixture
def isps(tmp_path: Path) -> str:
    return str(write_database(tmp_path / "isp.mmdb", ISPS))


def test_c31_the_provider_is_named_where_it_is_asked_for(nested: str, isps: str) -> None:
    asked = open_decoder(open_geo(database=nested, isp_database=isps, isp_doctypes=("foo/bar",)))
    other = open_decoder(open_geo(database=nested, isp_database=isps, isp_doctypes=("foo/baz", "telemetry/bar")))
    everywhere = open_decoder(open_geo(isp_database=isps, isp_doctypes=("*",)))
    nobody = open_decoder(open_geo(isp_database=isps))
    record = raw(forwarded=f"127.0.0.1, {MILTON_ADDRESS}")
    document = accepted(record, asked)
    assert (document.geo_country, document.geo_isp) == ("US", "Century Link")
    found = message.decode(streams.encode_document(document, SOURCE, OFFSET))
    assert found.first("geoISP") == "Century Link"
    assert accepted(record, other).geo_isp is None
    assert accepted(record, nobody).geo_isp is None
    assert (accepted(record, everywhere).geo_country, accepted(record, everywhere).geo_isp) == ("??", "Century Link")
    assert accepted(raw(forwarded=CLIENT), everywhere).geo_isp == "Example Networks"


def test_a_provider_that_the_record_brings_is_dropped_where_it_is_not_asked_for(isps: str) -> None:
    record = raw(headers={"geoCountry": "CA", "geoISP": "Brought Along"})
    asked = open_decoder(open_geo(isp_database=isps, isp_doctypes=("foo/bar",)))
    assert accepted(record, asked).geo_isp == "Brought Along"
    assert accepted(record).geo_isp is None


def test_a_replaced_database_of_providers_is_taken_into_use(isps: str) -> None:
    clock = ManualClock()
    geo = open_geo(clock, isp_database=isps, isp_doctypes=("*",))
    assert geo.locate((CLIENT, None)).isp == "Example Networks"
    write_database(Path(isps), {"203.0.113.0/24": {"isp": "Another"}})
    clock.advance(61)
    assert geo.locate((CLIENT, None)).isp == "Another"


def test_a_doctype_without_its_namespace_stops_the_start() -> None:
    with pytest.raises(BadConfig, match=r"isp_doctypes.*'main' names no doctype; write namespace/doctype, or \*"):
        load({"geo": GeoSettings}, environment={"CATCHMENT_GEO__ISP_DOCTYPES": "main"})


@pytest.mark.parametrize("name", ["database", "cities", "isp_database"])
def test_a_missing_file_stops_the_start_with_advice(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadConfig, match=rf"\[geo\] {name} .*missing"):
        open_geo(**{name: str(tmp_path / "missing")})


@given(
    address=st.ip_addresses().map(str),
    entries=st.lists(st.text(max_size=20), max_size=4),
    hops=st.integers(0, 5),
)
def test_the_address_is_an_entry_or_the_peer(address: str, entries: list[str], hops: int) -> None:
    forwarded = ",".join([*entries, address])
    found = client_address((PEER, forwarded), hops)
    assert found == PEER or found in [entry.strip() for entry in forwarded.split(",")]
