"""The registry: schema files by namespace, doctype and version, compiled when they are first used.

    <root>/<namespace>/<doctype>/<doctype>.<version>.schema.json

Several roots may be given; a file of a later one takes the place of the same name in an earlier one. Each schema is
compiled with the draft that it declares (`$schema`; draft 4 without), `format` is an annotation, and only `$ref`s into
the same file are followed. A file that is no schema is reported in `problems` and left out; the others work.
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

_FILE = re.compile(r"(?P<doctype>[A-Za-z0-9-]+)\.(?P<version>\d+)\.schema\.json")
_CLIENT_ID = ("clientId", "client_id")


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
        reserved = [name for name in RESERVED_COLUMNS if name != "client_id"]
        shape = shape_of(self.document, reserved)
        return Struct(tuple(p for p in shape.properties if not (p.column == "client_id" and p.name in _CLIENT_ID)))

    def violation(self, content: Any) -> Violation | None:
        """The first rule that a parsed document breaks; None when it is valid."""
        if self.validator.is_valid(content):
            return None
        error = next(iter(self.validator.iter_errors(content)))
        keyword = str(error.schema_path[-1]) if error.schema_path else "schema"
        return Violation(keyword, _pointer(error.schema_path[:-1]), _pointer(error.instance_path), _cut(error.message))

    @cached_property
    def validator(self) -> Any:
        """The compiled schema. Raises Incompatible with the place that does not compile."""
        document = self.document
        draft = jsonschema_rs.Draft4Validator if "$schema" not in document else None
        try:
            if draft is not None:
                return draft(document, validate_formats=False)
            return jsonschema_rs.validator_for(document, validate_formats=False)
        except (jsonschema_rs.ValidationError, ValueError) as error:
            raise Incompatible(f"schema {self.path}: does not compile: {_cut(str(error))}; mend the file") from error


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
            for path in sorted(root.glob("*/*/*.schema.json")):
                named = _FILE.fullmatch(path.name)
                if named is None:
                    problems.append(f"{path}: the name must be <doctype>.<version>.schema.json")
                    continue
                key = (path.parent.parent.name, named["doctype"], int(named["version"]))
                schemas[key] = Schema(*key, path)
        return cls(schemas, problems)

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


def _pointer(path: Sequence[Any]) -> str:
    return "#" + "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _cut(text: str) -> str:
    if len(text) <= MAX_DETAIL_CHARACTERS:
        return text
    half = MAX_DETAIL_CHARACTERS // 2
    return f"{text[:half]} … {text[-half:]}"
