"""The registry: schema files by namespace, doctype and version, compiled when they are first used.

    <root>/<namespace>/<doctype>/<doctype>.<version>.schema.json

Several roots may be given; a file of a later one takes the place of the same name in an earlier one. Each schema is
compiled with the draft that it declares (`$schema`; draft 4 without), `format` is an annotation, and only `$ref`s into
the same file are followed: nothing is ever fetched.

One bad file never stops the others. A file whose name cannot be used is reported in `problems` and left out. What is
inside a file is read when it is first used, or by `check`; a schema that does not compile stays in the registry and
refuses its documents (`Incompatible`, with the file and the rule), because taking them unjudged could not be undone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

from catchment.errors import BadConfig, Incompatible
from catchment.schemas.names import table_name
from catchment.schemas.settings import SchemaSettings
from catchment.schemas.shape import Struct, shape_of

BUILTIN = Path(__file__).parent / "builtin"
MAX_DETAIL_CHARACTERS = 300
RESERVED_COLUMNS = (
    "submission_timestamp",
    "document_id",
    "client_id",
    "sample_id",
    "normalized_channel",
    "normalized_os",
    "normalized_os_version",
    "normalized_app_name",
    "normalized_country_code",
    "metadata",
    "additional_properties",
)
"""Columns that every table has, whatever its schema says; `lake/columns.py` fills them."""

CLIENT_ID_PROPERTIES = ("clientId", "client_id", "clientID")
"""Where a document may have its client's id, as the decoder looks for it."""

_FILE = re.compile(r"(?P<doctype>[A-Za-z0-9-]+)\.(?P<version>0|[1-9]\d{0,8})\.schema\.json")


@dataclass(frozen=True, slots=True)
class Violation:
    """The first rule of a schema that a document breaks. Pointers are JSON pointers, `#` the whole."""

    keyword: str
    schema_pointer: str
    document_pointer: str
    detail: str
    """What was met and what the rule is, with the value, cut."""


class Schema:
    """One schema file. Compiling and shaping wait until they are asked for."""

    def __init__(self, namespace: str, doctype: str, version: int, path: Path) -> None:
        self.namespace = namespace
        self.doctype = doctype
        self.version = version
        self.path = path

    @property
    def table(self) -> str:
        """The table of its documents, `telemetry.main_v4`."""
        return table_name(self.namespace, self.doctype, self.version)

    @cached_property
    def document(self) -> dict[str, Any]:
        """The parsed file. Raises Incompatible when it is not a JSON object."""
        try:
            parsed = orjson.loads(self.path.read_bytes())
        except (orjson.JSONDecodeError, OSError) as error:
            raise Incompatible(f"schema {self.path}: cannot be read: {error}; mend the file") from error
        if not isinstance(parsed, dict):
            raise Incompatible(f"schema {self.path}: is a {type(parsed).__name__}, must be a JSON object")
        return parsed

    @cached_property
    def shape(self) -> Struct:
        """Where a document's values go in the table.

        The client id is a column of every table; the property that it is made of is not repeated.
        """
        shape = shape_of(self.document, RESERVED_COLUMNS)
        declared = {p.name for p in shape.properties}
        client_id = next((name for name in CLIENT_ID_PROPERTIES if name in declared), None)
        return Struct(tuple(p for p in shape.properties if p.name != client_id), client_id)

    def violation(self, content: Any) -> Violation | None:
        """The first rule that a parsed document breaks; None when it is valid. Raises Incompatible when the schema
        cannot be used."""
        if self.validator.is_valid(content):
            return None
        error = next(iter(self.validator.iter_errors(content)))
        keyword = str(error.schema_path[-1]) if error.schema_path else "schema"
        return Violation(keyword, _pointer(error.schema_path[:-1]), _pointer(error.instance_path), _cut(error.message))

    @property
    def validator(self) -> Any:
        """The compiled schema. Raises Incompatible with the place that does not compile, each time the same."""
        compiled = self._compiled
        if isinstance(compiled, Incompatible):
            raise compiled.with_traceback(None)
        return compiled

    @cached_property
    def _compiled(self) -> Any:
        try:
            document = self.document
        except Incompatible as error:
            return error
        compile_ = jsonschema_rs.validator_for if "$schema" in document else jsonschema_rs.Draft4Validator
        try:
            return compile_(document, validate_formats=False, retriever=_refuse)
        except jsonschema_rs.ValidationError as error:
            rule = f"{_pointer(error.instance_path)}: {_cut(' '.join(error.message.split()))}"
        except ValueError as error:
            rule = _cut(" ".join(str(error).split()))
        return Incompatible(f"schema {self.path}: does not compile: {rule}; mend the file, then start again")


