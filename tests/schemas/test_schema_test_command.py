"""`catchment schema test`: examples answer what their names say, or the command says what is broken and where."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from calling import Caller

SCHEMA = {"type": "object", "properties": {"lines": {"type": "array", "items": {"$ref": "#/definitions/line"}}},
          "definitions": {"line": {"type": "object", "properties": {"count": {"minimum": 1}}}}}  # fmt: skip
GOOD, BAD = {"lines": [{"count": 2}]}, {"lines": [{"count": 2}, {"count": 0}]}


@pytest.fixture
def run(call: Caller) -> Caller:
    call.schema(SCHEMA)
    call.write("examples/shop/order.1.two.pass.json", GOOD)
    call.write("examples/shop/order.1.none-left.fail.json", BAD)
    return call


ARGUMENTS = ("schema", "test", "--schemas", "schemas", "--examples", "examples")


def test_examples_that_answer_as_named_end_with_0(run: Caller) -> None:
    ran = run(*ARGUMENTS)
    assert (ran.code, ran.out) == (0, "2 passed, 0 failed\n")


def test_a_failure_names_the_place_in_both_files(run: Caller) -> None:
    run.write("examples/shop/order.1.bad.pass.json", BAD)
    ran = run(*ARGUMENTS)
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert lines[0] == "examples/shop/order.1.bad.pass.json:7: must be accepted, and is not"
    assert lines[1].startswith("    #/lines/1/count: 0 is less than the minimum")
    assert lines[2] == (
        "    rule #/definitions/line/properties/count/minimum, schemas/shop/order/order.1.schema.json:16"
    )
    assert lines[3] == "2 passed, 1 failed"


def test_what_is_let_in_against_its_name_fails(run: Caller) -> None:
    run.write("examples/shop/order.1.good.fail.json", GOOD)
    told = run(*ARGUMENTS, "--format", "json").json
    assert (told["passed"], told["failed"]) == (2, 1)
    assert told["failures"][0]["name"] == "shop.order.1.good"
    assert "satisfies the schema" in told["failures"][0]["detail"]


def test_what_cannot_be_judged_fails_and_strangers_are_told(run: Caller) -> None:
    run.write("examples/shop/refund.1.a.pass.json", {})
    run.write("examples/shop/order.1.torn.pass.json", "{")
    run.write("examples/shop/order.1.torn2.fail.json", "{")
    run.write("examples/shop/order.one.json", "{}")
    ran = run(*ARGUMENTS)
    assert ran.code == 1
    assert "there is no schema shop/refund/refund.1.schema.json" in ran.out
    assert "order.1.torn.pass.json:1: must be accepted" in ran.out
    assert "order.one.json: not run" in ran.out
    assert ran.out.endswith("3 passed, 2 failed, 1 not run\n")


def test_a_schema_that_does_not_compile_fails_its_examples(run: Caller) -> None:
    run.schema({"type": "objekt"})
    ran = run(*ARGUMENTS)
    assert (ran.code, ran.out.count("does not compile")) == (1, 2)


def test_junit_has_a_case_each(run: Caller) -> None:
    run.write("examples/shop/order.1.bad.pass.json", {"lines": ["\x01"]})
    run.write("examples/shop/notes.json", "{}")
    assert run(*ARGUMENTS, "--junit", "reports/report.xml").code == 1
    suite = ET.parse(run.folder / "reports" / "report.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "1")
    assert [case.get("classname") for case in suite] == ["shop.order.1"] * 3 + ["shop"]
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "#/lines/0 breaks #/definitions/line/type" in str(failure.text)


def test_no_examples_and_no_folder_end_with_2(run: Caller) -> None:
    (run.folder / "empty").mkdir()
    for examples in ("empty", "absent"):
        assert run("schema", "test", "--schemas", "schemas", "--examples", examples).code == 2
    assert run("schema", "test", "--schemas", "absent", "--examples", "examples").code == 2


def test_the_real_examples_answer_as_named(call: Caller, shared_data: Path) -> None:
    real = shared_data / "pipeline-schemas"
    ran = call("schema", "test", "--schemas", real / "schemas", "--examples", real / "validation")
    assert (ran.code, ran.out) == (0, "158 passed, 0 failed\n")
