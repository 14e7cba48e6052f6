"""Sections of a ping as views: the parts that the original pipeline cut out of it, over the typed columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pyarrow as pa
import pytest

from catchment.document import Document
from catchment.errors import QueryError
from catchment.lake.columns import Columns
from catchment.lake.tables import Lake
from catchment.query.port import Limits, QueryEngine
from catchment.schemas.registry import RESERVED_COLUMNS
from catchment.schemas.shape import shape_of

TEXT, INTEGER = {"type": "string"}, {"type": "integer"}
SHAPE = shape_of(
    {
        "properties": {
            "environment": {
                "properties": {
                    "system": {"properties": {"os": {"properties": {"name": TEXT}}, "cpuCount": INTEGER}},
                    "build": {"properties": {"buildId": TEXT}},
                }
            },
            "payload": {
                "properties": {
                    "info": {"properties": {"reason": TEXT, "document_id": TEXT, "documentId": TEXT}},
                    "histograms": {"type": "object", "additionalProperties": INTEGER},
                    "slowSQL": {"type": "object"},
                }
            },
        }
    },
    RESERVED_COLUMNS,
)
TABLE = "telemetry.main_v4"
DAY_NS = 86_400_000_000_000


def ping(number: int) -> Document:
    content: dict[str, Any] = {
        "environment": {"system": {"os": {"name": f"os {number}"}, "cpuCount": number}, "build": {"buildId": "b"}},
        "payload": {
            "info": {"reason": "shutdown", "document_id": "inner", "documentId": "camel"},
            "histograms": {"A": number},
            "slowSQL": {"x": [number]},
        },
    }
    return Document(
        "telemetry", "main", 4, f"id-{number}", number * DAY_NS, orjson.dumps(content), content,
        client_id=f"client-{number}", sample_id=number, clock_skew_s=-number, creation_ns=number * DAY_NS + 1999,
        geo_isp="An ISP", ua_parser_device="iPhone",
    )  # fmt: skip


def rows_of(*numbers: int) -> pa.Table:
    columns = Columns(SHAPE)
    for number in numbers:
        columns.append(ping(number))
    return columns.take()


@pytest.fixture(scope="module")
def main(put: Callable[[str, pa.Table], None]) -> str:
    for number in (1, 2, 3):
        put(TABLE, rows_of(number))
    return TABLE


def ask(engine: QueryEngine, sql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = engine.run(sql, Limits()).read_all().to_pylist()
    return rows


def test_a_struct_gives_a_column_for_each_of_its_fields(engine: QueryEngine, main: str) -> None:
    names = list(ask(engine, f"DESCRIBE {main}__environment__system")[0])
    columns = [row[names[0]] for row in ask(engine, f"DESCRIBE {main}__environment__system")]
    assert columns == [
        "submission_timestamp", "document_id", "client_id", "sample_id", "normalized_channel", "normalized_os",
        "normalized_os_version", "normalized_app_name", "normalized_country_code", "metadata", "os", "cpu_count",
    ]  # fmt: skip
    assert ask(engine, f"SELECT document_id, cpu_count, os.name FROM {main}__environment__system ORDER BY 1") == [
        {"document_id": f"id-{number}", "cpu_count": number, "name": f"os {number}"} for number in (1, 2, 3)
    ]


def test_anything_else_is_one_column(engine: QueryEngine, main: str) -> None:
    assert ask(engine, f"SELECT histograms['A'] AS a FROM {main}__payload__histograms WHERE sample_id = 2") == [
        {"a": 2}
    ]
    assert ask(engine, f"SELECT slow_sql FROM {main}__payload__slow_sql WHERE sample_id = 3") == [
        {"slow_sql": '{"x":[3]}'}
    ]
    assert ask(engine, f"SELECT client_id_2 FROM {main}__client_id WHERE sample_id = 1") == [
        {"client_id_2": "client-1"}
    ]


def test_a_field_called_like_a_column_of_every_table_does_not_hide_it(engine: QueryEngine, main: str) -> None:
    sql = f"SELECT * EXCLUDE (metadata) FROM {main}__payload__info WHERE document_id = 'id-2'"
    [row] = ask(engine, sql)
    assert (row["document_id"], row["document_id_2"], row["reason"]) == ("id-2", "inner", "shutdown")


def test_a_condition_leaves_out_files_as_it_does_for_the_table(engine: QueryEngine, main: str) -> None:
    for table in (main, f"{main}__payload__info", f"{main}__environment"):
        result = engine.run(f"SELECT document_id FROM {table} WHERE sample_id = 2", Limits())
        assert [row["document_id"] for row in result.read_all().to_pylist()] == ["id-2"]
        assert result.files == 1


def test_sections_and_their_table_are_joined_in_any_case(engine: QueryEngine, main: str) -> None:
    sql = f"""SELECT count(*) AS rows FROM {main} t JOIN Telemetry.MAIN_v4__Payload__Info i USING (document_id)
              JOIN {main}__payload__info USING (document_id)"""
    assert ask(engine, sql) == [{"rows": 3}]


@pytest.mark.parametrize(
    "path", ["environment__nothing", "environment__system__os__name__x", "x", "__environment", "_"]
)
def test_a_section_that_is_not_there_is_refused_with_its_place(engine: QueryEngine, main: str, path: str) -> None:
    with pytest.raises(QueryError) as caught:
        engine.run(f"SELECT 1\nFROM {main}__{path}", Limits())
    assert (caught.value.reason, caught.value.line) == ("unknown_table", 2)
    assert "catchment describe telemetry.main_v4" in str(caught.value)


def test_a_real_table_comes_before_a_section(
    engine: QueryEngine, main: str, put: Callable[[str, pa.Table], None]
) -> None:
    put(f"{main}__environment", rows_of(9))
    assert [row["document_id"] for row in ask(engine, f"SELECT document_id FROM {main}__environment")] == ["id-9"]


def test_a_table_of_before_gains_the_metadata_of_now(
    engine: QueryEngine, lake: Lake, put: Callable[[str, pa.Table], None]
) -> None:
    rows = rows_of(4)
    kind = rows.schema.field("metadata").type
    older = pa.struct([field for field in kind if field.name not in ("ua_parser", "clock")])
    older = pa.struct(
        [
            pa.field(field.name, pa.struct([part for part in field.type if part.name != "isp"]))
            if field.name == "geo"
            else field
            for field in older
        ]
    )
    at = rows.schema.get_field_index("metadata")
    put("telemetry.grown_v4", rows.set_column(at, pa.field("metadata", older), pa.nulls(1, older)))
    assert "clock" not in str(lake.load("telemetry.grown_v4").schema())
    put("telemetry.grown_v4", rows_of(5))
    sql = """SELECT document_id, metadata.clock.skew_s AS skew, epoch_us(metadata.clock.creation_timestamp) AS created,
             metadata.geo.isp AS isp, metadata.ua_parser.device AS device FROM telemetry.grown_v4 ORDER BY 1"""
    assert ask(engine, sql) == [
        {"document_id": "id-4", "skew": None, "created": None, "isp": None, "device": None},
        {
            "document_id": "id-5", "skew": -5, "created": 5 * DAY_NS // 1000 + 1, "isp": "An ISP", "device": "iPhone",
        },
    ]  # fmt: skip
