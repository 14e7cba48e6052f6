"""Old rows are promoted: what has a column now moves there, each document stays what it was, each row is there once."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from pyiceberg.expressions import AlwaysTrue
from rebuilding import document
from restoring import restored

from catchment.clock import ManualClock
from catchment.document import Document
from catchment.errors import Corrupt
from catchment.lake.columns import Columns
from catchment.lake.commit import Span
from catchment.lake.datafiles import split_of
from catchment.lake.files import path_of
from catchment.lake.fitting import fitted
from catchment.lake.leftovers import COLUMN
from catchment.lake.maintenance import compact, maintain
from catchment.lake.plan import plan
from catchment.lake.promotion import STATE, Progress, progress, promote
from catchment.lake.reading import read_all
from catchment.lake.settings import LakeSettings
from catchment.lake.tables import Lake
from catchment.schemas.registry import RESERVED_COLUMNS
from catchment.schemas.shape import Struct, shape_of

TABLE = "shop.order_v1"
DAY_NS = 86_400 * 10**9
TEXT, INTEGER, NUMBER, OPEN = {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "object"}


def shape(**properties: Any) -> Struct:
    return shape_of({"properties": properties}, RESERVED_COLUMNS)


OLD = shape(a=TEXT)
NEW = shape(a=TEXT, n=INTEGER)


def load(lake: Lake, of: Struct, contents: list[dict[str, Any]], day: int = 0) -> None:
    """As the loader does: fit, gather, grow, commit with offsets."""
    held = lake.load(TABLE).schema().as_arrow() if TABLE in lake.tables() else None
    fit = fitted(of, held)[0] if held is not None else of
    columns = Columns(fit)
    for content in contents:
        made = document(content)
        columns.append(
            Document("shop", "order", 1, "id", made.submission_ns + day * DAY_NS, made.body, content, client_id=None)
        )
    rows = columns.take()
    lake.ensure(TABLE, rows.schema)
    recorded = lake.offsets(TABLE).get("raw/0")
    lake.commit(TABLE, rows, {"raw/0": Span(recorded, (recorded or 0) + len(contents))})


def rows_of(lake: Lake) -> list[dict[str, Any]]:
    table = lake.load(TABLE)
    return [row for file in plan(table, AlwaysTrue()) for row in read_all(table, file).to_pylist()]


def left(lake: Lake) -> list[Any]:
    return [orjson.loads(row[COLUMN]) if row[COLUMN] else None for row in rows_of(lake)]


def run(lake: Lake, of: Struct, at: Callable[[str], None] = lambda point: None) -> Progress:
    *_, last = promote(lake, TABLE, of, at)
    return last


def test_what_has_a_column_moves_there(lake: Lake) -> None:
    load(lake, OLD, [{"a": "x", "n": 1, "coupon": "C"}, {"a": "y", "n": "many"}, {"a": "z"}])
    load(lake, OLD, [{"n": 2**63}, {"n": None}, {"n": 5}], day=1)
    before = progress(lake, TABLE, NEW)
    assert (before.rows, before.total_rows, before.is_done) == (0, 6, False)
    last = run(lake, NEW)
    assert (last.rows, last.moved, last.is_done) == (6, 2, True)
    found = sorted((row["n"], row[COLUMN]) for row in rows_of(lake) if row["n"] is not None)
    assert found == [(1, '{"coupon":"C"}'), (5, None)]
    assert sorted(filter(None, map(str, left(lake)))) == sorted(
        map(str, [{"coupon": "C"}, {"n": "many"}, None, {"n": 2**63}, {"n": None}, None])
    )
    assert lake.offsets(TABLE) == {"raw/0": 6}
    assert progress(lake, TABLE, NEW).is_done


PLACES: dict[str, tuple[Any, Any, Any]] = {
    "a struct in a struct": (
        {"s": {"properties": {"t": {"properties": {"x": TEXT}}}}},
        {"s": {"properties": {"t": {"properties": {"x": TEXT, "y": INTEGER}}}}},
        {"s": {"t": {"x": "q", "y": 7, "z": 1}}},
    ),
    "a struct that was not there": (
        {},
        {"s": {"properties": {"t": {"properties": {"y": INTEGER}}}}},
        {"s": {"t": {"y": 7, "z": 1}, "u": 2}},
    ),
    "an empty struct": ({}, {"s": {"properties": {"y": INTEGER}}}, {"s": {}}),
    "items of a list": (
        {"l": {"type": "array", "items": {"properties": {"x": TEXT}}}},
        {"l": {"type": "array", "items": {"properties": {"x": TEXT, "y": INTEGER}}}},
        {"l": [{"x": "q", "y": 7}, None, {"y": 8, "z": 9}, 5]},
    ),
    "a list": ({}, {"l": {"type": "array", "items": INTEGER}}, {"l": [1, None, "x", 4]}),
    "values of a map": (
        {"m": {"additionalProperties": {"properties": {"x": TEXT}}, "type": "object"}},
        {"m": {"additionalProperties": {"properties": {"x": TEXT, "y": INTEGER}}, "type": "object"}},
        {"m": {"k": {"x": "q", "y": 7}, "l": {"y": 8}, "o": None, "p": 5}},
    ),
    "a map": ({}, {"m": {"type": "object", "additionalProperties": INTEGER}}, {"m": {"k": 1, "l": "x", "o": None}}),
    "JSON text": ({}, {"j": {}}, {"j": [1, {"q": None}]}),
    "a number": ({}, {"f": NUMBER}, {"f": 0.5}),
    "a boolean": ({}, {"b": {"type": "boolean"}}, {"b": False}),
    "an integer that became a number": ({"w": INTEGER}, {"w": NUMBER}, {"w": 3}),
    "a type beside": (
        {"w": {"type": "array", "items": INTEGER}},
        {"w": {"type": "array", "items": TEXT}},
        {"w": [1, "x"]},
    ),
    "an object that was JSON text": ({"o": OPEN}, {"o": {"properties": {"x": INTEGER}}}, {"o": {"x": 1, "y": 2}}),
}


@pytest.mark.parametrize(("old", "new", "content"), PLACES.values(), ids=PLACES)
def test_documents_stay_what_they_were(lake: Lake, old: Any, new: Any, content: dict[str, Any]) -> None:
    before, after = shape(a=TEXT, **old), shape(a=TEXT, **new)
    load(lake, before, [content, {"a": "x"}, {**content, "a": "y", "more": 1}])
    run(lake, after)
    fit, _ = fitted(after, lake.load(TABLE).schema().as_arrow())
    found = [restored(row, before, fit) for row in rows_of(lake)]
    assert found == [content, {"a": "x"}, {**content, "a": "y", "more": 1}]
    load(lake, after, [content])
    assert restored(rows_of(lake)[-1], fit) is not None


def test_a_nested_value_is_found_in_its_column(lake: Lake) -> None:
    old, new, content = PLACES["items of a list"]
    load(lake, shape(**old), [content])
    run(lake, shape(**new))
    [row] = rows_of(lake)
    assert row["l"] == [{"x": "q", "y": 7}, None, {"x": None, "y": 8}, None]
    assert orjson.loads(row[COLUMN]) == {"l": {"2": {"z": 9}, "3": 5}}


def test_promoting_again_does_nothing_and_commits_nothing(lake: Lake) -> None:
    load(lake, OLD, [{"n": 1}, {"q": 2}])
    load(lake, OLD, [{"q": 2}], day=1)
    run(lake, NEW)
    version = lake.load(TABLE).metadata_location
    assert run(lake, NEW).moved == 0
    assert lake.load(TABLE).metadata_location == version


def test_rows_of_the_new_shape_need_no_look_and_of_the_old_one_do(lake: Lake) -> None:
    load(lake, OLD, [{"n": 1}])
    run(lake, NEW)
    load(lake, NEW, [{"n": 2}])
    assert progress(lake, TABLE, NEW).is_done
    load(lake, OLD, [{"n": 3}])  # by a loader that has not read the new schema yet
    assert progress(lake, TABLE, NEW).files == 2
    assert run(lake, NEW).moved == 1
    assert sorted(row["n"] for row in rows_of(lake)) == [1, 2, 3]


def test_a_second_change_looks_at_all_files_again(lake: Lake) -> None:
    load(lake, OLD, [{"n": 1, "m": "x"}])
    run(lake, NEW)
    newer = shape(a=TEXT, n=INTEGER, m=TEXT)
    assert not progress(lake, TABLE, newer).is_done
    assert run(lake, newer).moved == 1
    [row] = rows_of(lake)
    assert (row["n"], row["m"], row[COLUMN]) == (1, "x", None)


def test_a_compaction_of_promoted_files_keeps_their_mark(lake: Lake, clock: ManualClock) -> None:
    for number in range(4):
        load(lake, OLD, [{"n": number}])
    run(lake, NEW)
    assert compact(lake, TABLE, clock, LakeSettings(compact_min_files=4)) == (4, 1)
    assert progress(lake, TABLE, NEW).is_done
    [file] = lake.load(TABLE).inspect.files().column("file_path").to_pylist()
    assert split_of(file) != ""


def test_a_compaction_meanwhile_is_found_by_the_next_pass(
    lake: Lake, reopen: Callable[[], Lake], clock: ManualClock
) -> None:
    for number in range(4):
        load(lake, OLD, [{"n": number}])
    other = reopen()

    def compacting(point: str) -> None:
        if point == "manifests_written" and other.describe(TABLE).files == 4:
            assert compact(other, TABLE, clock, LakeSettings(compact_min_files=4)) == (4, 1)

    assert run(lake, NEW, compacting).moved == 0
    assert sorted(found["n"] for found in left(lake)) == [0, 1, 2, 3]
    assert run(lake, NEW).moved == 4
    assert sorted(row["n"] for row in rows_of(lake)) == [0, 1, 2, 3]


def test_files_that_a_compaction_took_and_deleted_are_passed_over(
    lake: Lake, reopen: Callable[[], Lake], clock: ManualClock
) -> None:
    for number in range(4):
        load(lake, OLD, [{"n": number}])
    promoting = promote(lake, TABLE, NEW)
    next(promoting)
    settings = LakeSettings(compact_min_files=4)
    maintain(reopen(), TABLE, clock, settings)
    clock.advance(settings.replaced_age_s + settings.snapshot_age_s + 1)
    maintain(reopen(), TABLE, clock, settings)
    for _ in promoting:
        pass
    run(lake, NEW)
    assert sorted(row["n"] for row in rows_of(lake)) == [0, 1, 2, 3]


def test_appends_meanwhile_count_and_keep_their_offsets(lake: Lake, reopen: Callable[[], Lake]) -> None:
    load(lake, OLD, [{"n": 1}])
    other, loaded = reopen(), []

    def loading(point: str) -> None:
        if point in ("file_rewritten", "manifests_written", "group_committed") and point not in loaded:
            loaded.append(point)
            load(other, NEW, [{"n": 10 + len(loaded)}])

    assert run(lake, NEW, loading).moved == 1
    assert sorted(row["n"] for row in rows_of(lake)) == [1, 11, 12, 13]
    assert lake.offsets(TABLE) == {"raw/0": 4}


def test_two_at_once_move_each_row_once(lake: Lake, reopen: Callable[[], Lake]) -> None:
    for number in range(3):
        load(lake, OLD, [{"n": number}], day=number)
    other = reopen()
    both = [promote(lake, TABLE, NEW), promote(other, TABLE, NEW)]
    moved = [0, 0]
    while both[0] is not None or both[1] is not None:
        for number, one in enumerate(both):
            if one is not None and (step := next(one, None)) is not None:
                moved[number] = step.moved
            else:
                both[number] = None  # type: ignore[call-overload]
    assert sum(moved) == 3
    assert sorted(row["n"] for row in rows_of(lake)) == [0, 1, 2]
    assert progress(lake, TABLE, NEW).is_done


def test_dropped_anywhere_it_leaves_no_file(tmp_path: Path, lake: Lake) -> None:
    for number in range(3):
        load(lake, OLD, [{"n": number}])
    files = set(tmp_path.rglob("*.parquet"))
    steps = 0
    while True:
        promoting = promote(lake, TABLE, NEW)
        if any(next(promoting, None) is None for _ in range(steps)):
            break
        promoting.close()
        if lake.load(TABLE).properties.get(STATE) is None and len(list(tmp_path.rglob("*.parquet"))) > 3:
            assert set(tmp_path.rglob("*.parquet")) - files <= {
                Path(path_of(path)) for path in lake.load(TABLE).inspect.files().column("file_path").to_pylist()
            }
        steps += 1
    assert steps > 3
    assert sorted(row["n"] for row in rows_of(lake)) == [0, 1, 2]


def test_a_huge_leftover_moves_in_slices(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catchment.lake.rewriting.SLICE_BYTES", 64 * 1024)
    huge = {str(number): "x" * 1000 for number in range(2000)}
    load(lake, OLD, [{"n": number, "huge": huge} for number in range(5)])
    steps = len(list(promote(lake, TABLE, NEW)))
    assert steps > 5
    assert sorted(row["n"] for row in rows_of(lake)) == list(range(5))
    assert all(found == {"huge": huge} for found in left(lake))


def test_a_lost_file_is_named(lake: Lake, tmp_path: Path) -> None:
    load(lake, OLD, [{"n": 1}])
    [path] = tmp_path.rglob("*.parquet")
    path.unlink()
    with pytest.raises(Corrupt, match="is lost"):
        run(lake, NEW)


def test_text_of_another_writer_stays(lake: Lake, events: io.StringIO) -> None:
    load(lake, OLD, [{"n": 1}])
    rows = lake.load(TABLE).scan().to_arrow()
    at = rows.column_names.index(COLUMN)
    for text in ("{", "[]", "7"):
        other = rows.set_column(at, rows.schema.field(at), [[text]])
        lake.commit(TABLE, other, {})
    run(lake, NEW)
    assert sorted(row[COLUMN] or "" for row in rows_of(lake)) == ["", "7", "[]", "{"]
