"""Clients follow from the seed, spread as they should, and their addresses lie where they say."""

from __future__ import annotations

import sys
import uuid
from collections import Counter
from pathlib import Path

import maxminddb
import pytest

from catchment.ingestion.decoder.metadata import normalize_channel, normalize_os
from catchment.producers.client import client_of, user_agent
from catchment.producers.places import COUNTRIES

FLEET = [client_of(1, number) for number in range(2000)]


def test_a_client_is_the_same_for_the_same_seed_and_number() -> None:
    assert FLEET[:50] == [client_of(1, number) for number in range(50)]
    assert len({client.client_id for client in FLEET}) == len(FLEET)
    assert not {client.client_id for client in FLEET} & {client_of(2, number).client_id for number in range(200)}
    assert FLEET[0].client_id == client_of(1, 0).client_id == str(uuid.UUID(FLEET[0].client_id))


def test_the_fleet_has_all_channels_systems_and_countries_in_their_shares() -> None:
    channels = Counter(normalize_channel(client.build.channel) for client in FLEET)
    systems = Counter(normalize_os(client.system.name) for client in FLEET)
    assert [name for name, _ in channels.most_common()] == ["release", "esr", "beta", "nightly"]
    assert systems.most_common(1)[0][0] == "Windows"
    assert set(systems) == {"Windows", "Mac", "Linux"}
    assert {client.country for client in FLEET} == {country.code for country in COUNTRIES}
    assert 0.03 < sum(client.age_days == 0 for client in FLEET) / len(FLEET) < 0.1
    assert {client.build.version for client in FLEET if client.build.channel == "esr"} == {"153.7.0", "140.18.0"}


def test_the_user_agent_names_the_version_and_the_system() -> None:
    client = next(client for client in FLEET if client.system.name == "Linux" and client.build.version == "159.0")
    assert user_agent(client) == "Mozilla/5.0 (X11; Linux x86_64; rv:159.0) Gecko/20100101 Firefox/159.0"


def test_every_address_lies_in_its_country() -> None:
    database = Path(sys.prefix) / "share" / "catchment" / "country.mmdb"
    if not database.is_file():
        pytest.skip(f"there is no country database (looked in {database}); `make setup` fetches it")
    with maxminddb.open_database(database) as reader:
        found = {client.address: reader.get(client.address) for client in FLEET}
    wrong = [(client.address, client.country) for client in FLEET if _code(found[client.address]) != client.country]
    assert wrong == []


def _code(record: object) -> object:
    return record.get("country_code") if isinstance(record, dict) else None
