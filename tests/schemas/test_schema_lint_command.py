"""`catchment schema lint` in somebody's continuous integration: exit codes, text, JSON, annotations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from calling import Caller

GOOD: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "Order",
    "type": "object",
    "additionalProperties": False,
    "properties": {"count": {"type": "integer", "minimum": 0, "description": "How many"}},
}
DOUBTFUL = {**GOOD, "properties": {f"a{number}": {"type": "object"} for number in range(5)}}


def test_a_good_folder_ends_with_0_and_nothing_but_the_summary(call: Caller) -> None:
    call.schema(GOOD)
    ran = call("schema", "lint", "schemas")
    assert (ran.code, ran.out) == (0, "1 file: 0 errors, 0 warnings, 0 of advice\n")
    assert sorted(path.name for path in call.folder.iterdir()) == ["schemas"], "a home was made"


def test_an_error_ends_with_1_and_names_file_line_code_and_pointer(call: Caller) -> None:
    path = call.schema({**GOOD, "type": "objekt"})
    ran = call("schema", "lint", path)
    assert ran.code == 1
    assert ran.out.startswith(f"{path}:4: error not_a_schema #/type: does not compile")


def test_many_alike_are_folded_and_advice_waits_for_strict(call: Caller) -> None:
    call.schema(DOUBTFUL)
    ran = call("schema", "lint", "schemas")
    assert (ran.code, ran.out.count("warning open_object"), "2 more of open_object" in ran.out) == (0, 3, True)
    assert "5 warnings, 5 of advice (--strict lists it)" in ran.out
    strict = call("schema", "lint", "--strict", "--all", "schemas")
    assert (strict.code, strict.out.count("description_missing")) == (1, 5)
    assert call("schema", "lint", "--strict", "--ignore", "open_object,description_missing", "schemas").code == 0


def test_json_has_every_finding(call: Caller) -> None:
    path = call.schema(DOUBTFUL)
    told = call("schema", "lint", "--select", "open_object", "--format", "json", "schemas").json
    assert (told["files"], len(told["findings"])) == (1, 5)
    first = told["findings"][0]
    assert (first["path"], first["line"], first["pointer"]) == (
        str(path.relative_to(call.folder)),
        7,
        "#/properties/a0",
    )
    assert (first["severity"], first["code"]) == ("warning", "open_object")


def test_annotations_are_those_of_a_pull_request(call: Caller) -> None:
    call.schema(DOUBTFUL)
    ran = call("schema", "lint", "--format", "github", "schemas")
    assert ran.out.splitlines()[0].startswith(
        "::warning file=schemas/shop/order/order.1.schema.json,line=7,title=open_object::#/properties/a0: an object"
    )
    assert "5 warnings" in ran.err


def test_wrong_arguments_end_with_2(call: Caller) -> None:
    call.schema(GOOD)
    for arguments in (["absent"], ["--select", "nothing", "schemas"], []):
        ran = call("schema", "lint", *arguments)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err


def test_the_process_itself_ends_so(tmp_path: Path) -> None:
    (tmp_path / "order.1.schema.json").write_text("{")
    command = [sys.executable, "-m", "catchment", "schema", "lint", "order.1.schema.json"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, "error not_json" in ran.stdout, ran.stderr) == (1, True, "")
