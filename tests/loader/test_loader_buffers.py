"""Rows that wait for their commit, and those of repeats, which leave again."""

from __future__ import annotations

import io
from pathlib import Path

from prometheus_client import REGISTRY

from catchment.document import Document
from catchment.events import Events
from catchment.ingestion.loader.tables import Buffers, Row, commit
from catchment.lake.commit import Span
from catchment.log.port import TopicPartition
from catchment.schemas.registry import Registry
from tests.loader import scene

SOURCE = TopicPartition("raw", 0)


def add(buffers: Buffers, doctype: str, number: int) -> Row:
    document = Document("shop", doctype, 1, str(number), 1_000, b"{}", {"item": f"thing {number}", "more": number})
    row = buffers.add_document(document, SOURCE, number)
    assert row is not None
    return row


def test_a_withdrawn_row_is_not_taken_and_the_next_flush_has_its_own(tmp_path: Path) -> None:
    buffers = buffers_at(tmp_path)
    rows = [add(buffers, "order", number) for number in range(4)]
    repeats = [add(buffers, "refund", number) for number in range(4, 6)]
    for row in (rows[0], rows[2], *repeats):
        row.withdraw()
    (pending,) = buffers.take({SOURCE: 6})
    assert pending.buffer.name == "shop.order_v1"
    assert pending.rows.column("document_id").to_pylist() == ["1", "3"]
    assert pending.rows.column("additional_properties").to_pylist() == ['{"more":1}', '{"more":3}']
    for number in (6, 7):
        add(buffers, "order", number)
    add(buffers, "refund", 8).withdraw()
    add(buffers, "refund", 9)
    taken = {pending.buffer.name: pending.rows for pending in buffers.take({SOURCE: 10})}
    assert taken["shop.order_v1"].column("document_id").to_pylist() == ["6", "7"]
    assert taken["shop.refund_v1"].column("document_id").to_pylist() == ["9"]
    assert buffers.size_bytes == 0


def test_a_value_that_does_not_fit_is_counted_when_its_rows_are_taken(tmp_path: Path) -> None:
    def counted() -> float:
        labels = {"table": "shop.order_v1", "column": "item"}
        return REGISTRY.get_sample_value("catchment_lake_misfits_total", labels) or 0.0

    buffers, before = buffers_at(tmp_path), counted()
    buffers.add_document(Document("shop", "order", 1, "1", 1_000, b"{}", {"item": 5}), SOURCE, 0)
    assert counted() == before
    (pending,) = buffers.take({SOURCE: 1})
    assert pending.rows.column("additional_properties").to_pylist() == ['{"item":5}']
    assert counted() == before + 1


def test_partitions_that_a_loader_gets_are_read_from_where_the_table_has_them(tmp_path: Path) -> None:
    """Another loader had them, and wrote, after this one had asked the table."""
    buffers, other = buffers_at(tmp_path), TopicPartition("raw", 1)
    _, lake = scene.open_parts(tmp_path)
    others = Buffers(lake, Registry.load([tmp_path / "schemas"]), Events("test", io.StringIO()))
    add(buffers, "order", 0)
    for number in range(4):
        document = Document("shop", "order", 1, f"other {number}", 1_000, b"{}", {"item": "thing"})
        others.add_document(document, other, number)
    (pending,) = others.take({other: 4})
    commit(lake, pending, lambda point: None, lambda error: None)
    buffers.learn([other])
    late = Document("shop", "order", 1, "late", 1_000, b"{}", {"item": "thing"})
    assert [buffers.add_document(late, other, offset) is not None for offset in (3, 4)] == [False, True]
    (pending,) = buffers.take({SOURCE: 1, other: 5})
    assert pending.spans == {"raw/0": Span(None, 1), "raw/1": Span(4, 5)}
    commit(lake, pending, lambda point: None, lambda error: None)
    assert lake.offsets("shop.order_v1") == {"raw/0": 1, "raw/1": 5}


def buffers_at(home: Path) -> Buffers:
    root = scene.write_schemas(home)
    _, lake = scene.open_parts(home)
    return Buffers(lake, Registry.load([root]), Events("test", io.StringIO()))
