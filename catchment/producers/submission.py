"""A submission: what goes over the wire for one ping, what the platform is expected to make of it, and the ways to
spoil one.

`expected` is "accepted", "invalid" (with the code that the decoder will give, or `http_404` for what the edge does not
take) or "duplicate". Every repeat of a submission, asked for or not, is the same bytes with the same document id.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Literal

import orjson

from catchment.producers.client import Client, draw_uuid, user_agent
from catchment.schemas.names import table_name

Expected = Literal["accepted", "invalid", "duplicate"]
NOT_FOUND = "http_404"
_NAMESPACE_OF_GLEAN = "firefox-desktop"
_GZIP = 31


@dataclass(slots=True)
class Submission:
    """One ping, ready to be sent. `was_acknowledged` is set by whoever sent it, once."""

    document_id: str
    namespace: str
    doctype: str
    version: int
    target: str
    headers: dict[str, str]
    body: bytes
    json_bytes: int
    expected: Expected = "accepted"
    code: str = ""
    was_acknowledged: bool = False

    @property
    def table(self) -> str:
        """Where its row is expected, `telemetry.main_v4`."""
        return table_name(self.namespace, self.doctype, self.version)

    @property
    def expected_status(self) -> int:
        return 404 if self.code == NOT_FOUND else 200


def telemetry_submission(
    ping: dict[str, Any], client: Client, sent: datetime, *, by_pingsender: bool = False
) -> Submission:
    """A telemetry v4 ping as Firefox sends it, or as the pingsender does after the browser's shutdown."""
    build, document_id, doctype = client.build, ping["id"], ping["type"]
    headers = _headers(client, sent)
    if by_pingsender:
        headers = {**headers, "User-Agent": "pingsender/1.0", "X-PingSender-Version": "1.0"}
        for name in ("Accept-Language", "Accept-Encoding"):
            del headers[name]
    target = f"/submit/telemetry/{document_id}/{doctype}/Firefox/{build.version}/{build.channel}/{build.number}?v=4"
    return _submission(ping, document_id, ("telemetry", doctype, 4), target, headers)


def glean_submission(
    ping: dict[str, Any], doctype: str, document_id: str, client: Client, sent: datetime
) -> Submission:
    """A Glean ping as its SDK sends it."""
    agent = {"X-Telemetry-Agent": f"Glean/67.3.2 (Rust on {client.system.glean_name})"}
    target = f"/submit/{_NAMESPACE_OF_GLEAN}/{doctype}/1/{document_id}"
    return _submission(
        ping, document_id, (_NAMESPACE_OF_GLEAN, doctype, 1), target, {**_headers(client, sent), **agent}
    )


def _submission(
    ping: dict[str, Any], document_id: str, kind: tuple[str, str, int], target: str, headers: dict[str, str]
) -> Submission:
    text = orjson.dumps(ping)
    return Submission(document_id, *kind, target, headers, zlib.compress(text, 1, _GZIP), len(text))


def _headers(client: Client, sent: datetime) -> dict[str, str]:
    """What Firefox sends, and what a balancer adds: the client's address at the end of X-Forwarded-For."""
    behind = f"10.{client.number % 256}.{client.number // 256 % 256}.7, " if client.has_proxy else ""
    return {
        "User-Agent": user_agent(client),
        "Accept": "*/*",
        "Accept-Language": f"{client.locale},en;q=0.5",
        "Accept-Encoding": "gzip, deflate",
        "Content-Type": "application/json; charset=UTF-8",
        "Date": format_datetime(sent, usegmt=True),
        "Content-Encoding": "gzip",
        "X-Forwarded-For": behind + client.address,
    }


def spoil(rng: random.Random, whole: Submission, ping: dict[str, Any]) -> Submission:
    """`whole`, made from `ping`, in one of the ways in which a client's pings go wrong."""
    return rng.choice(SPOILERS)(rng, whole, ping)


def _invalid(whole: Submission, code: str, **changes: Any) -> Submission:
    return replace(whole, expected="invalid", code=code, **changes)


def _break_schema(rng: random.Random, whole: Submission, ping: dict[str, Any]) -> Submission:
    """A value that the schema does not allow."""
    wrongs: tuple[dict[str, Any], ...] = ({"application": "unknown"}, {"clientId": "unknown"}, {"type": "example"})
    if "ping_info" in ping:
        wrongs = ({"ping_info": []}, {"client_info": "unknown"}, {"ping_info": {"seq": "first"}})
    text = orjson.dumps({**ping, **rng.choice(wrongs)})
    return _invalid(whole, "schema_violation", body=zlib.compress(text, 1, _GZIP), json_bytes=len(text))


def _cut_json(rng: random.Random, whole: Submission, ping: dict[str, Any]) -> Submission:
    """A text that ends in the middle, as after a full disk at the client."""
    text = orjson.dumps(ping)
    text = text[: rng.randrange(1, len(text))]
    return _invalid(whole, "json_invalid", body=zlib.compress(text, 1, _GZIP), json_bytes=len(text))


def _claim_gzip(rng: random.Random, whole: Submission, ping: dict[str, Any]) -> Submission:
    """Compressed, but not as gzip, which the headers claim."""
    return _invalid(whole, "json_invalid", body=zlib.compress(orjson.dumps(ping), 1))


def _cut_gzip(rng: random.Random, whole: Submission, ping: dict[str, Any]) -> Submission:
    return _invalid(whole, "gzip_corrupt", body=whole.body[: rng.randrange(20, len(whole.body) - 8)])


def _name_unknown_type(rng: random.Random, whole: Submission, ping: dict[str, Any]) -> Submission:
    """A doctype that nobody registered. Namespace telemetry takes those, so its pings are sent to another one."""
    doctype = rng.choice(("example-study", "example-heartbeat"))
    namespace = "example-app" if whole.namespace == "telemetry" else whole.namespace
    target = f"/submit/{namespace}/{doctype}/{whole.version}/{whole.document_id}"
    return _invalid(whole, "schema_not_found", target=target, namespace=namespace, doctype=doctype)


def _leave_out_component(rng: random.Random, whole: Submission, ping: dict[str, Any]) -> Submission:
    return _invalid(whole, "uri_invalid", target=whole.target.replace(f"/{whole.doctype}/", "/", 1))


def _send_no_uuid(rng: random.Random, whole: Submission, ping: dict[str, Any]) -> Submission:
    wrong = f"{draw_uuid(rng)[:-1]}-"
    return _invalid(
        whole,
        "document_id_invalid",
        target=whole.target.replace(whole.document_id, wrong, 1),
        document_id=wrong,
    )


def _miss_path(rng: random.Random, whole: Submission, ping: dict[str, Any]) -> Submission:
    """A path that is no submission's: the edge answers 404 and keeps nothing."""
    return _invalid(whole, NOT_FOUND, target=whole.target.replace("/submit/", "/telemetry/", 1))


SPOILERS: tuple[Callable[[random.Random, Submission, dict[str, Any]], Submission], ...] = (
    _break_schema,
    _cut_json,
    _claim_gzip,
    _cut_gzip,
    _name_unknown_type,
    _leave_out_component,
    _send_no_uuid,
    _miss_path,
)
