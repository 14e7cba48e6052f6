"""What strangers send: each ends in its documented code, and the pings beside it come through."""

from __future__ import annotations

import random
import struct
import zlib

import pytest
from decoder_kit import (
    CLIENT,
    FIREFOX_URI,
    GENERIC_URI,
    PEER,
    SOURCE,
    TID,
    VALID,
    accepted,
    decode,
    open_decoder,
    raw,
    refused,
    zipped,
)

from catchment.document import Document
from catchment.ingestion.decoder.failure import CODES, MAX_DETAIL_BYTES, Failure

LIMIT = 8 * 1024 * 1024


def body_of(text: str) -> bytes:
    return b'{"exampleString":' + text.encode() + b"}"


def deep(levels: int, opening: str = "[", closing: str = "]") -> bytes:
    return body_of(opening * levels + closing * levels)


def lying_size(size: int) -> bytes:
    return zipped(VALID)[:-4] + struct.pack("<I", size)


def flipped(record: bytes, at: int) -> bytes:
    return record[:at] + bytes((record[at] ^ 0xFF,)) + record[at + 1 :]


BODIES: dict[str, tuple[bytes, str]] = {
    "empty body": (b"", "json_empty"),
    "empty gzip member": (zipped(b""), "json_empty"),
    "only white space": (b" \n\t ", "json_invalid"),
    "not JSON": (b"foo", "json_invalid"),
    "cut off": (VALID[:-1], "json_invalid"),
    "bytes behind the document": (VALID + b" x", "json_invalid"),
    "two documents": (VALID + VALID, "json_invalid"),
    "NUL behind the document": (VALID + b"\0", "json_invalid"),
    "byte-order mark": (b"\xef\xbb\xbf" + VALID, "json_invalid"),
    "UTF-16": (VALID.decode().encode("utf-16"), "json_invalid"),
    "invalid UTF-8": (b'{"exampleString":"\xff\xfe"}', "json_invalid"),
    "overlong UTF-8": (b'{"exampleString":"\xc0\xaf"}', "json_invalid"),
    "surrogate in UTF-8": (b'{"exampleString":"\xed\xa0\x80"}', "json_invalid"),
    "lone surrogate escape": (body_of(r'"\ud800"'), "json_invalid"),
    "reversed surrogate escapes": (body_of(r'"\udc00\ud800"'), "json_invalid"),
    "control character in a string": (b'{"exampleString":"a\x01b"}', "json_invalid"),
    "raw NUL in a string": (b'{"exampleString":"a\0b"}', "json_invalid"),
    "NaN": (b'{"exampleString":"a","n":NaN}', "json_invalid"),
    "Infinity": (b'{"exampleString":"a","n":-Infinity}', "json_invalid"),
    "1e999": (b'{"exampleString":"a","n":1e999}', "json_invalid"),
    "5,000 digits": (b'{"exampleString":"a","n":' + b"9" * 5000 + b"}", "json_invalid"),
    "leading zero": (b'{"exampleString":"a","n":01}', "json_invalid"),
    "hexadecimal": (b'{"exampleString":"a","n":0x10}', "json_invalid"),
    "single quotes": (b"{'exampleString':'a'}", "json_invalid"),
    "trailing comma": (b'{"exampleString":"a",}', "json_invalid"),
    "comment": (b'{"exampleString":"a"/* */}', "json_invalid"),
    "an integer over 64 bits": (b'{"exampleString":"a","n":18446744073709551616}', "schema_violation"),
    "an array": (b"[]", "json_not_object"),
    "a string": (b'"text"', "json_not_object"),
    "a number": (b"17", "json_not_object"),
    "null": (b"null", "json_not_object"),
    "100,000 brackets, never closed": (b"[" * 100_000, "json_too_deep"),
    "100,000 objects, never closed": (b'{"a":' * 100_000, "json_too_deep"),
    "300 levels": (deep(300), "json_too_deep"),
    "255 levels": (deep(254), "json_too_deep"),
    "a key twice": (b'{"exampleString":"a","exampleString":"b"}', "json_duplicate_key"),
    "a key twice, as text and as number": (b'{"exampleString":"a","x":"1","x":1}', "json_duplicate_key"),
    "a key twice, with numbers that round alike": (
        b'{"exampleString":"a","x":9007199254740993.0,"x":9007199254740992.0}',
        "json_duplicate_key",
    ),
    "a key twice, once escaped": (b'{"exampleString":"a","\\u0065xampleString":"b"}', "json_duplicate_key"),
    "a key twice behind an escaped quote": (b'{"exampleString":"\\u0022\\u0022","a":1,"a":2}', "json_duplicate_key"),
    "a key twice, deep and spaced": (
        b'{ "exampleString" : "a", "x" : [ { "k" : 1, "k" : 2 } ] }',
        "json_duplicate_key",
    ),
    "the empty key twice": (b'{"exampleString":"a","":1,"":2}', "json_duplicate_key"),
    "missing property": (b'{"xString":"string one"}', "schema_violation"),
    "wrong type": (b'{"exampleString":17}', "schema_violation"),
    "gzip: magic only": (b"\x1f\x8b", "gzip_corrupt"),
    "gzip: header only": (zipped(VALID)[:10], "gzip_corrupt"),
    "gzip: truncated": (zipped(VALID)[:-12], "gzip_corrupt"),
    "gzip: trailer truncated": (zipped(VALID)[:-1], "gzip_corrupt"),
    "gzip: wrong checksum": (flipped(zipped(VALID), -6), "gzip_corrupt"),
    "gzip: wrong size": (lying_size(7), "gzip_corrupt"),
    "gzip: size 4 GiB": (lying_size(0xFFFFFFFF), "gzip_corrupt"),
    "gzip: flipped data": (flipped(zipped(b"a" * 4000), 14), "gzip_corrupt"),
    "gzip: unknown method": (flipped(zipped(VALID), 2), "gzip_corrupt"),
    "gzip: garbage": (b"\x1f\x8b" + random.Random(7).randbytes(500), "gzip_corrupt"),
    "gzip: two members": (zipped(VALID) + zipped(VALID), "gzip_trailing"),
    "gzip: two members, one document": (zipped(VALID[:9]) + zipped(VALID[9:]), "gzip_trailing"),
    "gzip: bytes behind": (zipped(VALID) + b"\0\0\0\0", "gzip_trailing"),
    "gzip: in gzip": (zipped(zipped(VALID)), "json_invalid"),
    "gzip: bomb": (zipped(b"\0" * (LIMIT + 1)), "body_too_large"),
    "gzip: bomb that states a small size": (zipped(b" " * 3 * LIMIT)[:-4] + b"\1\0\0\0", "body_too_large"),
    "gzip: bomb of 256 MiB": (zlib.compress(b" " * 256 * 1024 * 1024, 1, 31), "body_too_large"),
    "zlib without gzip": (zlib.compress(VALID), "json_invalid"),
    "over the limit, plain": (b" " * (LIMIT + 1), "body_too_large"),
}