class Registry:
    """All schemas, by (namespace, doctype, version)."""

    def __init__(self, schemas: dict[tuple[str, str, int], Schema], problems: Sequence[str]) -> None:
        self._schemas = schemas
        self.problems = tuple(problems)

    @classmethod
    def load(cls, roots: Sequence[Path]) -> Registry:
        """Find the files below `roots`. Raises BadConfig when a root is no folder."""
        schemas: dict[tuple[str, str, int], Schema] = {}
        problems = []
        for root in roots:
            if not root.is_dir():
                raise BadConfig(f"[schemas] paths: {root} is not a folder; name one that holds <namespace>/<doctype>/…")
            found: dict[tuple[str, str, int], Schema] = {}
            for path in sorted(root.glob("*/*/*.schema.json")):
                named = _FILE.fullmatch(path.name)
                if named is None:
                    problems.append(
                        f"schema {path}: left out: the name must be <doctype>.<version>.schema.json, the doctype of "
                        f"letters, digits and -, the version of at most 9 digits without a leading 0"
                    )
                    continue
                key = (path.parent.parent.name, named["doctype"], int(named["version"]))
                if key in found:
                    problems.append(f"schema {path}: left out: {found[key].path} describes the same documents")
                    continue
                found[key] = Schema(*key, path)
            schemas |= found
        return cls(*_with_own_tables(schemas, problems))

    def find(self, namespace: str, doctype: str, version: int) -> Schema | None:
        return self._schemas.get((namespace, doctype, version))

    def all(self) -> list[Schema]:
        """Every schema, by namespace, doctype and version."""
        return [self._schemas[key] for key in sorted(self._schemas)]

    def check(self) -> list[str]:
        """Compile and shape everything; what is wrong, a line each."""
        problems = list(self.problems)
        for schema in self.all():
            try:
                _ = schema.validator, schema.shape
            except Incompatible as error:
                problems.append(str(error))
        return problems


def open_registry(settings: SchemaSettings) -> Registry:
    """The registry that the settings name."""
    roots = [BUILTIN] if settings.builtin else []
    return Registry.load([*roots, *(Path(path) for path in settings.paths)])


def _with_own_tables(
    schemas: dict[tuple[str, str, int], Schema], problems: list[str]
) -> tuple[dict[tuple[str, str, int], Schema], list[str]]:
    """The schemas without those whose table another one has: `newProfile` beside `new-profile`."""
    tables: dict[str, Schema] = {}
    kept = {}
    for key in sorted(schemas):
        schema = schemas[key]
        first = tables.setdefault(schema.table, schema)
        if first is schema:
            kept[key] = schema
        else:
            problems.append(
                f"schema {schema.path}: left out: its table {schema.table} is that of {first.path}; rename it"
            )
    return kept, problems


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is outside of the file; copy what it points to into the file")


def _pointer(path: Sequence[Any]) -> str:
    return "#" + "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _cut(text: str) -> str:
    if len(text) <= MAX_DETAIL_CHARACTERS:
        return text
    half = MAX_DETAIL_CHARACTERS // 2
    return f"{text[:half]} … {text[-half:]}"
