"""What a document says of itself by its kind of body, when it was made, and how that stands in the streams."""

from __future__ import annotations

import datetime
from email.utils import format_datetime
from typing import Any

import orjson
import pytest
from decoder_kit import FIREFOX_URI, OFFSET, RECEIVED_NS, SOURCE, TID, VALID, accepted, raw
from hypothesis import given
from hypothesis import strategies as st

from catchment import message
from catchment.document import NOTHING_STATED, Document, Stated
from catchment.ingestion import streams
from catchment.ingestion.decoder.agents import ParsedAgent, parse_agent
from catchment.ingestion.decoder.dates import http_date_s, rfc3339_ns
from catchment.ingestion.decoder.kinds import kind_of
from catchment.ingestion.described import PARSED_AGENT
from catchment.message import Message

SECOND_NS = 1_000_000_000
PATH = ("Firefox", "61.0a1", "nightly", "20180328030202")
UNIFIED: dict[str, Any] = {
    "version": 4,
    "type": "other",
    "creationDate": "2015-11-05T01:25:43.312Z",
    "application": {
        "name": "Thunderbird",
        "version": "45.0",
        "channel": "beta-cdntest",
        "buildId": "20151103",
        "vendor": "Mozilla",
    },
    "environment": {
        "system": {"os": {"name": "Darwin", "version": "14.5.0"}},
        "settings": {"telemetryEnabled": False},
        "addons": {"activeExperiment": {"id": "an-experiment"}},
    },
    "payload": {"info": {"reason": "shutdown"}},
}


def sent(content: Any, doctype: str = "unheard-of") -> Document:
    return accepted(raw(orjson.dumps(content), FIREFOX_URI.replace("/main/", f"/{doctype}/")))


def stream(document: Document) -> Message:
    return message.decode(streams.encode_document(document, SOURCE, OFFSET))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"ver": 1, "version": 4, "v": 9}, "ver"),
        ({"ver": None, "version": 4, "deviceinfo": {}}, "version"),
        ({"version": "4"}, "version"),
        ({"version": {}, "deviceinfo": {"a": 1}, "v": 1}, "deviceinfo"),
        ({"deviceinfo": None, "v": 9}, "v"),
        ({"v": [9]}, None),
        ({"ver": False}, "ver"),
        ({}, None),
    ],
)
def test_the_first_key_that_is_not_null_tells_the_kind(content: dict[str, Any], kind: str | None) -> None:
    assert kind_of(content) == kind


@pytest.mark.parametrize(
    ("content", "stated"),
    [
        (
            UNIFIED,
            (4, "Thunderbird", "45.0", "beta-cdntest", "20151103", "Mozilla", "shutdown", "Darwin", False,
             "an-experiment"),
        ),
        ({"version": 4}, (4,)),
        ({"version": 4, "application": {"name": 7}, "environment": [], "payload": {"info": 1}}, (4,)),
        ({"version": 4, "environment": {"settings": {"telemetryEnabled": "yes"}}}, (4,)),
        (
            {"ver": 1, "info": {"appName": "Old", "appVersion": "3", "appUpdateChannel": "esr", "appBuildID": "1",
                                "reason": "idle-daily", "OS": "WINNT"}},
            ("1", "Old", "3", "esr", "1", None, "idle-daily", "WINNT", True),
        ),
        ({"ver": 1}, ("1", None, None, None, None, None, None, None, True)),
        ({"ver": 3, "info": {"appName": "Old"}}, ("3",)),
        ({"deviceinfo": {"os": "x"}}, ("3",)),
        ({"v": 9, "os": "Android"}, ("9",)),
        ({"v": {}}, (None,)),
        ({}, (None,)),
    ],
)  # fmt: skip
def test_a_kind_states_what_its_rules_read(content: dict[str, Any], stated: tuple[Any, ...]) -> None:
    assert sent(content).stated == Stated(*stated)


