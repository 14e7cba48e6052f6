"""The decoder's part of the conformance cases, by number, and the rules of each step."""

from __future__ import annotations

import orjson
import pytest
from decoder_kit import (
    CLIENT,
    FIREFOX_59,
    FIREFOX_URI,
    MAIN,
    OFFSET,
    PEER,
    RECEIVED_NS,
    SOURCE,
    TID,
    VALID,
    accepted,
    raw,
    refused,
    zipped,
)

from catchment import message
from catchment.ingestion import streams
from catchment.ingestion.decoder.agents import Agent, read_agent
from catchment.ingestion.decoder.metadata import (
    COUNTRIES,
    body_version,
    client_of,
    normalize_app_name,
    normalize_channel,
    normalize_country,
    normalize_os,
    normalize_os_version,
    os_of,
    sample_id,
)
from catchment.ingestion.decoder.repeats import repeated_key
from catchment.ingestion.marking import Repeat
from catchment.message import Message


def error_message(record: bytes) -> Message:
    return message.decode(streams.encode_failure(refused(record), SOURCE, OFFSET))


def test_c25_a_missing_uri_is_an_error_of_the_edge() -> None:
    error = error_message(raw(uri=None))
    assert (error.logger, error.type) == ("moz_ingest", "error")
    assert (error.first("DecodeErrorType"), error.first("DecodeError")) == ("uri", "missing uri")


def test_c26_an_invalid_uri_is_kept_and_the_peer_is_not() -> None:
    error = error_message(raw(uri="/foobar"))
    assert (error.first("DecodeErrorType"), error.first("DecodeError")) == ("uri", "invalid uri")
    assert error.first("uri") == "/foobar"
    assert error.first("remote_addr") is None


def test_c27_a_generic_ping_is_decoded_with_its_user_agent() -> None:
    document = accepted(raw(zipped(VALID), headers={"User-Agent": FIREFOX_59}))
    decoded = message.decode(streams.encode_document(document, SOURCE, OFFSET))
    assert (decoded.logger, decoded.type, decoded.hostname) == ("foo", "validated", "edge-1")
    assert (decoded.uuid, decoded.timestamp) == (bytes(range(16)), RECEIVED_NS)
    assert decoded.first("docType") == "bar"
    assert decoded.first("docVersion") == 1.0
    assert decoded.first("documentId") == TID.lower()
    agent = [decoded.first(f"user_agent_{part}") for part in ("browser", "version", "os")]
    assert agent == ["Firefox", 59.0, "Linux"]
    submission = decoded.field("submission")
    assert submission is not None
    assert (submission.value, submission.value_type, submission.representation) == (VALID, message.BYTES, "json")
    assert decoded.first("User-Agent") is None


def test_c28_a_violation_names_keyword_and_pointers_and_keeps_the_content() -> None:
    body = b'{"xString":"string one"}'
    error = error_message(raw(body))
    assert (error.logger, error.type, error.first("DecodeErrorType")) == ("foo", "error", "json")
    assert error.first("DecodeError") == (
        "namespace: foo schema: bar version: 1 error: SchemaURI: # Keyword: required DocumentURI: #"
    )
    assert "exampleString" in str(error.first("DecodeErrorDetail"))
    assert error.first("content") == body


def test_c29_a_generic_doctype_without_schema_is_an_error() -> None:
    error = error_message(raw(b"{}", f"/submit/bar/bar/1/{TID}"))
    assert str(error.first("DecodeError")).endswith("schema not found")
    assert error.first("errorCode") == "schema_not_found"


def test_c30_an_empty_body_fails_at_offset_0() -> None:
    error = error_message(raw(b""))
    assert error.first("DecodeErrorType") == "json"
    assert str(error.first("DecodeError")).startswith("invalid submission: failed to parse offset:0")


