"""A document: one ping after the decoder, with the metadata that every table and every stream shares.

The decoder makes it, the lake and the streams read it. It never holds a client's address. The metadata fields follow
the original pipeline's (names in camelCase there, see `STREAM_FIELDS` in `ingestion/streams.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


class Stated(NamedTuple):
    """What the body of a telemetry document says of its application and of itself, by the rules for its kind. The lake
    has these values as columns of the schema; the streams have them as fields, where the path speaks for an application
    of which the body does not."""

    source_version: int | str | None = None
    """A number for a unified ping, a text for the other kinds; None when the body names no version."""
    app_name: str | None = None
    app_version: str | None = None
    app_update_channel: str | None = None
    app_build_id: str | None = None
    app_vendor: str | None = None
    reason: str | None = None
    os: str | None = None
    telemetry_enabled: bool | None = None
    active_experiment_id: str | None = None


NOTHING_STATED = Stated()


@dataclass(slots=True)
class Document:
    """One accepted ping. Texts that are unknown are None; `country` is "??" when the look-up found nothing."""

    namespace: str
    doctype: str
    version: int
    document_id: str
    """UUID text, lower case; in a lenient namespace any text."""
    submission_ns: int
    """When the edge received it, ns since the epoch, UTC."""
    body: bytes
    """The JSON text as received, after gunzip."""
    content: dict[str, Any]
    """The parsed body. Readers must not change it."""
    uuid: bytes = b""
    """Of the raw message, 16 bytes: what is made of a record can be traced back to it."""
    hostname: str | None = None
    """The edge that received it."""
    client_id: str | None = None
    sample_id: int | None = None
    """CRC-32 of the client id's text modulo 100."""
    normalized_channel: str | None = None
    normalized_os: str | None = None
    normalized_os_version: str | None = None
    normalized_app_name: str | None = None
    normalized_country_code: str | None = None
    geo_country: str | None = None
    geo_subdivision1: str | None = None
    geo_subdivision2: str | None = None
    geo_city: str | None = None
    geo_isp: str | None = None
    """The provider, only of the doctypes that ask for it."""
    user_agent_browser: str | None = None
    """By the rules of 2018, like the next two."""
    user_agent_version: str | None = None
    user_agent_os: str | None = None
    ua_parser_browser: str | None = None
    """By ua-parser, like the next four."""
    ua_parser_version: str | None = None
    ua_parser_os: str | None = None
    ua_parser_os_version: str | None = None
    ua_parser_device: str | None = None
    app_name: str | None = None
    """The application as the URI names it (Firefox form only), like the next three."""
    app_version: str | None = None
    app_update_channel: str | None = None
    app_build_id: str | None = None
    header_date: str | None = None
    header_dnt: str | None = None
    header_host: str | None = None
    header_x_debug_id: str | None = None
    header_x_pingsender_version: str | None = None
    header_x_source_tags: str | None = None
    header_x_telemetry_agent: str | None = None
    clock_skew_s: int | None = None
    """Header Date minus the time of receipt: positive when the client's clock is ahead."""
    creation_ns: int | None = None
    """When the client made the document, by its own clock, ns since the epoch, UTC."""
    stated: Stated = NOTHING_STATED

    def let_go(self) -> None:
        """Drop body and content, by far the largest part, when only the metadata is still wanted."""
        self.body, self.content = b"", {}
