"""Each rule of the linter: what it finds, where, and on which line; and what it leaves alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from catchment.cli.schema_lint import lint as command
from catchment.errors import BadConfig
from catchment.schemas.lint import Finding, lint, lint_file
from catchment.schemas.lintrules import RULES
from catchment.schemas.registry import BUILTIN

DOCS = Path(__file__).parent.parent.parent / "docs" / "schema-tools.md"
DRAFT = "http://json-schema.org/draft-07/schema#"
CLEAN: dict[str, Any] = {
    "$schema": DRAFT,
    "title": "Order",
    "type": "object",
    "additionalProperties": False,
    "required": ["clientId"],
    "properties": {
        "clientId": {"type": "string", "format": "uuid", "description": "Who orders"},
        "count": {"type": "integer", "minimum": 0, "description": "How many"},
    },
}
DEEP: dict[str, Any] = {"type": "string"}
for _ in range(15):
    DEEP = {"type": "object", "properties": {"a": DEEP}}


def write(folder: Path, document: Any, name: str = "order.1.schema.json") -> Path:
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document, indent=1))
    return path


def properties(**schemas: Any) -> dict[str, Any]:
    return {**CLEAN, "properties": {**CLEAN["properties"], **schemas}}


def found(folder: Path, document: Any) -> dict[str, Finding]:
    return {finding.code: finding for finding in lint_file(write(folder, document))}


CASES: list[tuple[str, Any, str]] = [
    ("not_json", "{,}", "#"),
    ("not_json", "[]", "#"),
    ("not_a_schema", {**CLEAN, "type": "objekt"}, "#/type"),
    ("name_twice", '{"type": "object", "properties": {"a": {}, "b": {},\n "a": {}}}', "#/properties/a"),
    ("pattern_invalid", properties(a={"type": "string", "pattern": "(?<"}), "#/properties/a/pattern"),
    ("pattern_invalid", properties(a={"patternProperties": {"[": {}}}), "#/properties/a/patternProperties/["),
    ("reference_remote", properties(a={"$ref": "https://example.org/a.json"}), "#/properties/a/$ref"),
    ("reference_to_nothing", properties(a={"$ref": "#/definitions/a"}), "#/properties/a/$ref"),
    ("draft_unknown", {**CLEAN, "$schema": "http://json-schema.org/draft-03/schema#"}, "#/$schema"),
    ("draft_missing", {key: CLEAN[key] for key in CLEAN if key != "$schema"}, "#"),
    ("matches_nothing", {**CLEAN, "type": "array"}, "#/type"),
    ("matches_nothing", {**CLEAN, "required": ["cleintId"]}, "#/required"),
    ("matches_nothing", properties(a={"type": "integer", "minimum": 5, "maximum": 4}), "#/properties/a/minimum"),
    ("matches_nothing", properties(a={"type": "integer", "enum": ["a"]}), "#/properties/a/enum"),
    ("matches_nothing", properties(clientId=False), "#/properties/clientId"),
    ("matches_nothing", properties(a={"allOf": [{"type": "number"}, {"type": "string"}]}), "#/properties/a/allOf"),
    ("example_invalid", {**CLEAN, "examples": [{"clientId": "a"}, {"clientId": 5}]}, "#/examples/1/clientId"),
    ("matches_everything", {"$schema": DRAFT, "title": "All", "type": "object"}, "#"),
    ("misspelled", properties(a={"type": "integer", "minumum": 0}), "#/properties/a/minumum"),
    ("format_unknown", properties(a={"type": "string", "format": "datetime"}), "#/properties/a/format"),
    ("required_unknown", {**CLEAN, "required": ["b"], "additionalProperties": True}, "#/required"),
    ("enum_mixed", properties(a={"enum": ["a", 1]}), "#/properties/a/enum"),
    ("column_renamed", properties(sampleId={"type": "integer"}), "#/properties/sampleId"),
    ("column_renamed", properties(aB={"type": "string"}, a_b={"type": "string"}), "#/properties/aB"),
    ("integer_too_wide", properties(a={"type": "integer", "maximum": 2**64}), "#/properties/a"),
    ("mixed_types", properties(a={"type": ["string", "object"]}), "#/properties/a"),
    ("untyped", properties(a={}), "#/properties/a"),
    ("recursive", {**properties(a={"$ref": "#/properties/a"})}, "#/properties/a"),
    (
        "recursive",
        {
            **properties(a={"$ref": "#/definitions/t"}),
            "definitions": {"t": {"type": "object", "properties": {"left": {"$ref": "#/definitions/t"}}}},
        },
        "#/definitions/t/properties/left",
    ),
    ("too_deep", properties(a=DEEP), "#/properties/a" + "/properties/a" * 12),
    ("definition_unused", {**CLEAN, "definitions": {"b": {"type": "string"}}}, "#/definitions/b"),
    ("title_missing", {key: CLEAN[key] for key in CLEAN if key != "title"}, "#"),
    ("sql_reserved", properties(order={"type": "string"}), "#/properties/order"),
    ("mixed_case", properties(a_b={"type": "string"}, cD={"type": "string"}, eF={"type": "string"}), "#/properties"),
    ("description_missing", properties(a={"type": "string"}), "#/properties/a"),
    ("additional_unspecified", {key: CLEAN[key] for key in CLEAN if key != "additionalProperties"}, "#"),
    ("integer_unbounded", properties(a={"type": "integer"}), "#/properties/a"),
]


@pytest.mark.parametrize(("code", "document", "pointer"), CASES, ids=[code for code, _, _ in CASES])
def test_a_rule_finds_its_place(tmp_path: Path, code: str, document: Any, pointer: str) -> None:
    finding = found(tmp_path, document)[code]
    assert (finding.pointer, finding.severity) == (pointer, RULES[code].severity)
    if isinstance(document, dict) and pointer != "#":
        name = pointer.rpartition("/")[2]
        assert f'"{name}"' in (tmp_path / "order.1.schema.json").read_text().splitlines()[finding.line - 1]


@pytest.mark.parametrize(
    ("code", "schema"),
    [
        ("open_object", {"type": "object"}),
        ("open_array", {"type": "array"}),
    ],
)
def test_what_becomes_json_text_says_why(tmp_path: Path, code: str, schema: Any) -> None:
    finding = found(tmp_path, properties(a=schema))[code]
    assert (finding.pointer, "JSON text" in finding.message) == ("#/properties/a", True)


def test_what_is_no_json_is_told_with_its_line(tmp_path: Path) -> None:
    assert found(tmp_path, '{\n "type": "object",\n "a" 5}')["not_json"].line == 3


def test_parts_that_go_together_are_no_finding(tmp_path: Path) -> None:
    parts = {"type": ["integer", "null"], "allOf": [{"type": "number"}, {"minimum": 0, "maximum": 5}]}
    assert "matches_nothing" not in found(tmp_path, properties(a=parts))


def test_a_clean_schema_has_no_findings(tmp_path: Path) -> None:
    assert lint_file(write(tmp_path, CLEAN)) == []


def test_every_rule_is_tried_here() -> None:
    tried = {code for code, _, _ in CASES} | {"open_object", "open_array"}
    assert set(RULES) - tried == {"file_name", "folder_name", "table_shared"}


def test_names_of_files_and_folders_are_judged(tmp_path: Path) -> None:
    for folder, name in (
        ("order", "order.01.schema.json"),
        ("shop", "order.1.schema.json"),
        ("x", "oRder.1.schema.json"),
    ):
        (tmp_path / "shop" / folder).mkdir(parents=True)
        write(tmp_path / "shop" / folder, CLEAN, name)
    for name in ("newVisit", "new-visit"):
        (tmp_path / "shop" / name).mkdir()
        write(tmp_path / "shop" / name, CLEAN, f"{name}.1.schema.json")
    codes = {(finding.code, Path(finding.path).name) for finding in lint([tmp_path])}
    assert codes == {
        ("file_name", "order.01.schema.json"),
        ("folder_name", "order.1.schema.json"),
        ("folder_name", "oRder.1.schema.json"),
        ("table_shared", "newVisit.1.schema.json"),
    }


def test_what_stands_in_a_condition_needs_no_description(tmp_path: Path) -> None:
    condition = {**CLEAN, "if": {"properties": {"count": {"const": 1}}}, "then": {"required": ["clientId"]}}
    assert lint_file(write(tmp_path, condition)) == []


def test_a_required_name_of_another_part_is_no_finding(tmp_path: Path) -> None:
    split = {**CLEAN, "allOf": [{"required": ["count"]}], "required": ["x1"], "additionalProperties": True}
    split["patternProperties"] = {"^x[0-9]$": {"type": "string"}}
    assert "required_unknown" not in found(tmp_path, split)


def test_codes_are_chosen_and_unknown_ones_refused(tmp_path: Path) -> None:
    path = write(tmp_path, properties(a={}, b={"type": "integer"}))
    assert {finding.code for finding in lint([path], select=["untyped"])} == {"untyped"}
    assert "untyped" not in {finding.code for finding in lint([path], ignore=["untyped"])}
    with pytest.raises(BadConfig, match="no rule untipped"):
        lint([path], select=["untipped"])
    with pytest.raises(BadConfig, match="no such file"):
        lint([tmp_path / "absent"])


def test_the_schemas_that_come_with_catchment_have_no_errors() -> None:
    assert [finding for finding in lint([BUILTIN]) if finding.severity == "error"] == []


def test_the_real_schemas_have_no_errors_and_the_known_slip_is_found(shared_data: Path) -> None:
    findings = lint([shared_data / "pipeline-schemas" / "schemas"])
    assert [finding for finding in findings if finding.severity == "error"] == []
    assert [(f.line, f.pointer.rpartition("/")[2]) for f in findings if f.code == "misspelled"] == [(1528, "minumum")]


def test_codes_that_the_help_names_are_rules() -> None:
    named = re.findall(r"--(?:select|ignore) ([a-z_,]+)", str(command.help))
    assert len(named) == 2
    assert {code for codes in named for code in codes.split(",")} <= set(RULES)


def test_the_page_lists_the_rules_as_they_are() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert [(code, (severity, meaning)) for code, severity, meaning in rows] == list(RULES.items())
