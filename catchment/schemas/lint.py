"""What is wrong, doubtful or missing in a schema file, before a platform sees it.

    file ─▶ readable? ─▶ compiles? ─▶ its subschemas one by one ─▶ its columns ─▶ beside the other files

Each finding has a stable code (`RULES`), a JSON pointer and a line. The findings of one subschema are in
`lintrules.py`. What refers to columns is judged by the transpiler itself (`shape.py`), so a rule cannot disagree with
the table. Nothing but the named files is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

from catchment.errors import BadConfig
from catchment.schemas.lintrules import (
    DO_NOT_COMPILE,
    ERROR,
    RULES,
    Raw,
    Subschema,
    each_subschema,
    in_columns,
    of_subschema,
)
from catchment.schemas.names import snake_case
from catchment.schemas.nodes import Nodes
from catchment.schemas.pointers import LineIndex, pointer_of
from catchment.schemas.registry import FILE_NAME, Schema
from catchment.schemas.vocabulary import ASSERTIONS


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found. `severity` is error, warning or advice; `pointer` is `#` for the file itself."""

    path: str
    line: int
    pointer: str
    severity: str
    code: str
    message: str


def lint(paths: Sequence[Path], select: Collection[str] = (), ignore: Collection[str] = ()) -> list[Finding]:
    """The findings of files, and of all `*.schema.json` below folders, in the order of their places. With `select`,
    only of these codes. Raises BadConfig for a path that does not exist and for a code that is none."""
    unknown = {*select, *ignore} - set(RULES)
    if unknown:
        raise BadConfig(f"there is no rule {', '.join(sorted(unknown))}; the rules are {', '.join(RULES)}")
    files = list(schema_files(paths))
    found = [finding for path, is_searched in files for finding in lint_file(path, is_searched)]
    found += _shared_tables([path for path, _ in files])
    chosen = [f for f in found if (not select or f.code in select) and f.code not in ignore]
    return sorted(chosen, key=lambda finding: (finding.path, finding.line, finding.code, finding.pointer))


