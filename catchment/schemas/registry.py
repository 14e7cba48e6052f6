"""The registry: schemas by namespace, doctype and version, as their sources had them at one moment.

    <source>/<namespace>/<doctype>/<doctype>.<version>.schema.json

A registry never changes; `live.py` holds the current one. Of several sources, a file of a later one takes the place of
the same name in an earlier one. Each schema is compiled, when it is first used or by `check`, with the draft that it
declares (`$schema`; draft 4 without), `format` is an annotation, and only `$ref`s into the same file are followed:
nothing is ever fetched.

What is wrong is reported, by `problems` (names and tables) and `check` (that and the inside of every file). A file
whose name cannot be used is left out; a schema that does not compile refuses its documents (`Incompatible`, with the
file and the rule), because taking them unjudged could not be undone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

from catchment.clock import SystemClock
from catchment.errors import Incompatible
from catchment.schemas.acceptor import acceptor_of
from catchment.schemas.names import table_name
from catchment.schemas.shape import Struct, shape_of
from catchment.schemas.sources import FolderSource, Tree

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

NAMESPACE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
FILE_NAME = re.compile(r"(?P<doctype>[A-Za-z0-9][A-Za-z0-9-]*)\.(?P<version>0|[1-9]\d{0,8})\.schema\.json")


@dataclass(frozen=True, slots=True)
class Violation:
    """The first rule of a schema that a document breaks. Pointers are JSON pointers, `#` the whole."""

    keyword: str
    schema_pointer: str
    document_pointer: str
    detail: str
    """What was met and what the rule is, with the value, cut."""


class Schema:
    """One schema. Compiling and shaping wait until they are asked for."""

    def __init__(self, namespace: str, doctype: str, version: int, path: Path, content: bytes | None = None) -> None:
        """`content` is the file's; without it the file at `path` is read when it is first needed. For a schema that is
        in no file, `path` only says where it is."""
        self.namespace = namespace
        self.doctype = doctype
        self.version = version
        self.path = path
        self._given = content

    @property
    def is_builtin(self) -> bool:
        """Whether it comes with Catchment."""
        return self.path.is_relative_to(BUILTIN)

    @cached_property
    def content(self) -> bytes:
        """The file as it was when the registry was loaded. Raises Incompatible when it cannot be read."""
        if self._given is not None:
            return self._given
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise Incompatible(f"schema {self.path}: cannot be read: {error}; mend the file") from error

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the content, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def table(self) -> str:
        """The table of its documents, `telemetry.main_v4`."""
        return table_name(self.namespace, self.doctype, self.version)

    @cached_property
    def document(self) -> dict[str, Any]:
        """The parsed file. Raises Incompatible when it is not a JSON object."""
        try:
            parsed = orjson.loads(self.content)
        except orjson.JSONDecodeError as error:
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
        validator = self.validator
        if self._accepts(content) or validator.is_valid(content):
            return None
        error = next(iter(validator.iter_errors(content)))
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
    def _accepts(self) -> Callable[[Any], bool]:
        """A quick yes to most valid documents. Only of a schema that compiles."""
        return acceptor_of(self.document) or (lambda content: False)

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
        return Incompatible(f"schema {self.path}: does not compile: {rule}; mend the file")


Key = tuple[str, str, int]
"""Namespace, doctype, version."""


class Registry:
    """All schemas, by namespace, doctype and version."""

    def __init__(self, schemas: dict[Key, Schema], problems: Sequence[str], revisions: Sequence[str] = ()) -> None:
        self._schemas = schemas
        self.problems = tuple(problems)
        self.revisions = tuple(revisions)
        """`<place> <commit>` of each source that has one."""

    @classmethod
    def load(cls, roots: Sequence[Path]) -> Registry:
        """The schemas below these folders. Raises BadConfig when one is no folder."""
        return cls.of([FolderSource(str(root), root, SystemClock()).read() for root in roots])

    @classmethod
    def of(cls, trees: Sequence[Tree], earlier: Registry | None = None) -> Registry:
        """The schemas of these trees, the later before the earlier. What `earlier` has with the same content is taken
        from there, with all that it has compiled."""
        schemas: dict[Key, Schema] = {}
        problems: list[str] = []
        for tree in trees:
            schemas |= _found(tree, problems)
        for key, schema in schemas.items():
            held = earlier.find(*key) if earlier is not None else None
            if held is not None and held.path == schema.path and held.content_hash == schema.content_hash:
                schemas[key] = held
        revisions = [f"{tree.place} {tree.revision}" for tree in trees if tree.revision]
        return cls(_with_own_tables(schemas, problems), problems, revisions)

    @cached_property
    def identity(self) -> str:
        """SHA-256, in hex, of which schemas there are and what is in them: the same wherever they came from."""
        known = hashlib.sha256()
        for schema in self.all():
            known.update(f"{schema.namespace}/{schema.doctype}/{schema.version} {schema.content_hash}\n".encode())
        return known.hexdigest()

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


def _found(tree: Tree, problems: list[str]) -> dict[Key, Schema]:
    found: dict[Key, Schema] = {}
    for name in sorted(tree.files):
        path = Path(tree.place, name)
        namespace, _, file = name.split("/")
        named = FILE_NAME.fullmatch(file)
        if named is None:
            problems.append(
                f"schema {path}: left out: the name must be <doctype>.<version>.schema.json, the doctype of "
                f"letters, digits and -, the version of at most 9 digits without a leading 0"
            )
            continue
        if NAMESPACE_NAME.fullmatch(namespace) is None:
            problems.append(f"schema {path}: left out: the namespace {namespace} must be of letters, digits and -")
            continue
        key = (namespace, named["doctype"], int(named["version"]))
        if key in found:
            problems.append(f"schema {path}: left out: {found[key].path} describes the same documents")
            continue
        found[key] = Schema(*key, path, tree.files[name])
    return found


def _with_own_tables(schemas: dict[Key, Schema], problems: list[str]) -> dict[Key, Schema]:
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
    return kept


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is outside of the file; copy what it points to into the file")


def _pointer(path: Sequence[Any]) -> str:
    return "#" + "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _cut(text: str) -> str:
    if len(text) <= MAX_DETAIL_CHARACTERS:
        return text
    half = MAX_DETAIL_CHARACTERS // 2
    return f"{text[:half]} … {text[-half:]}"
