"""`catchment tail`: pings as they come, each with what the decoder made of it."""

from __future__ import annotations

import os
import queue
import sys
from collections.abc import Callable, Sequence

import click
import orjson

from catchment.clock import utc
from catchment.ingestion.inspection.following import KINDS, Filter, Follower, Sight
from catchment.platform import Platform

WAITING_BATCHES = 4
"""Batches that wait for the terminal; more stay in the log."""
LINES_SHOWN = 40
_COLOURS = {"document": "green", "error": "red", "duplicate": "yellow", "deferred": "magenta"}


@click.command()
@click.option("--namespace", default="", help="Only pings of this namespace.")
@click.option("--doctype", default="", help="Only pings of this doctype.")
@click.option("--client-id", default="", help="Only pings of this client; of refused ones those whose text holds it.")
@click.option("--debug-id", default="", help="Only pings sent with this X-Debug-ID.")
@click.option("--errors", is_flag=True, help="Only refused pings; with one of the next two, both.")
@click.option("--duplicates", is_flag=True, help="Only duplicates.")
@click.option("--deferred", is_flag=True, help="Only what came over a limit and is not loaded now.")
@click.option(
    "--format",
    "output",
    type=click.Choice(["pretty", "json"]),
    help="Default: pretty on a terminal, else json, one object a line.",
)
@click.option("--limit", type=click.IntRange(min=1), help="End after so many pings.")
@click.option("--since-start", is_flag=True, help="Begin with the oldest pings that the log still has.")
@click.option("--whole", is_flag=True, help=f"Pretty: all lines of a ping, not the first {LINES_SHOWN}.")
@click.pass_obj
def tail(
    platform: Platform,
    namespace: str,
    doctype: str,
    client_id: str,
    debug_id: str,
    errors: bool,
    duplicates: bool,
    deferred: bool,
    output: str | None,
    limit: int | None,
    since_start: bool,
    whole: bool,
) -> None:
    """Show pings within a second of their arrival, with their validation result, until Ctrl-C.

    \b
    catchment tail --namespace telemetry --doctype main
    catchment tail --debug-id my-test
    catchment tail --errors --format json | jq .error.code
    """
    flags = {"error": errors, "duplicate": duplicates, "deferred": deferred}
    chosen = {kind for kind, is_chosen in flags.items() if is_chosen}
    wanted = Filter(namespace, doctype, client_id, debug_id, frozenset(chosen or KINDS.values()))
    output = output or ("pretty" if sys.stdout.isatty() else "json")
    show = write_json if output == "json" else pretty_writer(whole)
    arrived: queue.Queue[Sequence[Sight]] = queue.Queue(WAITING_BATCHES)
    Follower(
        platform.log(), wanted.topics, arrived.put, platform.events("tail"), back=None if since_start else 0
    )  # its threads are daemons: they end with the command, wherever they wait
    if output == "pretty":
        click.echo("Waiting for pings; Ctrl-C ends.", err=True)
    try:
        show_until(arrived, wanted, show, limit)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more can be said there
        raise click.exceptions.Exit(141) from None
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None


def show_until(
    arrived: queue.Queue[Sequence[Sight]], wanted: Filter, show: Callable[[Sight], None], limit: int | None
) -> None:
    """Show what the filter takes, until `limit` pings were shown."""
    left = limit
    while True:
        for sight in arrived.get():
            if wanted.takes(sight):
                show(sight)
                if left is not None:
                    left -= 1
                    if left == 0:
                        sys.stdout.flush()
                        return
        sys.stdout.flush()


def write_json(sight: Sight) -> None:
    sys.stdout.write(orjson.dumps(sight.as_json()).decode() + "\n")


def pretty_writer(whole: bool) -> Callable[[Sight], None]:
    """Writes a line about the ping in colour, its reason when it was not kept, and its text, one value a line."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)

    def write(sight: Sight) -> None:
        time = f"{utc(sight.time_ns):%H:%M:%S.%f}"[:-3] if sight.time_ns else "time unknown"
        head = Text(time, "dim").append(f" {sight.kind} ", f"bold {_COLOURS[sight.kind]}")
        head.append(printable(sight.place or "unknown ping"), "bold").append(f" {printable(sight.document_id)}")
        if sight.debug_id:
            head.append(f" debug {printable(sight.debug_id)}", "cyan")
        console.print(head)
        if sight.kind == "error":
            console.print(Text(f"  {sight.code}: {printable(sight.message)}", "red"))
            if sight.detail:
                console.print(Text(f"  {printable(sight.detail)}", "red"))
            console.print(Text(f"  catchment errors show {sight.source}", "dim"))
        if sight.delta_s is not None:
            console.print(Text(f"  came before, within {sight.delta_s // 60 + 6} min", "yellow"))
        if sight.rate_limit:
            console.print(Text(f"  over the limit {printable(sight.rate_limit)}: kept, not loaded now", "magenta"))
        lines = pretty_lines(sight)
        shown = lines if whole else lines[:LINES_SHOWN]
        for line in shown:
            console.print(Text(f"  {line}"))
        if len(lines) > len(shown):
            console.print(Text(f"  … {len(lines) - len(shown):,} lines more; --whole shows them", "dim"))

    return write


def pretty_lines(sight: Sight) -> list[str]:
    """The ping's text, one value a line when it is JSON; what would steer a terminal is made visible."""
    if not sight.body:
        return []
    text = sight.text
    if text is None:
        return [f"({len(sight.body):,} bytes that cannot be gunzipped)"]
    try:
        written = orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        written = text.decode("utf-8", "replace")
    return [printable(line) for line in written.splitlines()]


def printable(text: str) -> str:
    """A foreign text without signs that would steer a terminal."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else "�" for sign in text)
