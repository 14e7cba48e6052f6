"""Lenient namespaces: paths are read as in 2018; every other namespace stays strict."""

from __future__ import annotations

import pytest
from decoder_kit import (
    FIREFOX_URI,
    GENERIC_URI,
    MAIN,
    OFFSET,
    SOURCE,
    TID,
    VALID,
    accepted,
    decode,
    open_decoder,
    raw,
    refused,
)
from hypothesis import given
from hypothesis import strategies as st

from catchment import message
from catchment.ingestion import streams
from catchment.ingestion.decoder.failure import Refusal
from catchment.ingestion.decoder.uri import read_leniently, read_uri
from catchment.ingestion.deduplication import Sighting
from catchment.ingestion.ledger.headings import of_raw
from catchment.ingestion.marking import Repeat

LENIENT = open_decoder(lenient_namespaces=("foo", "telemetry"))
ID = TID.lower()


@pytest.mark.parametrize(
    ("uri", "document_id"),
    [
        (f"{GENERIC_URI}/x/y", ID),
        (f"{GENERIC_URI}/", ID),
        ("/submit/foo/bar/1/no-uuid", "no-uuid"),
        ("/submit/foo/bar/01/No-UUID", "No-UUID"),
        (f"/submit//foo/bar///1/{TID}", ID),
        (f"//submit/foo/./x/../bar/1/{TID}", ID),
        (f"/submit/f%6fo/bar/1/{TID}", ID),
        ("/submit/foo/bar/1/a%20b%C3%A9", "a bé"),
        (f"/submit/foo%2Fbar/1/{TID}", ID),
        ("/submit/foo/bar/1/" + "x" * 256, "x" * 256),
    ],
)
def test_a_generic_path_is_read_as_in_2018(uri: str, document_id: str) -> None:
    document = accepted(raw(uri=uri), LENIENT)
    assert (document.namespace, document.doctype, document.version) == ("foo", "bar", 1)
    assert document.document_id == document_id
    assert refused(raw(uri=uri)).step == "uri"


@pytest.mark.parametrize(
    ("uri", "app"),
    [
        (f"{FIREFOX_URI}/x/y", ("Firefox", "61.0a1", "nightly", "20180328030202")),
        (FIREFOX_URI.replace(TID, "no-uuid"), ("Firefox", "61.0a1", "nightly", "20180328030202")),
        (FIREFOX_URI.replace("Firefox", "Fire%25fox") + "/", ("Fire%fox", "61.0a1", "nightly", "20180328030202")),
        ("/submit/telemetry/main/4/no-uuid", (None, None, None, None)),
        (f"/submit/telemetry/main/4/{TID}/Firefox/x", (None, None, None, None)),
    ],
)
def test_a_telemetry_path_is_read_as_in_2018(uri: str, app: tuple[str | None, ...]) -> None:
    document = accepted(raw(MAIN, uri), LENIENT)
    assert (document.namespace, document.doctype, document.version) == ("telemetry", "main", 4)
    assert (
        document.app_name,
        document.app_version,
        document.app_update_channel,
        document.app_build_id,
    ) == app


@pytest.mark.parametrize(
    "uri",
    [
        f"/submit/foo/bar/v1/{TID}",
        "/submit/foo/bar/1",
        f"/submit/foo/b.r/1/{TID}",
        "/submit/foo/bar/1/" + "x" * 257,
        "/submit/foo/bar/1/a%00b",
        "/submit/foo/bar/1/%ff",
        "/submit/foo/../bar/1/x",
        f"/submitted/foo/bar/1/{TID}",
        f"/submit/eng/bar/1/{TID}/x",
        "/submit/telemetry/x/main/Firefox/61.0a1/nightly",
        "/foobar",
        None,
        "",
    ],
)
def test_what_was_invalid_in_2018_and_other_namespaces_stay_errors(uri: str | None) -> None:
    assert refused(raw(uri=uri), LENIENT).code == refused(raw(uri=uri)).code
    assert refused(raw(uri=uri), LENIENT).step == "uri"


@given(
    st.lists(st.sampled_from(["foo", "bar", "1", "04", TID, "a%20b", "x.y"]), max_size=5)
    | st.lists(st.sampled_from(["bar", TID, "a%20b", "x.y"]), min_size=6, max_size=6).map(
        lambda rest: ["telemetry", *rest]
    )
)
def test_what_is_valid_strictly_means_the_same_leniently(parts: list[str]) -> None:
    uri = "/submit/" + "/".join(parts)
    strict = read_uri(uri)
    if not isinstance(strict, Refusal):
        assert read_leniently(uri, {strict[0].namespace}) == strict


@given(st.text(max_size=60))
def test_no_path_raises(text: str) -> None:
    for uri in (text, f"/submit/foo/{text}", f"/submit/telemetry/{text}/main/a/b/c/d", f"/submit/foo/bar/1/{text}"):
        read_leniently(uri, {"foo", "telemetry"})


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        (f"{GENERIC_URI}/x", ("foo", "bar")),
        (f"/submit//eng/build/1/{TID}", ("eng", "build")),
        (f"{FIREFOX_URI}/x", ("telemetry", "main")),
        ("/submit/foo/bar/1/no-uuid", ("foo", "bar")),
        ("/submit/foo/bar", (None, None)),
        ("/foobar", (None, None)),
    ],
)
def test_a_refused_path_is_named_as_the_lenient_reading_names_it(
    uri: str, named: tuple[str | None, str | None]
) -> None:
    """The ledger counts what was accepted by the path alone, strictly, whatever the namespace allows the decoder."""
    failure = refused(raw(uri=uri))
    assert (failure.namespace, failure.doctype) == named
    error = message.decode(streams.encode_failure(failure, SOURCE, OFFSET))
    assert (error.first("namespace"), error.first("docType")) == named
    assert error.logger == ("foo" if failure.code == "document_id_invalid" else "moz_ingest")
    document = decode(
        raw(MAIN if "telemetry" in uri else VALID, uri), open_decoder(lenient_namespaces=("foo", "eng", "telemetry"))
    )
    if named != (None, None):
        assert (document.namespace, document.doctype) == named
        assert of_raw(raw(uri=uri))[1:] == named


def test_ids_that_are_no_uuid_go_into_the_streams_and_are_told_apart() -> None:
    first, second = (accepted(raw(uri=f"/submit/foo/bar/1/{name}"), LENIENT) for name in ("x" * 36, "é" * 36))
    for document in (first, second):
        for encoded in (
            streams.encode_document(document, SOURCE, OFFSET),
            streams.encode_duplicate(document, Repeat(0), SOURCE, OFFSET),
        ):
            assert message.decode(encoded).first("documentId") == document.document_id
    keys = {Sighting.of(document, SOURCE, OFFSET).key for document in (first, second, accepted(raw(VALID)))}
    assert len(keys) == 3 and {len(key) for key in keys} == {24}
