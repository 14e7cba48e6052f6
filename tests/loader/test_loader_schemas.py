"""Schemas that change, or that are wrong, under a loader that must go on."""

from __future__ import annotations

import uuid
from pathlib import Path

import orjson
import pytest

from catchment.ingestion.loader import tables
from catchment.ingestion.loader.loop import OUTCOMES
from catchment.log.port import TopicPartition
from tests.loader import scene


def append_orders(home: Path, *bodies: bytes) -> None:
    log, _ = scene.open_parts(home)
    log.create("raw", scene.PARTITIONS)
    writer = log.open_writer(TopicPartition("raw", 0))
    start = log.bounds(TopicPartition("raw", 0)).end
    writer.append(
        [
            scene.raw_record(f"/submit/shop/order/1/{uuid.UUID(int=number)}", body, number)
            for number, body in enumerate(bodies, start=start)
        ]
    )
    writer.close()
    log.close()


def test_a_schema_that_changes_in_place_loses_nothing(tmp_path: Path) -> None:
    schema = scene.write_schemas(tmp_path) / "shop" / "order" / "order.1.schema.json"
    append_orders(tmp_path, b'{"item": "a", "count": 1}')
    scene.run_loader(tmp_path, None)
    changed = {
        "item": {"type": "object", "additionalProperties": {"type": "string"}},
        "count": {"type": "number"},
        "colour": {"type": "string"},
    }
    schema.write_bytes(orjson.dumps({**scene.ORDER, "properties": changed}))
    append_orders(
        tmp_path,
        b'{"item": {"name": "b"}, "count": 2, "colour": "red"}',
        b'{"item": {"name": "c"}, "count": 2.5, "colour": "blue"}',
    )
    scene.run_loader(tmp_path, None)
    _, lake = scene.open_parts(tmp_path)
    rows = lake.load("shop.order_v1").scan().to_arrow().sort_by("document_id").to_pylist()
    columns = ("item", "item__map", "count", "count__double", "colour", "additional_properties")
    assert [tuple(row[column] for column in columns) for row in rows] == [
        ("a", None, 1, None, None, None),
        (None, [("name", "b")], None, 2.0, "red", None),
        (None, [("name", "c")], None, 2.5, "blue", None),
    ]


def test_a_schema_that_does_not_compile_refuses_its_pings_only(tmp_path: Path) -> None:
    root = scene.write_schemas(tmp_path)
    (root / "shop" / "refund" / "refund.1.schema.json").write_bytes(b'{"type": 17}')
    append_orders(tmp_path, b'{"item": "a"}')
    log, _ = scene.open_parts(tmp_path)
    writer = log.open_writer(TopicPartition("raw", 1))
    writer.append([scene.raw_record(f"/submit/shop/refund/1/{uuid.UUID(int=9)}", b'{"item": "b"}', 9)])
    writer.close()
    scene.run_loader(tmp_path, None)
    _, lake = scene.open_parts(tmp_path)
    assert scene.column(lake, "shop.order_v1", "item") == ["a"]
    assert scene.column(lake, "monitoring.errors", "code") == ["schema_unusable"]
    assert "refund.1.schema.json" in str(scene.column(lake, "monitoring.errors", "detail"))


def test_a_telemetry_doctype_without_schema_is_announced_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.write_schemas(tmp_path)
    monkeypatch.setattr(tables, "MAX_ANNOUNCED", 2)
    log, _ = scene.open_parts(tmp_path)
    log.create("raw", scene.PARTITIONS)
    writer = log.open_writer(TopicPartition("raw", 0))
    doctypes = ["one", "two", "one", "one", "two", "three", "one"]
    writer.append(
        [
            scene.raw_record(
                f"/submit/telemetry/{uuid.UUID(int=number)}/{doctype}/App/1.0/release/1",
                b'{"version": %d}' % number,
                number,
            )
            for number, doctype in enumerate(doctypes)
        ]
    )
    writer.close()
    log.close()
    before = tables.NEW_DOCTYPES._value.get()
    scene.run_loader(tmp_path, None, flush_bytes=1)
    told = [line for line in capsys.readouterr().err.splitlines() if "new_doctype" in line]
    assert [line.split(" new_doctype ")[1] for line in told] == [
        "namespace=telemetry doctype=one version=0",
        "namespace=telemetry doctype=two version=1",
    ]
    assert tables.NEW_DOCTYPES._value.get() - before == 2
    labels = {sample.labels["doctype"] for metric in OUTCOMES.collect() for sample in metric.samples}
    assert "unregistered" in labels and not labels & set(doctypes)
    _, lake = scene.open_parts(tmp_path)
    assert scene.column(lake, "telemetry.unregistered", "document_type") == sorted(doctypes)
