"""`catchment schema diff` and `add`: what a change means, and publishing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from catchment.cli.schema import FORMAT, FOUND, NAMESPACE, print_json, schema_in
from catchment.errors import Unavailable
from catchment.platform import Platform

if TYPE_CHECKING:
    from catchment.schemas.compatibility import Comparison
    from catchment.schemas.differing import Difference
    from catchment.schemas.registry import Schema

COLUMNS_SHOWN = 20


@click.command()
@click.argument("old")
@click.argument("new")
@FORMAT
def diff(old: str, new: str, output: str) -> None:
    """Say whether schemas may go from OLD to NEW, and what happens to their tables.

    Each side is a file, a folder of schemas, or REVISION:PATH of the git repository around the working directory. Ends
    with 1 when a change is incompatible.

    \b
    catchment schema diff origin/main:schemas schemas
    catchment schema diff order.1.schema.json order.2.schema.json
    catchment schema diff HEAD~1:schemas/shop/order/order.1.schema.json schemas/shop/order/order.1.schema.json
    """
    from catchment.schemas.differing import differences, read_side

    found = list(differences(read_side(old), read_side(new)))
    refused = sum(not difference.is_compatible for difference in found)
    if output == "json":
        print_json({"compatible": not refused, "schemas": [_json(difference) for difference in found]})
    else:
        for difference in found:
            _print(difference)
        differ = "schema differs" if len(found) == 1 else "schemas differ"
        click.echo(f"{len(found):,} {differ}, {refused:,} incompatible")
    if refused:
        raise click.exceptions.Exit(FOUND)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@NAMESPACE
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@FORMAT
@click.pass_obj
def add(platform: Platform, file: Path, namespace: str | None, dry_run: bool, output: str) -> None:
    """Publish the schema in FILE: check it, compare it with the one in force, and put it into the platform's folder.

    Running services take it within seconds. Ends with 1, and changes nothing, when the file has an error of
    `catchment schema lint`, or is incompatible with the schema in force.

    \b
    catchment schema add schemas/shop/order/order.1.schema.json
    catchment schema add order.1.schema.json --namespace shop --dry-run
    """
    from catchment.cli.schema_lint import print_findings
    from catchment.schemas.adding import add_schema
    from catchment.schemas.lint import lint_file
    from catchment.schemas.live import added_folder
    from catchment.schemas.settings import SchemaSettings

    proposed = schema_in(file, namespace)
    errors = [finding for finding in lint_file(file) if finding.severity == "error"]
    if errors:
        print_findings(errors, None)
        click.echo("Nothing was changed: mend the errors first.", err=True)
        raise click.exceptions.Exit(FOUND)
    settings = platform.config.section(SchemaSettings)
    before = platform.registry().find(proposed.namespace, proposed.doctype, proposed.version)
    comparison = _compared(before, proposed, settings)
    is_changed = before is None or before.content != proposed.content
    if not dry_run:
        names = (proposed.namespace, proposed.doctype, proposed.version)
        folder = added_folder(settings, platform.home)
        try:
            is_changed = add_schema(platform.schemas(), folder, *names, proposed.content).is_changed
        except OSError as error:
            raise Unavailable(f"schema {file}: cannot be put into {folder}: {error}; mend its permissions") from error
    _tell(platform, proposed, before, comparison, is_changed, dry_run, output)


def _compared(before: Schema | None, proposed: Schema, settings: Any) -> Comparison | None:
    """What the change means. Ends the command when it is refused."""
    from catchment.schemas.compatibility import compare

    if before is None:
        return None
    comparison = compare(before, proposed)
    name = f"{proposed.namespace}.{proposed.doctype}"
    if not comparison.compatible and name not in settings.allow_incompatible:
        click.echo(f"{name}.{proposed.version} is incompatible with {before.path}:", err=True)
        _print_changes(comparison, is_err=True)
        click.echo("Nothing was changed.", err=True)
        raise click.exceptions.Exit(FOUND)
    return comparison


def _tell(
    platform: Platform,
    proposed: Schema,
    before: Schema | None,
    comparison: Comparison | None,
    is_changed: bool,
    is_dry: bool,
    output: str,
) -> None:
    from catchment.schemas.describing import columns_of

    name = f"{proposed.namespace}.{proposed.doctype}.{proposed.version}"
    columns = columns_of(proposed.shape)
    url = f"{_edge(platform)}/submit/{proposed.namespace}/{proposed.doctype}/{proposed.version}"
    if output == "json":
        print_json(
            {
                "name": name,
                "is_changed": is_changed,
                "is_new": before is None,
                "dry_run": is_dry,
                "endpoint": f"{url}/<document id>",
                "table": proposed.table,
                "columns": columns,
                "comparison": comparison.as_json() if comparison is not None else None,
            }
        )
        return
    verb = "Would add" if is_dry else "Added"
    click.echo(f"{verb} {name}." if is_changed else f"{name} is there already, as it is in {proposed.path}.")
    if comparison is not None:
        _print_changes(comparison)
    click.echo(f"Table {proposed.table}, {len(columns):,} columns of its own:")
    for path, kind in list(columns.items())[:COLUMNS_SHOWN]:
        click.echo(f"    {path} {kind}")
    if len(columns) > COLUMNS_SHOWN:
        click.echo(f"    and {len(columns) - COLUMNS_SHOWN:,} more: catchment schema show {name}")
    click.echo("Running services take it within 5 s. To try it:")
    click.echo(f"    curl --data-binary @ping.json {url}/{uuid4()}")


def _edge(platform: Platform) -> str:
    """Where the edge listens, as far as this machine's settings tell."""
    from catchment.ingestion.edge.settings import EdgeSettings

    settings = platform.config.section(EdgeSettings)
    host = "127.0.0.1" if settings.host in ("", "0.0.0.0", "::") else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _print(difference: Difference) -> None:
    verdict = "compatible" if difference.is_compatible else "incompatible"
    colour = "green" if difference.is_compatible else "red"
    detail = f": {difference.detail}" if difference.detail else ""
    click.echo(f"{difference.name}: {difference.outcome}, {click.style(verdict, fg=colour)}{detail}")
    if difference.comparison is not None:
        _print_changes(difference.comparison, has_way_out=" → " not in difference.name)


def _print_changes(comparison: Comparison, *, is_err: bool = False, has_way_out: bool = True) -> None:
    """Each change with its effect on the table, and the ways out of what is refused, once."""
    for change in comparison.changes:
        mark = click.style(change.kind, fg=None if change.compatible else "red")
        effect = f"; {change.effect}" if change.effect else ""
        place = change.path or "the whole"
        click.echo(f"    {change.scope:<9}  {mark} {place}: {change.reason}{effect}", err=is_err)
    for way_out in dict.fromkeys(change.way_out for change in comparison.changes if change.way_out and has_way_out):
        click.echo(f"    way out: {way_out}", err=is_err)


def _json(difference: Difference) -> dict[str, Any]:
    return {
        "name": difference.name,
        "outcome": difference.outcome,
        "compatible": difference.is_compatible,
        "detail": difference.detail,
        "comparison": difference.comparison.as_json() if difference.comparison is not None else None,
    }
