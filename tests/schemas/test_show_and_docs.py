"""`catchment schema show` and `docs`: a schema to read, in the terminal, as SQL that an engine takes, as pages."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest
from calling import Caller

from catchment.schemas.registry import BUILTIN, Registry

ORDER = {
    "title": "Order <b>",
    "description": "Sent when a customer pays",
    "type": "object",
    "required": ["total"],
    "properties": {
        "total": {"type": "number", "minimum": 0, "description": "In the shop's currency", "examples": [12]},
        "order": {"type": "object", "properties": {"placedAt": {"type": "string", "format": "date-time"}}},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
        "extra": {"type": "object"},
    },
    "examples": [{"total": 12}],
}
NEXT = {**ORDER, "title": "Next"}


@pytest.fixture
def shop(call: Caller) -> Caller:
    call.schema(ORDER)
    call.schema(NEXT, version=12)
    call.schema(NEXT, version=3)
    return call


def test_show_tells_fields_columns_rules_and_reasons(shop: Caller) -> None:
    ran = shop("schema", "show", "shop.order.1", "--schemas", "schemas")
    assert ran.code == 0
    assert "Sent when a customer pays" in ran.out
    row = next(line for line in ran.out.splitlines() if line.lstrip().startswith("total *"))
    assert re.sub(" +", " ", row).strip() == (
        "total * number total double In the shop's currency; at least 0; such as 12"
    )
    assert "an object without properties" in ran.out


def test_show_takes_the_newest_version_by_number(shop: Caller) -> None:
    told = shop("schema", "show", "shop.order", "--schemas", "schemas", "--format", "json").json
    assert (told["name"], told["title"], told["table"]) == ("shop.order.12", "Next", "shop.order_v12")
    fields = {field["path"]: field["column_type"] for field in told["fields"]}
    assert fields == {
        "total": "double",
        "order": "struct",
        "order.placedAt": "timestamptz",
        "lines": "list<struct>",
        "lines[].sku": "string",
        "extra": "string",
    }


def test_show_without_a_folder_knows_the_schemas_of_the_platform(call: Caller) -> None:
    assert call("schema", "show", "telemetry.crash").out.startswith("telemetry.crash.4 ")


def test_the_sql_of_every_table_is_taken_by_the_engine(shop: Caller) -> None:
    with duckdb.connect() as database:
        database.execute("CREATE SCHEMA shop; CREATE SCHEMA telemetry; CREATE SCHEMA firefox_desktop")
        for schema in [*Registry.load([shop.folder / "schemas"]).all(), *Registry.load([BUILTIN]).all()]:
            name = f"{schema.namespace}.{schema.doctype}.{schema.version}"
            folders = ("--schemas", "schemas") if schema.namespace == "shop" else ()
            database.execute(shop("schema", "show", name, "--sql", *folders).out)
        columns = database.execute("DESCRIBE shop.order_v1").fetchall()
    types = {name: kind for name, kind, *_ in columns}
    assert (types["total"], types["lines"]) == ("DOUBLE", "STRUCT(sku VARCHAR)[]")
    assert types["order"] == "STRUCT(placed_at TIMESTAMP WITH TIME ZONE)"


@pytest.mark.parametrize(("name", "advice"), [("shop.ordre", "near are shop.order"), ("shop.order.2", "1, 3, 12")])
def test_a_name_that_is_none_tells_those_near(shop: Caller, name: str, advice: str) -> None:
    ran = shop("schema", "show", name, "--schemas", "schemas")
    assert (ran.code, advice in ran.err) == (2, True)


class Links(HTMLParser):
    """The links, ids and loaded things of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.links += [found["href"]] if tag == "a" else []
        self.loaded += [found[name] for name in ("src", "href") if name in found and tag != "a"]
        self.ids += [found["id"]] if "id" in found else []


def test_pages_lead_to_each_other_and_load_nothing(shop: Caller) -> None:
    ran = shop("schema", "docs", "--schemas", "schemas", "--output", "public", "--title", "Shop's pings")
    assert (ran.code, ran.out) == (0, "3 schemas in public/index.html\n")
    pages = sorted((shop.folder / "public").rglob("*.html"))
    assert len(pages) == 4
    for page in pages:
        found = Links(page.read_text())
        assert found.loaded == []
        assert len(found.ids) == len(set(found.ids))
        for link in found.links:
            assert link.removeprefix("#") in found.ids if link.startswith("#") else (page.parent / link).exists()
    text = (shop.folder / "public" / "shop" / "order.1.html").read_text()
    assert "Order &lt;b&gt;" in text
    assert "<b>" not in text


def test_a_search_finds_fields_and_columns(shop: Caller) -> None:
    shop("schema", "docs", "--schemas", "schemas", "--output", "public")
    words = re.findall(r'data-words="([^"]*)"', (shop.folder / "public" / "index.html").read_text())
    assert len(words) == 3
    assert all(word in words[0] for word in ("placedat", "placed_at", "shop.order_v1", "customer pays"))


def test_markdown_has_a_row_a_field(shop: Caller) -> None:
    assert shop("schema", "docs", "--schemas", "schemas", "--format", "markdown").code == 0
    page = (shop.folder / "schema-docs" / "shop" / "order.1.md").read_text()
    assert "| total | number | yes | total | double | In the shop's currency; at least 0; such as 12 |" in page
    assert "(shop/order.1.md)" in (shop.folder / "schema-docs" / "index.md").read_text()


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_written(shop: Caller) -> None:
    shop.schema("{", doctype="torn")
    ran = shop("schema", "docs", "--schemas", "schemas", "--output", "public")
    assert (ran.code, "left out: schema schemas/shop/torn/torn.1.schema.json" in ran.err) == (1, True)
    assert Path("public/shop/order.1.html").exists()