def test_c31_no_address_is_in_any_output() -> None:
    record = raw(forwarded=f"127.0.0.1, {CLIENT}")
    document = accepted(record)
    outputs = [
        streams.encode_document(document, SOURCE, OFFSET),
        streams.encode_duplicate(document, Repeat(0), SOURCE, OFFSET),
        streams.encode_failure(refused(raw(b"", forwarded=f"127.0.0.1, {CLIENT}")), SOURCE, OFFSET),
    ]
    for output in outputs:
        assert CLIENT.encode() not in output and PEER.encode() not in output


def test_c35_a_duplicate_is_metadata_with_its_distance_in_time() -> None:
    document = accepted(raw())
    found = message.decode(streams.encode_duplicate(document, Repeat(361 * 10**9), SOURCE, OFFSET))
    delta = found.field("duplicateDelta")
    assert (found.logger, found.type) == ("foo", "duplicate")
    assert delta is not None and (delta.value, delta.representation) == (1, "6m")
    assert found.first("submission") is None
    telemetry = streams.encode_duplicate(accepted(raw(MAIN, FIREFOX_URI)), Repeat(0), SOURCE, OFFSET)
    assert message.decode(telemetry).type == "telemetry.duplicate"


SAVED_SESSION = {
    "type": "saved-session",
    "version": 4,
    "clientId": "5c1a7e00-0000-4000-8000-000000000018",
    "creationDate": "2015-11-05T01:25:43.312Z",
    "environment": {"system": {"os": {"name": "Darwin", "version": "14.5.0"}}, "build": {"architecture": "x86"}},
    "payload": {"info": {"reason": "shutdown"}, "histograms": {"A": {"sum": 1}}, "processes": {"content": {}}},
}


def test_c38_a_unified_ping_has_its_numbers_and_stays_whole() -> None:
    body = orjson.dumps(SAVED_SESSION)
    document = accepted(raw(body, FIREFOX_URI.replace("/main/", "/saved-session/")))
    decoded = message.decode(streams.encode_document(document, SOURCE, OFFSET))
    assert (decoded.logger, decoded.type) == ("telemetry", "telemetry")
    assert (decoded.first("sourceVersion"), decoded.first("sampleId")) == (4.0, 50.0)
    assert (decoded.first("normalizedOSVersion"), decoded.first("reason")) == ("14.5.0", "shutdown")
    assert decoded.first("creationTimestamp") == 1_446_686_743_312_000_000
    assert decoded.first("submissionDate") == "20180626"
    assert decoded.first("appUpdateChannel") == decoded.first("normalizedChannel") == "nightly"
    assert decoded.first("submission") == body
    assert [decoded.first(f"source{part}") for part in ("Topic", "Partition", "Offset")] == ["raw", 3, 41]


def test_c39_a_mobile_ping_has_normalized_os_and_app() -> None:
    uri = f"/submit/telemetry/{TID}/core/Fennec/61.0/release/20180328030202"
    body = b'{"v":9,"os":"Android","osversion":"23","clientId":"5c1a7e00-0000-4000-8000-00000000001c"}'
    document = accepted(raw(body, uri))
    assert (document.version, document.normalized_os, document.normalized_os_version) == (9, "Android", "23")
    decoded = message.decode(streams.encode_document(document, SOURCE, OFFSET))
    assert (decoded.first("sourceVersion"), decoded.first("sampleId")) == ("9", 46.0)
    assert (decoded.first("normalizedOs"), decoded.first("normalizedAppName")) == ("Android", "Fennec")


def test_c40_telemetry_without_a_schema_is_accepted_whole() -> None:
    document = accepted(raw(b'{"version":4,"x":1}', FIREFOX_URI.replace("main", "unheard-of")))
    assert (document.namespace, document.doctype, document.version) == ("telemetry", "unheard-of", 4)
    assert document.content == {"version": 4, "x": 1}


def test_c41_telemetry_must_be_an_object() -> None:
    assert refused(raw(b"[]", FIREFOX_URI)).code == "json_not_object"
    error = error_message(raw(b"[]", FIREFOX_URI))
    assert (error.logger, error.type) == ("telemetry", "telemetry.error")


