"""Checking a schema and a ping that somebody writes: what the editor shows beside both texts.

    schema ─▶ findings (`lint.py`) ─▶ columns ─▶ what changes from the present version
    ping   ─▶ JSON? ─▶ every rule that it breaks, by the validator that judges pings

`check` trusts nothing in the texts and bounds nothing: it runs in a process of its own (`worker.py`) that can
be ended. So it does all that the console does with a schema once it is added: the list of its fields, a small ping.
Lines are numbered from 1; lists are cut, and say so by their counts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from catchment.errors import Incompatible
from catchment.schemas.compatibility import compare
from catchment.schemas.describing import columns_of, describe
from catchment.schemas.lint import lint_file
from catchment.schemas.lintrules import ADVICE, ERROR, WARNING
from catchment.schemas.pointers import LineIndex, pointer_of, resolved
from catchment.schemas.registry import Schema
from catchment.web.catalogue.sending import example_of

MOST_FINDINGS = 200
MOST_VIOLATIONS = 50
MOST_COLUMNS = 2_000
MAX_MESSAGE_CHARS = 400
_SEVERITIES = (ERROR, WARNING, ADVICE)


@dataclass(frozen=True, slots=True)
class Draft:
    """What is checked. `ping` is empty when there is none; `present` is the schema that is registered now."""

    namespace: str
    doctype: str
    version: int
    schema: str
    ping: str = ""
    present: str | None = None


def check(draft: Draft) -> dict[str, Any]:
    """Everything that can be said of a draft, as JSON values."""
    with tempfile.TemporaryDirectory(prefix="catchment-") as folder:
        schema = _written(Path(folder), draft, draft.schema)
        told = _findings(schema, draft.schema)
        is_valid = not any(finding["severity"] == ERROR for finding in told)
        columns = columns_of(schema.shape) if is_valid else {}
        fields = len(describe(schema).fields) if is_valid else 0
        example = example_of(schema) if is_valid else None
        return {
            "schema": {
                "is_valid": is_valid,
                "findings": told[:MOST_FINDINGS],
                "count": len(told),
                "table": schema.table,
                "columns": dict(islice(columns.items(), MOST_COLUMNS)),
                "column_count": len(columns),
                "field_count": fields,
                "example": None if example is None else example.decode(),
                "endpoint": f"/submit/{draft.namespace}/{draft.doctype}/{draft.version}/<document id>",
            },
            "ping": _ping(schema if is_valid else None, draft) if draft.ping.strip() else None,
            "comparison": _comparison(Path(folder), draft, schema) if is_valid and draft.present is not None else None,
        }


def _written(folder: Path, draft: Draft, text: str) -> Schema:
    path = folder / draft.namespace / draft.doctype / f"{draft.doctype}.{draft.version}.schema.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return Schema(draft.namespace, draft.doctype, draft.version, path)


def _findings(schema: Schema, text: str) -> list[dict[str, Any]]:
    """What is wrong, doubtful or missing, the gravest first. Only a text that is JSON is followed to its lines: the
    parser has then bounded its depth."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        message = f"is no JSON: {error.msg} (column {error.colno})"
        return [_finding(error.lineno, "#", ERROR, "not_json", message)]
    found = lint_file(schema.path)
    found.sort(key=lambda finding: (_SEVERITIES.index(finding.severity), finding.line))
    return [_finding(one.line, one.pointer, one.severity, one.code, one.message) for one in found]


def _finding(line: int, pointer: str, severity: str, code: str, text: str) -> dict[str, Any]:
    return {"line": line, "pointer": pointer, "severity": severity, "code": code, "text": _cut(text)}


def _ping(schema: Schema | None, draft: Draft) -> dict[str, Any]:
    try:
        content = orjson.loads(draft.ping)
    except orjson.JSONDecodeError as error:
        found = _violation(error.lineno, "#", "json", f"is no JSON: {error.msg} (column {error.colno})", None, "")
        return {"is_valid": False, "violations": [found], "count": 1}
    if schema is None:
        return {"is_valid": None, "violations": [], "count": 0}
    try:
        violations = list(islice(_violations(schema, draft, content), MOST_VIOLATIONS + 1))
    except Incompatible as error:
        violations = [_violation(1, "#", "schema", str(error), None, "")]
    return {
        "is_valid": not violations,
        "violations": violations[:MOST_VIOLATIONS],
        "count": len(violations),
    }


def _violations(schema: Schema, draft: Draft, content: Any) -> Iterator[dict[str, Any]]:
    validator = schema.validator
    if validator.is_valid(content):
        return
    lines, rules = LineIndex(draft.ping), LineIndex(draft.schema)
    for error in validator.iter_errors(content):
        pointer, rule = pointer_of(error.instance_path), pointer_of(error.schema_path)
        place = pointer_of(resolved(schema.document, rule))
        keyword = str(error.schema_path[-1]) if error.schema_path else "schema"
        yield _violation(lines.line(pointer), pointer, keyword, error.message, rules.line(place), rule)


def _violation(line: int, pointer: str, keyword: str, text: str, schema_line: int | None, rule: str) -> dict[str, Any]:
    return {
        "line": line,
        "pointer": pointer,
        "keyword": keyword,
        "text": _cut(text),
        "schema_line": schema_line,
        "schema_pointer": rule,
    }


def _comparison(folder: Path, draft: Draft, schema: Schema) -> dict[str, Any]:
    assert draft.present is not None
    try:
        found = compare(_written(folder / "present", draft, draft.present), schema)
    except Incompatible as error:
        return {"is_same": False, "compatible": None, "text": str(error), "changes": []}
    return {"is_same": draft.present == draft.schema, "text": "", **found.as_json()}


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= MAX_MESSAGE_CHARS else f"{flat[: MAX_MESSAGE_CHARS - 1]}…"
