"""Schemas that change under a running loader: what it holds is committed as it was judged, then the new ones count."""

from __future__ import annotations

import io
import multiprocessing
import signal
from pathlib import Path

import orjson
import pytest

from catchment.clock import ManualClock
from catchment.events import Events
from catchment.ingestion.loader.upkeep import Upkeep
from catchment.lake.settings import LakeSettings
from catchment.schemas.registry import BUILTIN, Registry
from tests.dying import chosen
from tests.loader import scene

RECORDS = 40
CHANGES_AFTER = 4
_children = multiprocessing.get_context("forkserver")
_children.set_forkserver_preload(["tests.loader.scene"])


def write(folder: Path, doctype: str, schema: dict[str, object]) -> None:
    (folder / "shop" / doctype).mkdir(parents=True)
    (folder / "shop" / doctype / f"{doctype}.1.schema.json").write_bytes(orjson.dumps(schema))


def prepare(home: Path) -> scene.Expected:
    """The loader's stage, and later schemas in which an order has one more column."""
    home.mkdir()
    log, _ = scene.open_parts(home)
    expected = scene.fill(home, log, RECORDS)
    log.close()
    more = {"extra": {"type": "array", "items": {"type": "integer"}}}
    write(home / "later", "order", {**scene.ORDER, "properties": {**scene.ORDER["properties"], **more}})  # type: ignore[dict-item]
    write(home / "later", "refund", scene.ORDER)
    return expected


def run_child(
    home: Path, die_at: int | None, journal: Path | None = None, changes_after: int | None = CHANGES_AFTER
) -> int:
    arguments = (home, die_at, journal, 1024, 60.0, None, None, changes_after)
    child = _children.Process(target=scene.run_loader, args=arguments)
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


def extras(home: Path) -> tuple[int, int]:
    """Orders whose `extra` is in its column, and those where it is left over."""
    _, lake = scene.open_parts(home)
    rows = lake.load("shop.order_v1").scan().to_arrow().to_pylist()
    in_column = [row for row in rows if row["extra"] is not None]
    left = [row for row in rows if "extra" in orjson.loads(row["additional_properties"] or "{}")]
    assert len(in_column) + len(left) == len(rows)
    return len(in_column), len(left)


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    expected = prepare(home)
    assert run_child(home, None, home / "journal") == 0
    scene.check(home, expected, RECORDS)
    assert all(extras(home))
    return (home / "journal").read_text().splitlines()


def test_what_waits_is_committed_before_the_new_schemas_count(points: list[str]) -> None:
    kinds = [point.split()[0] for point in points]
    at = kinds.index("schemas_adopted")
    assert kinds.count("schemas_adopted") == 1
    assert kinds[:at].count("batch_handled") == CHANGES_AFTER
    assert kinds[at - 1] == "group_committed"


def test_a_kill_around_the_change_gives_each_document_once(tmp_path: Path, points: list[str]) -> None:
    kinds = [point.split()[0] for point in points]
    changed = kinds.index("schemas_adopted") + 1
    near = {number for number in chosen(points) if abs(number - changed) <= 12}
    for die_at in sorted({*near, changed, changed + 1}):
        home = tmp_path / f"home-{die_at}"
        expected = prepare(home)
        assert run_child(home, die_at) == -signal.SIGKILL
        assert run_child(home, None) == 0
        scene.check(home, expected, RECORDS)
        assert sum(extras(home)) == len(expected.documents["shop.order_v1"])


def test_a_doctype_that_gets_its_schema_meanwhile_has_a_table_from_then_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    expected = prepare(home)
    (home / "later/telemetry/mystery").mkdir(parents=True)
    (home / "later/telemetry/mystery/mystery.1.schema.json").write_text("{}")
    scene.run_loader(home, None, changes_after=CHANGES_AFTER + 1)
    _, lake = scene.open_parts(home)
    before = scene.column(lake, "telemetry.unregistered", "document_id")
    after = scene.column(lake, "telemetry.mystery_v1", "document_id")
    assert before and after
    assert sorted([*before, *after], key=str) == sorted(expected.documents["telemetry.unregistered"])


def test_a_flush_that_was_broken_off_is_read_again_by_the_schemas_of_then(tmp_path: Path) -> None:
    """Killed between the tables of a flush, started again with schemas that give some of its pings other tables."""

    def prepared(home: Path) -> scene.Expected:
        expected = prepare(home)
        (home / "later/telemetry/mystery").mkdir(parents=True)
        (home / "later/telemetry/mystery/mystery.1.schema.json").write_text("{}")
        return expected

    first = tmp_path / "first"
    prepared(first)
    assert run_child(first, None, first / "journal", RECORDS) == 0
    passed = (first / "journal").read_text().splitlines()
    dying = [number for number, point in enumerate(passed, 1) if point == "table_committed telemetry.unregistered"]
    assert dying
    for die_at in dying:
        home = tmp_path / f"home-{die_at}"
        expected = prepared(home)
        assert run_child(home, die_at, None, RECORDS) == -signal.SIGKILL
        assert run_child(home, None, home / "journal", 0) == 0
        _, lake = scene.open_parts(home)
        found = list(scene.column(lake, "telemetry.unregistered", "document_id"))
        if "telemetry.mystery_v1" in lake.tables():
            found += scene.column(lake, "telemetry.mystery_v1", "document_id")
        assert sorted(found, key=str) == sorted(expected.documents["telemetry.unregistered"])
        assert "schemas_adopted" in (home / "journal").read_text()


def test_new_schemas_have_their_tables_before_the_first_ping(tmp_path: Path) -> None:
    log, lake = scene.open_parts(tmp_path)
    root = scene.write_schemas(tmp_path)
    upkeep = Upkeep(60.0, log, lake, LakeSettings(), ManualClock(), Events("test", io.StringIO()))
    upkeep.adopt(Registry.load([BUILTIN, root]))
    while upkeep.wait_s() == 0:
        upkeep.turn()
    assert lake.tables() == ["shop.order_v1", "shop.refund_v1"]
    columns = [column.name for column in lake.describe("shop.order_v1").columns]
    assert {"count", "item", "submission_timestamp", "additional_properties"} <= set(columns)
    write(root, "visit", scene.ORDER)
    upkeep.adopt(Registry.load([BUILTIN, root]))
    assert upkeep.wait_s() == 0
    upkeep.turn()
    assert lake.tables() == ["shop.order_v1", "shop.refund_v1", "shop.visit_v1"]
    log.close()