def test_other_namespaces_state_nothing_and_their_columns_are_untouched() -> None:
    document = accepted(raw(VALID))
    assert document.stated == NOTHING_STATED
    assert document.creation_ns is None


@pytest.mark.parametrize("content", [{"version": 4}, {"v": 9}, {"ver": 1}, {}])
def test_where_the_body_is_silent_the_path_speaks_of_the_application(content: dict[str, Any]) -> None:
    found = stream(sent(content))
    assert tuple(found.first(name) for name in ("appName", "appVersion", "appUpdateChannel", "appBuildId")) == PATH
    assert sent(content).normalized_channel == "nightly"


def test_the_channel_and_the_system_are_normalized_from_what_is_stated() -> None:
    old = sent({"ver": 1, "info": {"appUpdateChannel": "esr", "OS": "WINNT", "appName": "Fennec"}})
    assert (old.normalized_channel, old.normalized_os, old.normalized_app_name) == ("esr", "Windows", "Fennec")
    unified = sent(UNIFIED)
    assert (unified.normalized_channel, unified.normalized_os, unified.normalized_os_version) == (
        "beta", "Mac", "14.5.0",
    )  # fmt: skip
    assert (unified.app_name, unified.app_update_channel) == ("Firefox", "nightly")  # the path keeps its own columns


def test_the_stream_has_every_field_with_its_type() -> None:
    found = stream(sent(UNIFIED))
    assert [
        (name, found.first(name)) for name in ("docType", "sourceName", "sourceVersion", "appName", "appVersion")
    ] == [
        ("docType", "unheard-of"),
        ("sourceName", "telemetry"),
        ("sourceVersion", 4.0),
        ("appName", "Thunderbird"),
        ("appVersion", "45.0"),
    ]
    assert [found.first(name) for name in ("appUpdateChannel", "appBuildId", "appVendor", "reason", "os")] == [
        "beta-cdntest", "20151103", "Mozilla", "shutdown", "Darwin",
    ]  # fmt: skip
    assert (found.first("telemetryEnabled"), found.first("activeExperimentId")) == (False, "an-experiment")
    enabled, created = found.field("telemetryEnabled"), found.field("creationTimestamp")
    assert enabled is not None and enabled.value_type == message.BOOL
    assert created is not None and (created.value, created.value_type) == (1_446_686_743_312_000_000, message.INTEGER)


def test_a_generic_stream_has_none_of_them() -> None:
    found = stream(accepted(raw()))
    for name in ("sourceName", "sourceVersion", "appName", "creationTimestamp", "clockSkew", "geoISP"):
        assert found.field(name) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
        ("Sun Nov  6 08:49:37 1994", 784_111_777),
        ("06 Nov 1994 10:49:37 +0200", 784_111_777),
        ("soon", None),
        ("", None),
        ("\x00", None),
        ("Sun, 06 Foo 1994 08:49:37 GMT", None),
        ("1 Jan 99999999999 00:00:00 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT" + " " * 100, None),
    ],
)
def test_dates_of_headers(text: str, seconds: int | None) -> None:
    assert http_date_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("2015-11-05T01:25:43.312Z", 1_446_686_743_312_000_000),
        ("2015-11-05t01:25:43z", 1_446_686_743 * SECOND_NS),
        ("2015-11-05 01:25:43Z", 1_446_686_743 * SECOND_NS),
        ("2015-11-05T02:55:43.000000001+01:30", 1_446_686_743 * SECOND_NS + 1),
        ("2015-11-04T20:25:43.1234567899-05:00", 1_446_686_743 * SECOND_NS + 123_456_789),
        ("1969-12-31T23:59:59.5Z", -SECOND_NS // 2),
        ("2016-12-31T23:59:60Z", 1_483_228_800 * SECOND_NS),
        ("2015-11-05", None),
        ("2015-11-05T01:25:43", None),
        ("2015-02-30T01:25:43Z", None),
        ("2015-11-05T25:25:43Z", None),
        ("2015-11-05T01:25:61Z", None),
        ("2015-11-05T01:25:43+25:00", None),
        ("2015-W45-4T01:25:43Z", None),
        ("9999-12-31T23:59:59Z", None),
        ("٢015-11-05T01:25:43Z", None),
        ("", None),
        ("2015-11-05T01:25:43." + "1" * 100 + "Z", None),
    ],
)
def test_times_in_documents(text: str, time_ns: int | None) -> None:
    assert rfc3339_ns(text) == time_ns