URIS: dict[str, tuple[str | None, str]] = {
    "none": (None, "uri_missing"),
    "empty": ("", "uri_missing"),
    "another path": ("/foobar", "uri_invalid"),
    "/submit alone": ("/submit", "uri_invalid"),
    "nothing behind": ("/submit/", "uri_invalid"),
    "no version and id": ("/submit/foo/bar", "uri_invalid"),
    "one component too many": (f"{GENERIC_URI}/x", "uri_invalid"),
    "trailing slash": (f"{GENERIC_URI}/", "uri_invalid"),
    "double slash": (f"/submit/foo//1/{TID}", "uri_invalid"),
    "upper case prefix": (GENERIC_URI.replace("submit", "SUBMIT"), "uri_invalid"),
    "query in the path": (f"{GENERIC_URI}?v=4", "document_id_invalid"),
    "version v1": (f"/submit/foo/bar/v1/{TID}", "uri_invalid"),
    "negative version": (f"/submit/foo/bar/-1/{TID}", "uri_invalid"),
    "version of ten digits": (f"/submit/foo/bar/1234567890/{TID}", "uri_invalid"),
    "version in Arabic digits": (f"/submit/foo/bar/١/{TID}", "uri_invalid"),
    "namespace with a dot": (f"/submit/foo.x/bar/1/{TID}", "uri_invalid"),
    "namespace upwards": (f"/submit/../bar/1/{TID}", "uri_invalid"),
    "namespace with a quote": (f'/submit/foo";drop/bar/1/{TID}', "uri_invalid"),
    "namespace percent-encoded": (f"/submit/f%6fo/bar/1/{TID}", "uri_invalid"),
    "namespace beginning with -": (f"/submit/-foo/bar/1/{TID}", "uri_invalid"),
    "namespace of 101 letters": (f"/submit/{'n' * 101}/bar/1/{TID}", "uri_invalid"),
    "doctype with a letter that is no ASCII": (f"/submit/foo/bär/1/{TID}", "uri_invalid"),
    "doctype with a line end": (f"/submit/foo/bar\n/1/{TID}", "uri_invalid"),
    "no UUID": ("/submit/foo/bar/1/not-a-uuid", "document_id_invalid"),
    "UUID with a line end": (f"{GENERIC_URI}\n", "document_id_invalid"),
    "UUID without dashes": (f"/submit/foo/bar/1/{TID.replace('-', '')}", "document_id_invalid"),
    "UUID in braces": (f"/submit/foo/bar/1/{{{TID}}}", "document_id_invalid"),
    "UUID with short groups": ("/submit/foo/bar/1/1-1-1-1-1", "document_id_invalid"),
    "Firefox form cut short": (FIREFOX_URI.rpartition("/")[0], "uri_invalid"),
    "Firefox form too long": (f"{FIREFOX_URI}/x", "uri_invalid"),
    "Firefox form, empty channel": (FIREFOX_URI.replace("nightly", ""), "uri_invalid"),
    "Firefox form, bad escape": (FIREFOX_URI.replace("nightly", "%ff"), "uri_invalid"),
    "Firefox form, escaped NUL": (FIREFOX_URI.replace("nightly", "a%00b"), "uri_invalid"),
    "Firefox form, long channel": (FIREFOX_URI.replace("nightly", "n" * 257), "uri_invalid"),
    "Firefox form, no UUID": (FIREFOX_URI.replace(TID, "x"), "document_id_invalid"),
    "Firefox form, doctype with a dot": (FIREFOX_URI.replace("main", "ma.in"), "uri_invalid"),
    "no such schema": (f"/submit/bar/bar/1/{TID}", "schema_not_found"),
    "no such version": (f"/submit/foo/bar/2/{TID}", "schema_not_found"),
    "a schema that does not compile": (f"/submit/broken/schema/1/{TID}", "schema_unusable"),
    "100,000 slashes": ("/submit" + "/" * 100_000, "uri_invalid"),
}

