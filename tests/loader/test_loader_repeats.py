"""Repeats that arrive through different edge workers, read by several loaders: each document is there once."""

from __future__ import annotations

import multiprocessing
import random
import uuid
from collections import Counter
from multiprocessing.connection import wait
from pathlib import Path

import orjson
import pytest

from catchment import message
from catchment.log.port import TopicPartition
from tests.loader import scene

EDGES, DOCUMENTS = 4, 60
ENDS_WITHIN_S = 300.0


def fill(home: Path) -> None:
    """Every edge worker has received every document, each in an order of its own."""
    scene.write_schemas(home)
    log, _ = scene.open_parts(home)
    log.create("raw", EDGES)
    for edge in range(EDGES):
        order = random.Random(edge).sample(range(DOCUMENTS), DOCUMENTS)
        writer = log.open_writer(TopicPartition("raw", edge))
        writer.append(
            [
                scene.raw_record(
                    f"/submit/shop/order/1/{uuid.UUID(int=number)}",
                    orjson.dumps({"item": f"by edge {edge}", "count": number}),
                    edge * 60_000 + number,
                )
                for number in order
            ]
        )
        writer.close()
    log.close()


@pytest.mark.parametrize("die_at", [None, 4, 15])
def test_each_document_lands_once_through_whichever_edge_and_loader_it_comes(
    tmp_path: Path, die_at: int | None
) -> None:
    """Three loaders at once, one of which is killed at one of its crash points. The one that first sees that all is
    read ends; the others are killed then."""
    fill(tmp_path)
    spawning = multiprocessing.get_context("spawn")
    loaders = [
        spawning.Process(target=scene.run_loader, args=(tmp_path, death, None, 1, 0.1))
        for death in (die_at, None, None)
    ]
    for loader in loaders:
        loader.start()
    ended: list[int | None] = []
    while 0 not in ended:
        assert wait([loader.sentinel for loader in loaders if loader.is_alive()], ENDS_WITHIN_S)
        ended = [loader.exitcode for loader in loaders]
    for loader in loaders:
        loader.kill()
        loader.join()
    scene.run_loader(tmp_path, None)
    log, lake = scene.open_parts(tmp_path)
    ids = [str(uuid.UUID(int=number)) for number in range(DOCUMENTS)]
    assert scene.column(lake, "shop.order_v1", "document_id") == ids
    repeats: Counter[str] = Counter()
    for edge in range(EDGES):
        reader = log.open_reader(TopicPartition("duplicates", edge), 0)
        while records := reader.read(1000, 1 << 24, 0):
            for record in records:
                said = message.decode(record.payload)
                assert (said.first("sourcePartition"), said.first("submission")) == (edge, None)
                assert isinstance(said.first("duplicateDelta"), int)
                repeats[str(said.first("documentId"))] += 1
    assert repeats == Counter(dict.fromkeys(ids, EDGES - 1))
    log.close()


def test_records_that_the_disk_has_lost_become_failures_that_name_them(tmp_path: Path) -> None:
    fill(tmp_path)
    (segment,) = (tmp_path / "log" / "raw" / "1").glob("*.log")
    content = bytearray(segment.read_bytes())
    content[len(content) // 2 + 50] ^= 1  # in a payload
    segment.write_bytes(content)
    scene.run_loader(tmp_path, None)
    log, lake = scene.open_parts(tmp_path)
    (offset,) = scene.column(lake, "monitoring.errors", "source_offset")
    assert scene.column(lake, "monitoring.errors", "source") == ["raw/1"]
    assert scene.column(lake, "monitoring.errors", "code") == ["record_lost"]
    assert scene.source_offsets(log, "errors", 1) == [offset]
    assert len(scene.column(lake, "shop.order_v1", "document_id")) == DOCUMENTS
    log.close()
