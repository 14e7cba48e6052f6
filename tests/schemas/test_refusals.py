"""An incompatible change in place is refused with its reason and the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from catchment.schemas.refusals import refusals
from catchment.schemas.registry import Registry

OLD: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}


def registry(folder: Path, document: Any, version: int = 1) -> Registry:
    path = folder / "shop" / "order" / f"order.{version}.schema.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(document if isinstance(document, bytes) else orjson.dumps(document))
    found = Registry.load([folder])
    for schema in found.all():
        if not isinstance(document, bytes):
            _ = schema.document, schema.shape
    return found


def test_a_column_that_would_change_its_type_is_refused(tmp_path: Path) -> None:
    old = registry(tmp_path, OLD)
    new = registry(tmp_path, {**OLD, "properties": {"a": {"type": "string"}}, "required": ["a"]})
    [refusal] = refusals(old, new)
    assert refusal.kept is old.find("shop", "order", 1)
    text = str(refusal)
    assert "order.1.schema.json: incompatible change: a: its type was long and is string" in text
    assert "; and 1 more; " in text
    assert 'allow_incompatible = ["shop.order"]' in text
    assert "order.2.schema.json" in text
    assert refusals(old, new, ["shop.order"]) == []


def test_what_is_compatible_new_gone_or_broken_is_not_refused(tmp_path: Path) -> None:
    old = registry(tmp_path, OLD)
    grown = registry(tmp_path, {**OLD, "properties": {**OLD["properties"], "c": {"type": "string"}}})
    assert refusals(old, grown) == []
    assert refusals(old, registry(tmp_path, {"type": "object"}, version=2)) == []
    assert refusals(old, Registry({}, ())) == []
    assert refusals(old, registry(tmp_path, b"{")) == []