MESSAGE = raw()
RECORDS: dict[str, bytes] = {
    "empty": b"",
    "one byte": b"\x0a",
    "text": b"GET / HTTP/1.1",
    "truncated in the head": MESSAGE[:20],
    "truncated in the time": MESSAGE[:24],
    "truncated in the peer's address": MESSAGE[: MESSAGE.index(PEER.encode()) + 9],
    "truncated in the body": MESSAGE[:-3],
    "a byte behind": MESSAGE + b"\x52",
    "unknown tag": MESSAGE + b"\x7a\x01x",
    "no uuid": MESSAGE[18:],
    "uuid of 15 bytes": b"\x0a\x0f" + MESSAGE[3:],
    "length beyond the end": MESSAGE[:-1] + b"",
    "framed": b"\x1e\x02\x08\x10\x1f" + MESSAGE,
    "endless varint": MESSAGE[:18] + b"\x10" + b"\xff" * 30,
    "zeros": b"\0" * 100,
}


def check(failure: Failure, code: str) -> None:
    assert failure.code == code
    assert failure.step == CODES[code][0]
    assert failure.message
    assert len(failure.detail.encode()) <= MAX_DETAIL_BYTES


def test_a_key_twice_with_one_value_is_certain_and_accepted() -> None:
    accepted = decode(raw(b'{"exampleString":"a","exampleString":"a","x":{"k":[1,{}],"k":[1,{}]}}'))
    assert isinstance(accepted, Document)
    assert accepted.content == {"exampleString": "a", "x": {"k": [1, {}]}}


@pytest.mark.parametrize("case", BODIES)
def test_a_bad_body_ends_in_its_code_and_is_kept_as_received(case: str) -> None:
    body, code = BODIES[case]
    before, bad, after = decode(raw()), refused(raw(body)), decode(raw(zipped(VALID)))
    check(bad, code)
    assert bad.body == body
    assert (bad.uri, bad.namespace, bad.doctype, bad.version) == (GENERIC_URI, "foo", "bar", 1)
    assert bad.document_id == TID.lower()
    assert isinstance(before, Document) and isinstance(after, Document)


@pytest.mark.parametrize("case", URIS)
def test_a_bad_path_ends_in_its_code_and_is_kept_as_received(case: str) -> None:
    uri, code = URIS[case]
    before, bad, after = decode(raw()), refused(raw(uri=uri)), decode(raw())
    check(bad, code)
    assert (bad.uri, bad.body) == (uri, VALID)
    assert isinstance(before, Document) and isinstance(after, Document)


