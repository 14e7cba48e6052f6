"""Example documents, and whether a schema answers to each what the example's name says.

    <examples>/<namespace>/<doctype>.<version>.<case>.<pass|fail>.json

A file of another name is no example, and is told as one that was not run: examples that are passed over in silence are
worse than none. An example without a schema fails, and so does a passing one that is no JSON; the decoder's own checks
(gzip, names twice, size) are not made. Source: spec of the schema registry, "Binding rules of the harness".
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from catchment.errors import BadConfig, Incompatible
from catchment.schemas.pointers import LineIndex, pointer_of, resolved
from catchment.schemas.registry import Registry, Schema

_NAME = re.compile(
    r"(?P<doctype>[A-Za-z0-9-]+)\.(?P<version>0|[1-9]\d{0,8})\.(?P<case>[^.]+)\.(?P<answer>pass|fail)\.json"
)


@dataclass(frozen=True, slots=True)
class Example:
    """One example file."""

    path: Path
    namespace: str
    doctype: str
    version: int
    case: str
    is_valid: bool
    """What its name says."""

    @property
    def name(self) -> str:
        """`shop.order.1.empty`"""
        return f"{self.namespace}.{self.doctype}.{self.version}.{self.case}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a schema answered. `rule`, `pointer` and `line` are of the first rule that the document breaks, also where
    it was expected to; `schema_path` and `schema_line` tell where the rule stands."""

    example: Example
    has_passed: bool
    detail: str
    rule: str = ""
    pointer: str = ""
    line: int = 0
    schema_path: str = ""
    schema_line: int = 0


def find_examples(root: Path) -> tuple[list[Example], list[Path]]:
    """The examples below a folder, in the order of their names, and the JSON files whose names are those of none.
    Raises BadConfig when the folder does not exist or has no example."""
    if not root.is_dir():
        raise BadConfig(f"examples {root}: is not a folder; name one that holds <namespace>/<doctype>.<version>.…")
    found, strangers = [], []
    for path in sorted(root.glob("*/*.json")):
        named = _NAME.fullmatch(path.name)
        if named is None:
            strangers.append(path)
            continue
        is_valid = named["answer"] == "pass"
        found.append(Example(path, path.parent.name, named["doctype"], int(named["version"]), named["case"], is_valid))
    if not found:
        raise BadConfig(
            f"examples {root}: has none; they are called <namespace>/<doctype>.<version>.<case>.<pass|fail>.json"
        )
    return found, strangers


def run(examples: Sequence[Example], registry: Registry) -> Iterator[Outcome]:
    """The outcome of each example, in order."""
    for example in examples:
        yield _outcome(example, registry.find(example.namespace, example.doctype, example.version))


def _outcome(example: Example, schema: Schema | None) -> Outcome:
    if schema is None:
        name = f"{example.namespace}/{example.doctype}/{example.doctype}.{example.version}.schema.json"
        return Outcome(example, False, f"there is no schema {name}")
    path = str(schema.path)
    try:
        text = example.path.read_bytes()
        content = orjson.loads(text)
        violation = schema.violation(content)
    except orjson.JSONDecodeError as error:
        return Outcome(example, not example.is_valid, f"is no JSON: {error}", "json", "#", error.lineno, path)
    except OSError as error:
        return Outcome(example, False, f"cannot be read: {error}")
    except Incompatible as error:
        return Outcome(example, False, str(error), schema_path=path)
    if violation is None:
        detail = "satisfies the schema" + ("" if example.is_valid else ", and its name says that it must not")
        return Outcome(example, example.is_valid, detail, schema_path=path)
    line = LineIndex(text.decode("utf-8", "replace")).line(violation.document_pointer)
    rule = f"{violation.schema_pointer}/{violation.keyword}"
    schema_line = _line_in(schema, rule)
    return Outcome(
        example, not example.is_valid, violation.detail, rule, violation.document_pointer, line, path, schema_line
    )


def _line_in(schema: Schema, rule: str) -> int:
    return LineIndex(schema.content.decode("utf-8", "replace")).line(pointer_of(resolved(schema.document, rule)))


def junit(outcomes: Sequence[Outcome], strangers: Sequence[Path], took_s: float) -> bytes:
    """The outcomes as the XML that continuous integration reads: a case each, its class namespace, doctype, version;
    files that are no examples are skipped cases."""
    failed = sum(not outcome.has_passed for outcome in outcomes)
    counts: dict[str, Any] = {
        "tests": len(outcomes) + len(strangers),
        "failures": failed,
        "errors": 0,
        "skipped": len(strangers),
        "time": f"{took_s:.3f}",
    }
    suites = ET.Element("testsuites", {key: str(value) for key, value in counts.items()})
    suite = ET.SubElement(suites, "testsuite", {"name": "schemas", **suites.attrib})
    for outcome in outcomes:
        example = outcome.example
        answer = "pass" if example.is_valid else "fail"
        case = ET.SubElement(
            suite,
            "testcase",
            {
                "classname": f"{example.namespace}.{example.doctype}.{example.version}",
                "name": f"{example.case}.{answer}",
                "file": str(example.path),
                "time": "0",
            },
        )
        if not outcome.has_passed:
            failure = ET.SubElement(case, "failure", {"message": _plain(outcome.detail)})
            failure.text = _plain(f"{example.path}:{outcome.line} {outcome.pointer} breaks {outcome.rule}")
    for path in strangers:
        case = ET.SubElement(suite, "testcase", {"classname": path.parent.name, "name": path.name, "time": "0"})
        ET.SubElement(case, "skipped", {"message": "its name is not that of an example"})
    ET.indent(suites)
    return bytes(ET.tostring(suites, "utf-8", xml_declaration=True)) + b"\n"


def _plain(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "\ufffd" for sign in text)