@pytest.mark.parametrize(
    ("channel", "normalized"),
    [
        ("release", "release"),
        ("Release", "Other"),
        ("esr", "esr"),
        ("esr52", "Other"),
        ("beta-cdntest", "beta"),
        ("beta", "beta"),
        ("nightly-cck-ubuntu", "nightly"),
        ("nightlyx", "Other"),
        ("aurora", "aurora"),
    ],
)
def test_c42_channels(channel: str, normalized: str) -> None:
    assert normalize_channel(channel) == normalized


@pytest.mark.parametrize(
    ("version", "normalized"),
    [("10.10.3.4.1", "10.10.3"), ("3.13.0-168-lowlatency", "3.13.0"), ("hi", None), ("10", "10"), ("", None)],
)
def test_c43_os_versions(version: str, normalized: str | None) -> None:
    assert normalize_os_version(version) == normalized


@pytest.mark.parametrize(
    ("client_id", "sample"),
    [("2907648d-711b-4e9f-94b5-52a2b40a44b1", 67), ("90210716-99f8-0a4f-8119-9bfc16cd68a3", 17)],
)
def test_c44_sample_ids(client_id: str, sample: int) -> None:
    assert sample_id(client_id) == sample


AGENTS = {
    "Mozilla/5.0 (Windows NT 6.2) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/32.0.1667.0 Safari/537.36": Agent(
        "Chrome", "32", "Windows 8"
    ),
    "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.1; Trident/6.0)": Agent("MSIE", "10", "Windows 7"),
    "Mozilla/5.0 (Windows NT 6.3; Trident/7.0; rv:11.0) like Gecko": Agent("MSIE", "11", "Windows 8.1"),
    "Firefox-iOS-Sync/1.0 (Firefox)": Agent("FxSync", "1", "iOS"),
    "Firefox AndroidSync 1.29.0.0 (Firefox)": Agent("FxSync", "1", "Android"),
    "curl/7.29.0": Agent(),
    FIREFOX_59: Agent("Firefox", "59", "Linux"),
    "Mozilla/5.0 (Mobile; rv:26.0) Gecko/26.0 Firefox/26.0": Agent("Firefox", "26", "FirefoxOS"),
    "Opera/9.80 (X11; Linux x86_64) Presto/2.12.388 Version/12.16": Agent("Opera", "12", "Linux"),
    "Mozilla/5.0 (iPad; CPU OS 7_0 like Mac OS X) Version/7.0 Mobile/11A Safari/9537.53": Agent(
        "Safari", "9537", "iPad"
    ),
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.9) Firefox/": Agent("Firefox", None, "Macintosh"),
    "": Agent(),
}


@pytest.mark.parametrize("text", AGENTS)
def test_c45_user_agents(text: str) -> None:
    assert read_agent(text) == AGENTS[text]


def test_c52_an_over_limit_body_is_an_ungzip_failure() -> None:
    error = error_message(raw(zipped(b" " * (8 * 1024 * 1024 + 1))))
    assert (error.first("DecodeErrorType"), error.first("errorCode")) == ("json", "body_too_large")
    assert str(error.first("DecodeError")).startswith("invalid submission: ungzip failed")


def test_the_document_id_is_kept_in_lower_case_and_the_app_percent_decoded() -> None:
    document = accepted(raw(MAIN, FIREFOX_URI.replace("Firefox", "Firefox%20F%C3%B6cus")))
    assert document.document_id == TID.lower()
    assert (document.app_name, document.app_version, document.app_update_channel, document.app_build_id) == (
        "Firefox Föcus",
        "61.0a1",
        "nightly",
        "20180328030202",
    )


def test_a_generic_path_in_the_telemetry_namespace_takes_its_version_from_the_path() -> None:
    document = accepted(raw(b'{"version":4}', f"/submit/telemetry/main/04/{TID}"))
    assert (document.doctype, document.version, document.app_name) == ("main", 4, None)