@pytest.mark.parametrize("case", RECORDS)
def test_a_record_that_is_no_message_ends_in_its_code_and_is_kept_without_addresses(case: str) -> None:
    record = RECORDS[case]
    bad = refused(record)
    check(bad, "message_malformed")
    assert len(bad.body) == len(record)
    assert PEER[:9].encode() not in bad.body
    assert isinstance(decode(raw()), Document)


@pytest.mark.parametrize(
    "body",
    [
        deep(253),
        b'{"exampleString":"a","n":9223372036854775807}',
        b'{"exampleString":"a\\u0000b"}',
        b'{"exampleString":"\\ud83d\\ude00"}',
        b'{"exampleString":"\\u0022quoted\\u0022"}',
        b'{"exampleString":"a\\/b","x":1e3,"y":-0,"z":1.0}',
        '{"exampleString":"é","":1,"\\u0000":2," ":3,"a.b":4,"$ref":5,"__proto__":6}'.encode(),
        b' { "exampleString" : "a" , "a" : { "b" : 1 } , "c" : { "b" : 1 } } \n',
        body_of('"' + "x" * 1_000_000 + '"'),
        b'{"exampleString":"a","n":-1}',
    ],
    ids=lambda body: body[:40].decode(errors="replace"),
)
def test_an_odd_body_that_breaks_no_rule_is_accepted_as_it_is(body: bytes) -> None:
    if body == deep(253):
        assert refused(raw(body)).code == "schema_violation"  # deep enough for JSON, a text by the schema
        return
    assert accepted(raw(body)).body == body
    assert accepted(raw(zipped(body))).body == body


def test_an_escaped_quote_costs_a_second_look_and_nothing_else() -> None:
    document = accepted(raw(b'{"exampleString":"\\u0022","a":{"b":1},"c":{"b":2}}'))
    assert document.content == {"exampleString": '"', "a": {"b": 1}, "c": {"b": 2}}


def test_a_body_of_exactly_the_limit_is_accepted() -> None:
    decoder = open_decoder(max_json_bytes=2048)
    body = body_of('"' + "x" * (2048 - 20) + '"')
    assert len(body) == 2048
    assert accepted(raw(body), decoder).body == body
    assert accepted(raw(zipped(body)), decoder).body == body
    assert refused(raw(zipped(body + b" ")), decoder).code == "body_too_large"


def test_a_gzip_member_with_name_comment_and_extra_is_accepted() -> None:
    member = zipped(VALID)
    dressed = member[:3] + b"\x1c" + member[4:10] + b"\x02\0ab" + b"name\0" + b"comment\0" + member[10:]
    assert accepted(raw(dressed)).body == VALID


def test_a_body_that_holds_the_gzip_magic_in_its_data_is_not_mistaken_for_two_members() -> None:
    stored = zlib.compressobj(0, zlib.DEFLATED, 31)
    body = b'{"exampleString":"a"}'.ljust(64)
    packed = stored.compress(body) + stored.flush()
    assert accepted(raw(packed)).body == body


@pytest.mark.parametrize(
    "headers",
    [
        {"Date": ""},
        {"User-Agent": "\x00\x01\x02"},
        {"User-Agent": "Firefox/99999999999999999999"},
        {"User-Agent": "/" * 1000},
        {"X-Source-Tags": "é" * 512},
        {"Content-Length": "-1"},
        {"content": "text"},
        {"geoCountry": ""},
        {"sourceOffset": "9", "errorCode": "x"},
    ],
    ids=str,
)
def test_odd_headers_change_nothing_but_themselves(headers: dict[str, str]) -> None:
    record = raw(headers=headers)
    outcome = decode(record)
    if "content" in headers:
        assert isinstance(outcome, Failure) and outcome.code == "json_invalid"  # the first content counts
    else:
        assert isinstance(outcome, Document) and outcome.content == {"exampleString": "string one"}


def test_an_unexpected_exception_is_a_failure_that_keeps_the_submission() -> None:
    class Broken:
        def find(self, namespace: str, doctype: str, version: int) -> None:
            raise RuntimeError(f"registry on fire near {CLIENT}")

    decoder = open_decoder()
    decoder._registry = Broken()  # type: ignore[assignment]
    bad = refused(raw(forwarded=CLIENT), decoder)
    check(bad, "internal")
    assert "RuntimeError" in bad.detail and f"{SOURCE}@41" in bad.detail
    assert CLIENT not in bad.detail
    assert bad.body == VALID and bad.uri == GENERIC_URI
