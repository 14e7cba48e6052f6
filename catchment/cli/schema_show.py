"""`catchment schema show` and `docs`: a schema for reading, in the terminal and as pages."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from catchment.cli.schema import FORMAT, print_json, wide_console
from catchment.platform import Platform

if TYPE_CHECKING:
    import pyarrow as pa

    from catchment.schemas.describing import Description
    from catchment.schemas.registry import Registry, Schema

SCHEMAS = click.option(
    "--schemas",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of schemas instead of those of the platform; may be repeated.",
)
_SQL_TYPES = {
    "date32[day]": "DATE",
    "int64": "BIGINT",
    "int32": "INTEGER",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "string": "VARCHAR",
}


@click.command()
@click.argument("name", metavar="NAMESPACE.DOCTYPE[.VERSION]")
@click.option("--sql", is_flag=True, help="Print the columns of its table as CREATE TABLE writes them.")
@SCHEMAS
@FORMAT
@click.pass_obj
def show(platform: Platform, name: str, sql: bool, folders: tuple[Path, ...], output: str) -> None:
    """Show a schema's fields: type, column, rules and description. Without a version, its newest.

    \b
    catchment schema show shop.order
    catchment schema show telemetry.crash.4 --sql
    catchment schema show shop.order.2 --schemas schemas --format json
    """
    from catchment.schemas.describing import describe

    found = _find(_registry(platform, folders), name)
    if sql:
        from catchment.lake.columns import row_schema

        click.echo(_create_table(found.table, row_schema(found.shape)))
        return
    described = describe(found)
    if output == "json":
        print_json({"name": described.name, **asdict(described)})
    else:
        _print(described)


@click.command()
@click.option(
    "--output",
    "folder",
    default="schema-docs",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write to.",
)
@click.option("--format", "form", type=click.Choice(["html", "markdown"]), default="html", help="What to write.")
@click.option("--title", default="Schemas", show_default=True, help="Title of the index.")
@SCHEMAS
@click.pass_obj
def docs(platform: Platform, folder: Path, form: str, title: str, folders: tuple[Path, ...]) -> None:
    """Write pages about all schemas: an index with a search, and one page each. They load nothing from anywhere.

    \b
    catchment schema docs --schemas schemas --output public
    catchment schema docs --format markdown --output docs/schemas
    """
    from catchment.errors import Incompatible
    from catchment.schemas.describing import describe
    from catchment.schemas.documentation import write

    described, problems = [], []
    for schema in _registry(platform, folders).all():
        try:
            described.append(describe(schema))
        except Incompatible as error:
            problems.append(str(error))
    written = write(folder, described, form, title)
    for problem in problems:
        click.echo(f"left out: {problem}", err=True)
    click.echo(f"{len(described):,} schemas in {written[0]}")
    if problems:
        raise click.exceptions.Exit(1)


def _registry(platform: Platform, folders: tuple[Path, ...]) -> Registry:
    from catchment.schemas.registry import Registry

    return Registry.load(folders) if folders else platform.registry()


def _find(registry: Registry, name: str) -> Schema:
    """The schema of a name, the newest when it has no version."""
    namespace, _, rest = name.partition(".")
    doctype, _, version = rest.partition(".")
    fitting = [schema for schema in registry.all() if (schema.namespace, schema.doctype) == (namespace, doctype)]
    chosen = [schema for schema in fitting if version in ("", str(schema.version))]
    if chosen:
        return chosen[-1]
    if fitting:
        versions = ", ".join(str(schema.version) for schema in fitting)
        raise click.BadParameter(f"{namespace}.{doctype} has version {versions}, not {version}", param_hint="name")
    import difflib

    names = {f"{schema.namespace}.{schema.doctype}" for schema in registry.all()}
    near = difflib.get_close_matches(f"{namespace}.{doctype}", sorted(names), 3)
    advice = f"; near are {', '.join(near)}" if near else "; `catchment schema docs` lists all"
    raise click.BadParameter(f"there is no schema {name}{advice}", param_hint="name")


def _print(described: Description) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from catchment.schemas.documentation import notes_of

    console = wide_console()
    console.print(Text(described.name, "bold"), Text(described.title))
    if described.description:
        console.print(Text(described.description))
    rest = "are let in" if described.is_open else "are refused"
    draft = described.draft or "draft 4, not declared"
    console.print(Text(f"table {described.table}; {draft}; keys that are not named {rest}; * is required", "dim"))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for heading in ("field", "type", "column", "column type", "description and rules"):
        table.add_column(heading, overflow="fold", ratio=2 if heading.startswith("desc") else None)
    for field in described.fields:
        mark = " *" if field.is_required else ""
        column = field.column.rpartition(".")[2] if field.depth else field.column
        cells = ("  " * field.depth + field.name + mark, field.types, column, field.column_type)
        table.add_row(*map(Text, cells), Text("; ".join(notes_of(field))))
    if described.fields:
        console.print(table)
    for example in described.examples:
        console.print(Text(f"example: {example}"))


def _create_table(name: str, schema: pa.Schema) -> str:
    """A table as SQL would create it, with the comments of its columns."""
    lines = [f"CREATE TABLE {name} ("]
    for number, field in enumerate(schema):
        comment = (field.metadata or {}).get(b"doc", b"").decode()
        comma = "," if number < len(schema) - 1 else ""
        lines.append(f"  {_quoted(field.name)} {_sql_type(field.type)}{comma}" + (f"  -- {comment}" if comment else ""))
    return "\n".join([*lines, ");"])


def _sql_type(kind: Any) -> str:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{_quoted(field.name)} {_sql_type(field.type)}' for field in kind)})"
    if pa.types.is_map(kind):
        return f"MAP(VARCHAR, {_sql_type(kind.item_type)})"
    if pa.types.is_list(kind):
        return f"{_sql_type(kind.value_type)}[]"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP WITH TIME ZONE" if kind.tz else "TIMESTAMP"
    return _SQL_TYPES[str(kind)]


def _quoted(name: str) -> str:
    from catchment.schemas.names import is_sql_word

    return f'"{name}"' if is_sql_word(name) else name