def schema_files(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """The files that paths name, each with whether it was found below a folder. Raises BadConfig."""
    for path in paths:
        if path.is_dir():
            inside = sorted(path.rglob("*.schema.json"))
            if not inside:
                raise BadConfig(f"{path}: no file below it ends with .schema.json; name a folder of schemas")
            yield from ((file, True) for file in inside)
        elif path.is_file():
            yield path, False
        else:
            raise BadConfig(f"{path}: there is no such file or folder; name schemas or folders of them")


def lint_file(path: Path, is_searched: bool = False) -> list[Finding]:
    """The findings of one file. Its folders are judged too when it was found by a search."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [Finding(str(path), 1, "#", ERROR, "not_json", f"cannot be read as UTF-8: {error}")]
    lines = LineIndex(text)
    return [
        Finding(str(path), line or lines.line(pointer), pointer, RULES[code].severity, code, message)
        for code, pointer, message, line in [*_of_name(path, is_searched), *_of_text(path, text, lines)]
    ]


def _of_name(path: Path, is_searched: bool) -> Iterator[Raw]:
    named = FILE_NAME.fullmatch(path.name)
    if named is None:
        yield Raw(
            "file_name",
            "#",
            f"{path.name} must be <doctype>.<version>.schema.json, the doctype of letters, digits and -, the version "
            f"without a leading 0; under this name it is never loaded",
        )
    elif is_searched and path.parent.name != named["doctype"]:
        yield Raw("folder_name", "#", f"stands in folder {path.parent.name}; look for it in {named['doctype']}")


def _of_text(path: Path, text: str, lines: LineIndex) -> Iterator[Raw]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        yield Raw("not_json", "#", f"column {error.colno}: {error.msg}", error.lineno)
        return
    for pointer in lines.repeated:
        yield Raw("name_twice", pointer, "the object has this name twice; only the last one counts")
    if not isinstance(document, dict):
        yield Raw("not_json", "#", f"is a {type(document).__name__}; a schema file holds an object")
        return
    nodes = Nodes(document)
    subschemas = list(each_subschema(nodes))
    found = [raw for subschema in subschemas for raw in of_subschema(subschema)]
    yield from found
    yield from _of_draft(document)
    if not any(raw.code in DO_NOT_COMPILE for raw in found):
        compiled = _compiled(document)
        if isinstance(compiled, Raw):
            yield compiled
            return
        yield from _of_examples(document, compiled)
    yield from _of_whole(nodes)
    yield from _unused(nodes, subschemas)
    yield from in_columns(Schema("", "", 0, path).shape)


def _of_draft(document: dict[str, Any]) -> Iterator[Raw]:
    declared = document.get("$schema")
    if declared is None:
        yield Raw("draft_missing", "#", "no $schema: it is read as draft 4; declare the draft that you mean")
    else:
        try:
            jsonschema_rs.validator_for({"$schema": declared})
        except (jsonschema_rs.ValidationError, ValueError, TypeError):
            yield Raw(
                "draft_unknown", "#/$schema", f"{declared!r} is no draft that is known (4, 6, 7, 2019-09, 2020-12)"
            )


def _compiled(document: dict[str, Any]) -> Any:
    """The validator, or where a schema breaks the rules of its draft; None when its draft is not known."""
    compile_ = jsonschema_rs.validator_for if "$schema" in document else jsonschema_rs.Draft4Validator
    try:
        return compile_(document, validate_formats=False)
    except jsonschema_rs.ValidationError as error:
        if str(error.message).startswith("Unknown meta-schema"):
            return None  # `draft_unknown` has told it
        message = f"does not compile: {' '.join(error.message.split())}"
        return Raw("not_a_schema", pointer_of(error.instance_path), message)
    except ValueError as error:
        return Raw("not_a_schema", "#", f"does not compile: {' '.join(str(error).split())}")


def _of_examples(document: dict[str, Any], validator: Any) -> Iterator[Raw]:
    examples = document.get("examples")
    for number, example in enumerate(examples if isinstance(examples, list) and validator is not None else ()):
        error = next(iter(validator.iter_errors(example)), None)
        if error is not None:
            place = pointer_of(("examples", number, *error.instance_path))
            yield Raw("example_invalid", place, f"the schema refuses it: {' '.join(error.message.split())}")


def _of_whole(nodes: Nodes) -> Iterator[Raw]:
    top = nodes.read(nodes.root)
    kinds = top.kinds
    if kinds and "object" not in kinds:
        yield Raw(
            "matches_nothing",
            "#/type" if "type" in nodes.root else "#",
            f"a document is always an object, and this allows only {' or '.join(kinds)}: all would be refused",
        )
    if not (set(top.keywords) & ASSERTIONS - {"type"}):
        yield Raw("matches_everything", "#", "says nothing about a document: whatever is sent is let in, untyped")
    if not any(isinstance(top.keywords.get(key), str) for key in ("title", "description")):
        yield Raw("title_missing", "#", "no title and no description: say what the document is and when it is sent")


def _unused(nodes: Nodes, subschemas: Iterable[Subschema]) -> Iterator[Raw]:
    used = {target for s in subschemas if "$ref" in s.schema and (target := nodes.target(s.schema))}
    for key in ("definitions", "$defs"):
        held = nodes.root.get(key)
        for name in held if isinstance(held, dict) else ():
            pointer = pointer_of((key, name))
            if not any(target == pointer or target.startswith(f"{pointer}/") for target in used):
                yield Raw("definition_unused", pointer, "nothing refers to it")


def _shared_tables(paths: Sequence[Path]) -> Iterator[Finding]:
    """Files that would have one table: `newVisit` beside `new-visit`, or the same document twice."""
    held: dict[tuple[str, str, str], Path] = {}
    for path in paths:
        named = FILE_NAME.fullmatch(path.name)
        if named is None:
            continue
        namespace = path.absolute().parent.parent
        first = held.setdefault((str(namespace), snake_case(named["doctype"]), named["version"]), path)
        if first != path:
            yield Finding(str(path), 1, "#", ERROR, "table_shared", f"its table is that of {first}; only one is loaded")
