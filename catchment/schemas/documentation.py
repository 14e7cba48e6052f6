"""Pages about schemas that stand for themselves: an index with a search, and a page for each schema.

    <folder>/index.html
    <folder>/<namespace>/<doctype>.<version>.html        (or .md)

They load nothing from anywhere, so they can be opened from a disk and served by anything. What was in the folder before
and is not written anew stays. The model is that of `describing.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from catchment.schemas.describing import Description, Field

_MARKDOWN = str.maketrans({"|": "\\|", "\n": " ", "<": "&lt;", "*": "\\*", "_": "\\_", "`": "'"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A schema in the index: where its page is, and the words by which a search finds it."""

    described: Description
    href: str
    words: str


def write(folder: Path, described: Sequence[Description], form: str, title: str) -> list[Path]:
    """Write the pages of schemas in `form` (html or markdown) below a folder; the paths, the index first."""
    render = _html if form == "html" else _markdown
    written = []
    for name, text in render(described, title):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        written.append(path)
    return written


def _html(described: Sequence[Description], title: str) -> Iterator[tuple[str, str]]:
    environment = Environment(
        loader=PackageLoader("catchment.schemas"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    entries = [Entry(one, f"{_page(one)}.html", _words(one)) for one in described]
    spaces = [(name, list(members)) for name, members in groupby(entries, key=lambda entry: entry.described.namespace)]
    yield "index.html", environment.get_template("index.html").render(title=title, spaces=spaces, count=len(entries))
    page = environment.get_template("schema.html")
    for entry in entries:
        yield entry.href, page.render(title=title, schema=entry.described)


def _words(described: Description) -> str:
    """Everything that a search looks at, once, in lower case."""
    names = {field.name for field in described.fields} | {field.column.rpartition(".")[2] for field in described.fields}
    head = (described.name, described.table, described.title, described.description)
    return " ".join([*head, *sorted(names)]).lower()


def _page(described: Description) -> str:
    return f"{described.namespace}/{described.doctype}.{described.version}"


def _markdown(described: Sequence[Description], title: str) -> Iterator[tuple[str, str]]:
    lines = [f"# {title}", "", "| schema | table | what it is | fields |", "|---|---|---|---|"]
    for one in described:
        what = _cell(one.title or one.description)
        lines.append(f"| [{one.name}]({_page(one)}.md) | `{one.table}` | {what} | {len(one.fields):,} |")
    yield "index.md", "\n".join(lines) + "\n"
    for one in described:
        yield f"{_page(one)}.md", "\n".join(_markdown_page(one)) + "\n"


def _markdown_page(described: Description) -> Iterator[str]:
    yield f"# {described.name}"
    yield ""
    for text in (described.title, described.description):
        if text:
            yield from (_cell(text), "")
    rest = "are let in" if described.is_open else "are refused"
    yield f"Table `{described.table}`. {described.draft or 'Draft 4, not declared'}. Keys that are not named {rest}."
    yield ""
    yield "| field | type | required | column | column type | description |"
    yield "|---|---|---|---|---|---|"
    for field in described.fields:
        about = "; ".join(notes_of(field))
        required = "yes" if field.is_required else ""
        yield (
            f"| {'&nbsp;&nbsp;' * field.depth}{_cell(field.name)} | {_cell(field.types)} | {required} "
            f"| {_cell(field.column)} | {_cell(field.column_type)} | {_cell(about)} |"
        )
    for example in described.examples:
        yield from ("", "```json", example, "```")


def notes_of(field: Field) -> list[str]:
    """What a field's line says: description or title, rules, why its column is as it is, examples."""
    notes = [field.description or field.title, *field.rules, field.remark]
    if field.examples:
        notes.append(f"such as {', '.join(field.examples)}")
    return [note for note in notes if note]


def _cell(text: str) -> str:
    return text.translate(_MARKDOWN)