@pytest.mark.parametrize(
    ("content", "version"),
    [
        ({"version": 4}, 4),
        ({"version": 4.0}, 4),
        ({"version": "4"}, 4),
        ({"v": 9}, 9),
        ({"ver": 3}, 3),
        ({"version": None, "v": 2}, 2),
        ({}, 1),
        ({"version": "61.0"}, 1),
        ({"version": ""}, 1),
        ({"version": "²"}, 1),
        ({"version": True}, 1),
        ({"version": -1}, 1),
        ({"version": 10**30}, 1),
        ({"version": 1.5}, 1),
        ({"version": [4]}, 1),
    ],
)
def test_the_body_states_the_version_of_the_firefox_form(content: dict[str, object], version: int) -> None:
    assert body_version(content) == version


@pytest.mark.parametrize(
    ("content", "client_id"),
    [
        ({"clientId": "a"}, "a"),
        ({"client_id": "b"}, "b"),
        ({"clientID": "c"}, "c"),
        ({"client_info": {"client_id": "d"}}, "d"),
        ({"clientId": None, "client_id": "b"}, "b"),
        ({"clientId": 5}, None),
        ({"clientId": ""}, None),
        ({"clientId": "x" * 257}, None),
        ({"client_info": "text"}, None),
        ({}, None),
    ],
)
def test_the_client_id_is_found_in_each_kind_of_ping(content: dict[str, object], client_id: str | None) -> None:
    assert client_of(content) == client_id


@pytest.mark.parametrize(
    ("content", "os"),
    [
        ({"environment": {"system": {"os": {"name": "Darwin", "version": "14.5.0"}}}}, ("Darwin", "14.5.0")),
        ({"client_info": {"os": "Windows", "os_version": "10.0"}}, ("Windows", "10.0")),
        ({"os": "iOS", "osversion": "11.2"}, ("iOS", "11.2")),
        ({"environment": {"system": []}}, (None, None)),
        ({"environment": {"system": {"os": {"name": 7}}}}, (None, None)),
        ({"os": {}}, (None, None)),
    ],
)
def test_the_operating_system_is_found_in_each_kind_of_ping(
    content: dict[str, object], os: tuple[str | None, str | None]
) -> None:
    assert os_of(content) == os


@pytest.mark.parametrize(
    ("name", "normalized"),
    [
        ("Windows_NT", "Windows"),
        ("WINNT", "Windows"),
        ("Darwin", "Mac"),
        ("GNU/Linux", "Linux"),
        ("FreeBSD", "Linux"),
        ("SunOS", "Linux"),
        ("iOS", "iOS"),
        ("iPhone OS", "iOS"),
        ("Android", "Android"),
        ("BeOS", "Other"),
        ("windows", "Other"),
    ],
)
def test_operating_systems(name: str, normalized: str) -> None:
    assert normalize_os(name) == normalized


@pytest.mark.parametrize(
    ("name", "normalized"),
    [
        ("Firefox", "Firefox"),
        ("Fennec", "Fennec"),
        ("Focus-TV", "Focus-TV"),
        ("Focus", "Focus"),
        ("Zerda_cn", "Zerda_cn"),
        ("FirefoxReality_wavevr", "FirefoxReality_wavevr"),
        ("Firefox2", "Other"),
    ],
)
def test_application_names(name: str, normalized: str) -> None:
    assert normalize_app_name(name) == normalized


def test_countries_are_the_249_codes_or_other() -> None:
    assert len(COUNTRIES) == 249
    assert [normalize_country(code) for code in ("us", "DE", "??", "XX")] == ["US", "DE", "Other", "Other"]


def test_headers_are_found_however_the_edge_spells_them() -> None:
    headers = {"date": "d", "dnt": "1", "HOST": "h", "x-debug-id": "t", "x_source_tags": "automation"}
    document = accepted(raw(headers=headers))
    assert (document.header_date, document.header_dnt, document.header_host) == ("d", "1", "h")
    assert (document.header_x_debug_id, document.header_x_source_tags) == ("t", "automation")


def test_the_first_repeated_key_is_named() -> None:
    assert repeated_key(b'{"a":{"b":1,"b":2},"a":3}') == "b"
    assert repeated_key(b'{"a":{"b":1},"c":{"b":2}}') is None
