"""A document's metadata as fields of a Heka message: everything of it but the body.

Most of it repeats from ping to ping, so groups of fields are encoded once and kept.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from functools import lru_cache

from catchment.document import Document, Stated
from catchment.ingestion.decoder.uri import TELEMETRY
from catchment.ingestion.fields import (
    CACHED,
    boolean_field,
    double_field,
    hostname_field,
    integer_field,
    logger_and_type,
    optional_text,
    source_fields,
    text_field,
)
from catchment.log.port import TopicPartition
from catchment.message import DOUBLE, encode_field_with, encode_varint, field_prefix

_DAY_NS = 86_400_000_000_000
_UUID, _TIMESTAMP = b"\x0a\x10", b"\x10"
_DOCUMENT_ID = field_prefix("documentId")
_DOCUMENT_ID_HEAD = encode_field_with(_DOCUMENT_ID, bytes(36))[:-36]
_CLIENT_ID = field_prefix("clientId")
_CREATION, _USUAL_BYTES = "creationTimestamp", 9
_CREATION_HEAD = integer_field(_CREATION, bytes(_USUAL_BYTES))[:-_USUAL_BYTES]
"""What stands before the times from 1972 to 2262."""
_SAMPLE_IDS = [
    b"\x52" + encode_varint(len(encoded)) + encoded
    for encoded in (field_prefix("sampleId", DOUBLE) + b"\x39" + struct.pack("<d", number) for number in range(100))
]

DOCUMENT_HEADERS = (
    ("Date", "header_date"),
    ("DNT", "header_dnt"),
    ("Host", "header_host"),
    ("X-Debug-ID", "header_x_debug_id"),
    ("X-PingSender-Version", "header_x_pingsender_version"),
    ("X-Source-Tags", "header_x_source_tags"),
    ("X-Telemetry-Agent", "header_x_telemetry_agent"),
)
"""Field of the stream, attribute of the document."""

PARSED_AGENT = (
    "ua_parser_browser",
    "ua_parser_version",
    "ua_parser_os",
    "ua_parser_os_version",
    "ua_parser_device",
)
"""Fields of the stream and attributes of the document."""


def described(document: Document, suffix: str, source: TopicPartition, offset: int) -> bytes:
    """The message without its body; `suffix` completes its type.

    The calls to cached functions are by value, so equal pings share the bytes.
    """
    client_id, sample_id = document.client_id, document.sample_id
    return b"".join(
        (
            _UUID,
            document.uuid,
            _TIMESTAMP,
            encode_varint(document.submission_ns),
            _stream(document.namespace, suffix),
            hostname_field(document.hostname),
            _document_id(document.document_id),
            _route(
                document.namespace,
                document.doctype,
                document.version,
                document.normalized_channel,
                document.normalized_app_name,
            ),
            _stated(
                document.stated,
                document.app_name,
                document.app_version,
                document.app_update_channel,
                document.app_build_id,
            ),
            b"" if document.creation_ns is None else _creation(document.creation_ns),
            _os(document.normalized_os, document.normalized_os_version),
            _geo(
                document.geo_country,
                document.geo_subdivision1,
                document.geo_subdivision2,
                document.geo_city,
                document.geo_isp,
                document.normalized_country_code,
            ),
            _agent(document.user_agent_browser, document.user_agent_version, document.user_agent_os),
            _parsed_agent(
                document.ua_parser_browser,
                document.ua_parser_version,
                document.ua_parser_os,
                document.ua_parser_os_version,
                document.ua_parser_device,
            ),
            _headers(
                document.header_date,
                document.header_dnt,
                document.header_host,
                document.header_x_debug_id,
                document.header_x_pingsender_version,
                document.header_x_source_tags,
                document.header_x_telemetry_agent,
            ),
            b"" if document.clock_skew_s is None else _clock_skew(document.clock_skew_s),
            _day(document.submission_ns // _DAY_NS),
            b"" if client_id is None else encode_field_with(_CLIENT_ID, client_id.encode()),
            b"" if sample_id is None else _SAMPLE_IDS[sample_id],
            source_fields(source, offset),
        )
    )


@lru_cache(CACHED)
def _stream(namespace: str, suffix: str) -> bytes:
    if namespace == TELEMETRY:
        return logger_and_type(namespace, f"{TELEMETRY}.{suffix}" if suffix else TELEMETRY)
    return logger_and_type(namespace, suffix or "validated")


@lru_cache(CACHED)
def _route(
    namespace: str,
    doctype: str,
    version: int,
    normalized_channel: str | None,
    normalized_app_name: str | None,
) -> bytes:
    return b"".join(
        (
            text_field("docType", doctype),
            double_field("docVersion", version),
            optional_text("normalizedChannel", normalized_channel),
            optional_text("normalizedAppName", normalized_app_name),
            text_field("sourceName", TELEMETRY) if namespace == TELEMETRY else b"",
        )
    )


@lru_cache(CACHED)
def _stated(
    stated: Stated, app_name: str | None, app_version: str | None, channel: str | None, build_id: str | None
) -> bytes:
    """A version is a number in a unified ping and a text in the others, as it always was."""
    version, enabled = stated.source_version, stated.telemetry_enabled
    return b"".join(
        (
            b""
            if version is None
            else text_field("sourceVersion", version)
            if isinstance(version, str)
            else double_field("sourceVersion", version),
            optional_text("appName", stated.app_name or app_name),
            optional_text("appVersion", stated.app_version or app_version),
            optional_text("appUpdateChannel", stated.app_update_channel or channel),
            optional_text("appBuildId", stated.app_build_id or build_id),
            optional_text("appVendor", stated.app_vendor),
            optional_text("reason", stated.reason),
            optional_text("os", stated.os),
            b"" if enabled is None else boolean_field("telemetryEnabled", enabled),
            optional_text("activeExperimentId", stated.active_experiment_id),
        )
    )


@lru_cache(CACHED)
def _os(name: str | None, version: str | None) -> bytes:
    return optional_text("normalizedOs", name) + optional_text("normalizedOSVersion", version)


@lru_cache(CACHED)
def _geo(
    country: str | None, first: str | None, second: str | None, city: str | None, isp: str | None, code: str | None
) -> bytes:
    return b"".join(
        (
            text_field("geoCountry", country or "??"),
            text_field("geoCity", city or "??"),
            optional_text("geoSubdivision1", first),
            optional_text("geoSubdivision2", second),
            optional_text("geoISP", isp),
            optional_text("normalizedCountryCode", code),
        )
    )


@lru_cache(CACHED)
def _agent(browser: str | None, version: str | None, os: str | None) -> bytes:
    return b"".join(
        (
            optional_text("user_agent_browser", browser),
            double_field("user_agent_version", int(version)) if version else b"",
            optional_text("user_agent_os", os),
        )
    )


@lru_cache(CACHED)
def _parsed_agent(*values: str | None) -> bytes:
    return b"".join(optional_text(name, value) for name, value in zip(PARSED_AGENT, values, strict=True))


@lru_cache(CACHED)
def _headers(*values: str | None) -> bytes:
    return b"".join(optional_text(name, value) for (name, _), value in zip(DOCUMENT_HEADERS, values, strict=True))


@lru_cache(CACHED)
def _clock_skew(skew_s: int) -> bytes:
    return integer_field("clockSkew", encode_varint(skew_s), "s")


def _creation(time_ns: int) -> bytes:
    varint = encode_varint(time_ns)
    return _CREATION_HEAD + varint if len(varint) == _USUAL_BYTES else integer_field(_CREATION, varint)


@lru_cache(64)
def _day(day: int) -> bytes:
    return text_field("submissionDate", datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y%m%d"))


def _document_id(document_id: str) -> bytes:
    if len(document_id) == 36 and document_id.isascii():
        return _DOCUMENT_ID_HEAD + document_id.encode()
    return encode_field_with(_DOCUMENT_ID, document_id.encode())