@given(
    st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)),
    st.integers(-23 * 60, 23 * 60),
)
def test_every_time_is_read_exactly(time: datetime.datetime, ahead: int) -> None:
    aware = time.replace(tzinfo=datetime.timezone(datetime.timedelta(minutes=ahead)))
    micros = (aware - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)
    assert rfc3339_ns(aware.isoformat()) == micros * 1000
    assert http_date_s(format_datetime(aware)) == micros // 1_000_000


@pytest.mark.parametrize(("ahead_s", "skew_s"), [(0, 0), (3600, 3600), (-86_400, -86_400)])
def test_the_clock_skew_is_the_date_of_the_request_less_its_receipt(ahead_s: int, skew_s: int) -> None:
    at = datetime.datetime.fromtimestamp(RECEIVED_NS // SECOND_NS + ahead_s, datetime.UTC)
    document = accepted(raw(headers={"Date": format_datetime(at, usegmt=True)}))
    assert document.clock_skew_s == skew_s
    skew = stream(document).field("clockSkew")
    assert skew is not None and (skew.value, skew.representation) == (skew_s, "s")


@pytest.mark.parametrize("date", [None, "", "tomorrow"])
def test_without_a_readable_date_the_clock_skew_is_unknown(date: str | None) -> None:
    document = accepted(raw(headers={} if date is None else {"Date": date}))
    assert (document.clock_skew_s, document.header_date) == (None, date)


@pytest.mark.parametrize("created", [7, None, "yesterday", {"a": 1}])
def test_an_unreadable_creation_date_is_absent_and_no_error(created: Any) -> None:
    document = sent({"version": 4, "creationDate": created})
    assert document.creation_ns is None
    assert stream(document).field("creationTimestamp") is None


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 13_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/13.0.3 Mobile/15E148 Safari/604.1",
            ParsedAgent("Mobile Safari", "13.0.3", "iOS", "13.2", "iPhone"),
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:59.0) Gecko/20100101 Firefox/59.0",
            ParsedAgent("Firefox", "59.0", "Linux", None, None),
        ),
        ("curl/7.29.0", ParsedAgent("curl", "7.29.0", None, None, None)),
        ("pingsender/1.0", ParsedAgent()),
        ("", ParsedAgent()),
    ],
)
def test_ua_parser_reads_user_agents_too(text: str, parsed: ParsedAgent) -> None:
    assert parse_agent(text) == parsed
    document = accepted(raw(headers={"User-Agent": text}))
    assert ParsedAgent(*(getattr(document, name) for name in PARSED_AGENT)) == parsed
    found = stream(document)
    assert tuple(found.first(name) for name in PARSED_AGENT) == parsed


def test_headers_of_the_request_are_fields_of_the_stream() -> None:
    headers = {
        "Date": "Tue, 26 Jun 2018 08:00:00 GMT",
        "DNT": "1",
        "Host": "incoming.example.org",
        "X-PingSender-Version": "1.0",
        "X-Debug-ID": "try-1",
        "X-Source-Tags": "automation, nightly",
    }
    found = stream(accepted(raw(b"{}", FIREFOX_URI.replace("/main/", "/unheard-of/"), headers=headers)))
    assert {name: found.first(name) for name in headers} == headers
    assert found.first("documentId") == TID.lower()
