"""Two states of schemas, side by side: files, folders, or what a git repository held at a revision.

    order.1.schema.json                 a file
    schemas                             a folder of <namespace>/<doctype>/…
    origin/main:schemas                 a folder of a commit, from the root of the repository that one is in
    HEAD~1:schemas/shop/order/order.1.schema.json

What each change means is judged by `compatibility.py`; here is who is compared with whom.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catchment.errors import BadConfig, Incompatible, Unavailable
from catchment.schemas.compatibility import Comparison, compare
from catchment.schemas.describing import columns_of
from catchment.schemas.registry import FILE_NAME, Registry, Schema
from catchment.schemas.sources import GIT, GitSource, git_output


@dataclass(frozen=True, slots=True)
class Difference:
    """What has become of a schema. `outcome` is added, removed, changed, or unreadable; `comparison` is there for what
    has changed, `detail` says the rest in words."""

    name: str
    outcome: str
    is_compatible: bool
    detail: str
    comparison: Comparison | None = None


def read_side(text: str, namespace: str | None = None) -> list[Schema]:
    """The schemas of one side. Raises BadConfig when there are none."""
    path = Path(text)
    if path.is_file():
        return [_schema_at(path, None, namespace)]
    if path.is_dir():
        found = Registry.load([path]).all()
    elif ":" in text:
        found = _of_revision(text, namespace)
    else:
        raise BadConfig(f"{text}: there is no such file or folder, and it is no <revision>:<path> of git either")
    if not found:
        raise BadConfig(f"{text}: holds no <namespace>/<doctype>/<doctype>.<version>.schema.json")
    return found


def differences(old: list[Schema], new: list[Schema]) -> Iterator[Difference]:
    """What differs, by name. One schema on each side are compared whatever they are called."""
    if len(old) == len(new) == 1:
        yield from _changed(old[0], new[0])
        return
    before, after = ({_key(schema): schema for schema in side} for side in (old, new))
    for key in sorted({*before, *after}):
        was, now = before.get(key), after.get(key)
        if was is not None and now is not None:
            yield from _changed(was, now)
        elif now is not None:
            yield _added(now)
        elif was is not None:
            detail = f"its pings would be refused; table {was.table} stays, without new rows"
            yield Difference(_name(was), "removed", False, detail)


def _changed(was: Schema, now: Schema) -> Iterator[Difference]:
    if was.content == now.content:
        return
    name = _name(now) if _key(was) == _key(now) else f"{_name(was)} → {_name(now)}"
    try:
        _ = now.validator
        comparison = compare(was, now)
    except Incompatible as error:
        yield Difference(name, "unreadable", False, str(error))
        return
    detail = "" if comparison.changes else "says the same of documents and table"
    if was.table != now.table:
        detail = f"a version of its own, with table {now.table}; {was.table} stays as it is"
    yield Difference(name, "changed", comparison.compatible, detail, comparison)


def _added(now: Schema) -> Difference:
    try:
        _ = now.validator
    except Incompatible as error:
        return Difference(_name(now), "unreadable", False, str(error))
    columns = len(columns_of(now.shape))
    return Difference(_name(now), "added", True, f"table {now.table} is made, with {columns:,} columns of its own")


def _of_revision(text: str, namespace: str | None) -> list[Schema]:
    revision, _, path = text.partition(":")
    try:
        root = git_output(Path.cwd(), "rev-parse", "--show-toplevel").decode().strip()
        kind = git_output(Path.cwd(), "cat-file", "-t", "--end-of-options", text).decode().strip()
        if kind == "blob":
            return [_schema_at(Path(path), git_output(Path.cwd(), "cat-file", "blob", text), namespace)]
        return Registry.of([GitSource(f"{GIT}//{root}#{revision}:{path}").read()]).all()
    except Unavailable as error:
        raise BadConfig(f"{text}: is no file or folder, and git does not have it: {error}") from error


def _schema_at(path: Path, content: bytes | None, namespace: str | None) -> Schema:
    named = FILE_NAME.fullmatch(path.name)
    if named is None:
        raise BadConfig(f"{path}: must be called <doctype>.<version>.schema.json")
    name = namespace or path.absolute().parent.parent.name
    return Schema(name, named["doctype"], int(named["version"]), path, content)


def _key(schema: Schema) -> tuple[str, str, int]:
    return schema.namespace, schema.doctype, schema.version


def _name(schema: Schema) -> str:
    return f"{schema.namespace}.{schema.doctype}.{schema.version}"
