"""How to send a ping of a schema: where the edge is, the path, and a `curl` line that works as it stands.

The line holds the smallest document that could be found which the schema accepts: an example of the schema's own, or
one made of what it requires. Where none is found, the line names a file instead. Values are tried from a short list,
and judged by the schema's own validator, so no rule is understood here.
"""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

from catchment.errors import Incompatible
from catchment.schemas.nodes import ALTERNATIVES, Node, Nodes
from catchment.schemas.registry import Schema
from catchment.service import read_run_files

MAX_DEPTH = 12
MOST_ITEMS = 32
MAX_BYTES = 2_000
"""A longer document is no line to paste."""
_TEXTS = (
    "text",
    "00000000-0000-4000-8000-000000000000",
    "{00000000-0000-4000-8000-000000000000}",
    "2026-01-01T12:00:00.000Z",
    "2026-01-01T12:00:00.000+00:00",
    "2026-01-01T12:00:00+00:00",
    "2026-01-01T12:00+00:00",
    "2026-01-01",
    "100.0",
    "1.0",
    "1",
    "20260101120000",
    "a",
    "",
    "https://example.org/",
    "a@example.org",
    "en-US",
    "a" * 32,
    "a" * 64,
)
_NUMBERS = (*range(10), -1, 0.5, 10, 100, 1_000, 1_000_000)
_EDGE = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Sending:
    """`path` is the endpoint with `<document id>` in it, `curl` a line with a fresh id; `is_whole` says that it sends a
    valid ping as it stands."""

    path: str
    curl: str
    is_whole: bool


class Endpoint:
    """Where producers send to, as the edge of this home says; where none runs, where it listens by default."""

    def __init__(self, home: Path) -> None:
        self._home = home

    @property
    def url(self) -> str:
        for run in read_run_files(self._home):
            if run.kind == "edge" and run.port and run.is_alive:
                host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(run.host, run.host)
                return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{run.port}"
        return _EDGE

    def sending(self, schema: Schema) -> Sending:
        path = f"/submit/{schema.namespace}/{schema.doctype}/{schema.version}/<document id>"
        address = self.url + path.replace("<document id>", str(uuid.uuid4()))
        document = example_of(schema)
        if document is None:
            return Sending(path, f"curl --data-binary @ping.json {address}", False)
        return Sending(path, f"curl -d {shlex.quote(document.decode())} {address}", True)


def example_of(schema: Schema) -> bytes | None:
    """A small valid document; None when none was found."""
    try:
        for candidate in _documents(schema.document):
            text = orjson.dumps(candidate)
            if len(text) <= MAX_BYTES and schema.violation(candidate) is None:
                return text
    except (Incompatible, RecursionError):
        return None
    return None


def _documents(document: dict[str, Any]) -> Iterator[Any]:
    examples = document.get("examples")
    yield from (example for example in examples if isinstance(example, dict)) if isinstance(examples, list) else ()
    nodes = Nodes(document)
    yield _value(nodes, nodes.read(document), 0)


def _value(nodes: Nodes, node: Node, depth: int) -> Any:
    """A value that a node may accept."""
    keywords = node.keywords
    if "const" in keywords:
        return keywords["const"]
    for key in ("enum", "examples"):
        if isinstance(keywords.get(key), list) and keywords[key]:
            return keywords[key][0]
    kinds = node.kinds or _kinds_of_alternatives(nodes, node)
    kind = next((kind for kind in kinds if kind != "null"), "null")
    if depth > MAX_DEPTH:
        return None
    if kind == "object":
        required = keywords.get("required")
        names = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
        return {name: _inside(nodes, node, name, depth) for name in dict.fromkeys(names)}
    if kind == "array":
        least = keywords.get("minItems")
        count = least if isinstance(least, int) and 0 < least <= MOST_ITEMS else 0
        inner = _value(nodes, nodes.read(*node.item), depth + 1) if node.item and count else None
        return [inner] * count
    if kind == "boolean":
        return True
    return _tried(keywords, _TEXTS if kind == "string" else _NUMBERS) if kind != "null" else None


def _inside(nodes: Nodes, node: Node, name: str, depth: int) -> Any:
    if name not in node.properties:
        return "text"
    return _value(nodes, nodes.read(*node.properties[name]), depth + 1)


def _kinds_of_alternatives(nodes: Nodes, node: Node) -> tuple[str, ...]:
    for key in ALTERNATIVES:
        parts = node.keywords.get(key)
        for part in parts if isinstance(parts, list) else ():
            if kinds := nodes.read(part, node.steps, node.seen).kinds:
                return kinds
    return ()


def _tried(keywords: Any, values: tuple[Any, ...]) -> Any:
    """The first of the values that the keywords accept, by the validator that judges pings."""
    plain = {key: value for key, value in keywords.items() if key not in ("$ref", "$id", "id", "$schema")}
    try:
        validator = jsonschema_rs.Draft202012Validator(plain, validate_formats=True)
    except (ValueError, jsonschema_rs.ValidationError):  # draft 4's exclusiveMinimum: true, or a $ref further down
        return values[0]
    return next((value for value in values if validator.is_valid(value)), values[0])
