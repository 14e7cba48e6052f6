"""`catchment simulate`: a seeded fleet of clients that sends to an edge and says what was acknowledged."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from catchment import service, services
from catchment.errors import Unavailable
from catchment.platform import Platform
from catchment.producers.settings import SimulateSettings

if TYPE_CHECKING:
    from catchment.producers.run import Limits, Run
    from catchment.producers.tally import Tally

DEFAULT_COUNT = 1000
SAY_EVERY_S, SAY_RARELY_S, BAR_EVERY_S = 5.0, 60.0, 0.2


@click.command()
@click.option("--url", help="Where to send, like http://127.0.0.1:8000 (default: the edge that runs in this home).")
@click.option("--rate", type=click.FloatRange(min=0), help="Pings a second; 0: as fast as they are answered.")
@click.option("--clients", type=click.IntRange(min=1), help="Clients in the fleet.")
@click.option(
    "--count",
    type=click.IntRange(min=1),
    help=f"Stop after so many pings (default: {DEFAULT_COUNT:,}, if nothing ends it).",
)
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds.")
@click.option("--until-stopped", is_flag=True, help="Send until Ctrl-C or SIGTERM.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Repeat a fleet exactly: the same clients send the same document ids in the same order. Without it the "
    "clients are the same each time, and what they send is new.",
)
@click.option("--connections", type=click.IntRange(1, 1000), help="Connections; each sends one ping at a time.")
@click.option("--invalid", type=click.FloatRange(0, 1), help="Share of the pings that are spoiled on purpose.")
@click.option("--duplicates", type=click.FloatRange(0, 1), help="Share of the pings that are sent twice.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a JSON line for each ping: its id, what is expected of it, how it was answered (replaces FILE).",
    metavar="FILE",
)
@click.pass_obj
def simulate(
    platform: Platform,
    /,
    url: str | None,
    count: int | None,
    duration: float | None,
    until_stopped: bool,
    seed: int | None,
    record: Path | None,
    **given: Any,
) -> None:
    """Send the pings of a simulated fleet to the edge and count what was acknowledged.

    The fleet's clients have sessions, from which come main, event, crash, new-profile and Glean pings of 0.5 to 60 KB.
    A ping that is answered 5xx, or not at all, is sent again with the same document id. The closing tally says
    what should be in the lake; the exit code is 0 when every ping was acknowledged, or refused as intended.

    \b
    catchment simulate --count 500                    500 pings, 20 a second
    catchment simulate --rate 0 --duration 60         a minute, as fast as the edge answers
    catchment simulate --seed 7 --record sent.jsonl   the same again each time, with a list of what was sent

    Options that are not given are taken from section [simulate] of the configuration.
    """
    if until_stopped and (count is not None or duration is not None):
        raise click.UsageError("--until-stopped has no limit: leave out --count and --duration, or leave it out")
    from catchment.producers.connection import read_address
    from catchment.producers.fleet import Fleet
    from catchment.producers.run import Limits, Run
    from catchment.producers.tally import Record

    is_supervised = service.READY_FD in os.environ
    service.die_with_parent()
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = replace(platform.config.section(SimulateSettings), **chosen)
    if count is None and duration is None and not until_stopped:
        count = DEFAULT_COUNT
    limits = Limits(count, duration)
    url = url or _own_edge(platform)
    address = read_address(url)
    salt = os.urandom(16).hex() if seed is None else ""
    fleet = Fleet(settings.seed if seed is None else seed, salt, settings.clients)
    deliveries = fleet.deliveries(platform.clock, settings.invalid, settings.duplicates)

    def begin() -> None:
        if until_stopped:
            platform.events("fleet").info("fleet_started", url=url, rate=settings.rate, clients=settings.clients)
        else:
            click.echo(f"sending to {url}; Ctrl-C ends it early", err=True)

    with ExitStack() as closing:
        kept = None
        if record is not None:
            kept = Record(record, platform.clock)
            closing.callback(kept.close)
        tally = asyncio.run(
            _drive(
                lambda: Run(settings, address, deliveries, limits, platform.clock, kept),
                limits,
                begin,
                _events_sayer(platform) if until_stopped else _plain_sayer(),
                SAY_RARELY_S if until_stopped else SAY_EVERY_S,
            )
        )
    tally.clients = fleet.active
    if is_supervised:
        platform.events("fleet").info("fleet_stopped", **_counts(tally))
        return
    for line in tally.lines():
        click.echo(line)
    if seed is not None and tally.rows:
        click.echo("          (less what a run with this seed has brought there in the last 25 hours)")
    if not tally.is_as_intended:
        raise click.exceptions.Exit(1)


def _own_edge(platform: Platform) -> str:
    found = services.address(platform, "edge")
    if found is None:
        raise Unavailable(
            f"no edge runs in {platform.home}; start the platform with `catchment up`, or name an edge with --url"
        )
    return found


Sayer = Callable[["Tally"], None]


async def _drive(
    make: Callable[[], Run], limits: Limits, on_begin: Callable[[], None], say: Sayer, every_s: float
) -> Tally:
    """Run, stop at SIGINT or SIGTERM, and say meanwhile how far it is."""
    run = make()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, run.stop)
    has_bar = sys.stderr.isatty() and (limits.count is not None or limits.duration_s is not None)
    teller: asyncio.Task[None] | None = None

    def begin() -> None:
        nonlocal teller
        service.say_ready()
        on_begin()
        teller = asyncio.create_task(_show_bar(run, limits) if has_bar else _tell(run, say, every_s))

    try:
        return await run.go(begin)
    finally:
        if teller is not None:
            teller.cancel()
            await asyncio.gather(teller, return_exceptions=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _tell(run: Run, say: Sayer, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        say(run.tally)


async def _show_bar(run: Run, limits: Limits) -> None:
    """A bar over the pings, or over the seconds when only those are limited."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    loop = asyncio.get_running_loop()
    began_s = loop.time()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as progress:
        bar = progress.add_task("", total=limits.count or limits.duration_s)
        while True:
            tally, passed_s = run.tally, loop.time() - began_s
            rate = tally.sent / passed_s if passed_s else 0.0
            trouble = f", {tally.retried:,} retried" if tally.retried else ""
            progress.update(
                bar,
                completed=tally.sent if limits.count else passed_s,
                description=f"{tally.sent:,} sent, {tally.acknowledged:,} acknowledged, {rate:,.0f}/s{trouble}",
            )
            progress.refresh()
            await asyncio.sleep(BAR_EVERY_S)


def _plain_sayer() -> Sayer:
    def say(tally: Tally) -> None:
        click.echo(
            f"{tally.sent:,} sent, {tally.acknowledged:,} acknowledged, {tally.retried:,} retried, "
            f"{tally.given_up:,} given up",
            err=True,
        )

    return say


def _events_sayer(platform: Platform) -> Sayer:
    events = platform.events("fleet")
    return lambda tally: events.info("fleet_sent", **_counts(tally))


def _counts(tally: Tally) -> dict[str, int]:
    return {
        "sent": tally.sent,
        "acknowledged": tally.acknowledged,
        "retried": tally.retried,
        "given_up": tally.given_up,
        "refused": tally.unexpected,
    }
