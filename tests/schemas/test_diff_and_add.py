"""`catchment schema diff` and `add`: what a change means for documents and table, between files, folders and commits;
and a schema published, after which a loader's registry has it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from calling import Caller

from catchment.schemas.registry import Registry

DRAFT = "http://json-schema.org/draft-07/schema#"
ORDER: dict[str, Any] = {
    "$schema": DRAFT,
    "type": "object",
    "properties": {"total": {"type": "integer"}, "note": {"type": "string"}},
}


def changed(**properties: Any) -> dict[str, Any]:
    return {**ORDER, "properties": {**ORDER["properties"], **properties}}


WIDER, TIGHTER = changed(coupon={"type": "string"}), {**ORDER, "required": ["total"]}


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_a_new_field_is_compatible_and_adds_a_column(call: Caller) -> None:
    old, new = call.schema(ORDER, root="old"), call.schema(WIDER, root="new")
    ran = call("schema", "diff", old, new)
    assert ran.code == 0
    assert "shop.order.1: changed, compatible" in ran.out
    assert "column coupon (string) is added" in ran.out
    assert ran.out.endswith("1 schema differs, 0 incompatible\n")


def test_a_refused_document_is_incompatible_and_tells_the_way_out(call: Caller) -> None:
    call.schema(ORDER, root="old")
    call.schema(TIGHTER, root="new")
    ran = call("schema", "diff", "old", "new")
    assert ran.code == 1
    assert "shop.order.1: changed, incompatible" in ran.out
    assert "way out: make it a new version, order.2.schema.json" in ran.out


def test_what_comes_and_goes_is_told(call: Caller) -> None:
    for doctype, root in (("order", "old"), ("order", "new"), ("visit", "old"), ("refund", "new"), ("torn", "new")):
        call.schema({"type": "objekt"} if doctype == "torn" else ORDER, doctype=doctype, root=root)
    told = call("schema", "diff", "old", "new", "--format", "json")
    assert (told.code, told.json["compatible"]) == (1, False)
    outcomes = {found["name"]: (found["outcome"], found["compatible"]) for found in told.json["schemas"]}
    assert outcomes == {
        "shop.refund.1": ("added", True),
        "shop.torn.1": ("unreadable", False),
        "shop.visit.1": ("removed", False),
    }


def test_two_versions_are_compared_and_keep_their_tables(call: Caller) -> None:
    ran = call("schema", "diff", call.schema(ORDER), call.schema(WIDER, version=2))
    assert ran.code == 0
    assert "shop.order.1 → shop.order.2: changed, compatible: a version of its own, with table shop.order_v2" in ran.out


def test_words_that_no_validator_reads_change_nothing(call: Caller) -> None:
    old = call.schema({**ORDER, "ownerOfThis": {"team": "a"}, "comment": "a", "title": "A"}, root="old")
    ran = call("schema", "diff", old, call.schema({**ORDER, "ownerOfThis": {"team": "b"}, "required": []}, root="new"))
    assert (ran.code, "ownerOfThis" in ran.out, "tightened" in ran.out) == (0, False, False)


def test_revisions_of_a_repository_are_sides(call: Caller) -> None:
    git(call.folder, "init", "-q")
    path = call.schema(ORDER)
    git(call.folder, "add", ".")
    git(call.folder, "commit", "-q", "-m", "a")
    call.schema(WIDER)
    call.schema(ORDER, doctype="refund")
    ran = call("schema", "diff", "HEAD:schemas", "schemas")
    assert (ran.code, "shop.refund.1: added" in ran.out, "shop.order.1: changed, compatible" in ran.out) == (
        0,
        True,
        True,
    )
    name = path.relative_to(call.folder)
    assert "column coupon" in call("schema", "diff", f"HEAD:{name}", name).out
    assert call("schema", "diff", "HEAD:schemas", "HEAD:schemas").out == "0 schemas differ, 0 incompatible\n"
    for wrong in ("HEAD:absent", "nothing:schemas", "absent", "--upload-pack=x:y"):
        ran = call("schema", "diff", "--", wrong, "schemas")
        assert (ran.code, ran.out, wrong in ran.err) == (2, "", True)


@pytest.fixture
def platform(call: Caller, monkeypatch: pytest.MonkeyPatch) -> Caller:
    monkeypatch.setenv("CATCHMENT_HOME__PATH", str(call.folder / "home"))
    monkeypatch.setenv("CATCHMENT_EDGE__PORT", "8123")
    return call


def in_force(call: Caller) -> Registry:
    return Registry.load([call.folder / "home" / "schemas"])


def test_an_added_schema_is_in_force_and_has_an_endpoint_and_a_table(platform: Caller) -> None:
    ran = platform("schema", "add", platform.schema(ORDER))
    assert (ran.code, ran.err) == (0, "")
    assert "Added shop.order.1." in ran.out
    assert "Table shop.order_v1, 2 columns of its own:\n    total long\n    note string\n" in ran.out
    assert "curl --data-binary @ping.json http://127.0.0.1:8123/submit/shop/order/1/" in ran.out
    schema = in_force(platform).find("shop", "order", 1)
    assert schema is not None
    assert schema.document == ORDER
    assert "telemetry.crash.4" in platform("schema", "show", "telemetry.crash").out
    assert "shop.order.1" in platform("schema", "show", "shop.order").out


def test_a_second_time_changes_nothing_and_a_compatible_change_is_told(platform: Caller) -> None:
    platform("schema", "add", platform.schema(ORDER))
    again = platform("schema", "add", platform.schema(ORDER), "--format", "json").json
    assert (again["is_changed"], again["is_new"]) == (False, False)
    ran = platform("schema", "add", platform.schema(WIDER))
    assert (ran.code, "column coupon (string) is added" in ran.out) == (0, True)
    schema = in_force(platform).find("shop", "order", 1)
    assert schema is not None and schema.document == WIDER


def test_what_is_incompatible_is_refused_unless_it_is_allowed(platform: Caller) -> None:
    platform("schema", "add", platform.schema(ORDER))
    ran = platform("schema", "add", platform.schema(TIGHTER))
    assert (ran.code, ran.out) == (1, "")
    assert "way out: make it a new version, order.2.schema.json" in ran.err
    schema = in_force(platform).find("shop", "order", 1)
    assert schema is not None and schema.document == ORDER
    platform.write("catchment.toml", '[schemas]\nallow_incompatible = ["shop.order"]\n')
    assert platform("schema", "add", platform.schema(TIGHTER)).code == 0


def test_an_error_of_the_linter_stops_it(platform: Caller) -> None:
    ran = platform("schema", "add", platform.schema({**ORDER, "$schema": "http://example.org/draft"}))
    assert (ran.code, "error draft_unknown" in ran.out) == (1, True)
    assert in_force_is_empty(platform)


def test_a_dry_run_tells_and_changes_nothing(platform: Caller) -> None:
    told = platform("schema", "add", platform.schema(ORDER), "--dry-run", "--format", "json").json
    assert (told["is_changed"], told["table"], told["columns"]) == (
        True,
        "shop.order_v1",
        {"total": "long", "note": "string"},
    )
    assert told["endpoint"] == "http://127.0.0.1:8123/submit/shop/order/1/<document id>"
    assert in_force_is_empty(platform)


def test_a_folder_that_cannot_be_written_is_one_line(platform: Caller) -> None:
    platform.write("home/schemas/shop", "a file where a folder must be")
    ran = platform("schema", "add", platform.schema(ORDER))
    assert (ran.code, "mend its permissions" in ran.err) == (1, True)


def in_force_is_empty(call: Caller) -> bool:
    return not list((call.folder / "home").rglob("*.schema.json"))
