"""`catchment status`: what runs, how far behind it is, how fast it goes."""

from __future__ import annotations

import time

import click
import orjson
from rich.console import Console
from rich.table import Table

from catchment.observation import TOPICS, Rates, ServiceState, Snapshot, observe
from catchment.platform import Platform
from catchment.units import size

COLOURS = {"up": "green", "unhealthy": "yellow", "silent": "red", "down": "red"}


@click.command()
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
@click.option("--seconds", type=click.FloatRange(min=0.1), default=1.0, help="How long rates are measured.")
@click.pass_obj
def status(platform: Platform, output: str, seconds: float) -> None:
    """Show each service's state, the lag of loader and archiver, the rate of each stage, and the disk.

    Exit code 0 when all is well, 3 when a service is down, silent or unhealthy, or nothing runs.
    """
    log = platform.log()
    earlier = observe(platform.home, log, platform.clock)
    time.sleep(seconds)
    later = observe(platform.home, log, platform.clock)
    rates = Rates.between(earlier, later)
    if output == "json":
        click.echo(orjson.dumps(document(later, rates), option=orjson.OPT_INDENT_2))
    else:
        console = Console()
        for table in tables(later, rates):
            console.print(table)
        for service in later.services:
            for finding in service.findings:
                console.print(f"{service.run.name}: {finding}", markup=False, highlight=False, soft_wrap=True)
        if not later.services:
            console.print(f"Nothing runs in {platform.home}; start it with: catchment up")
        console.print(f"home {platform.home}: {size(later.home_bytes)} used, {size(later.free_bytes)} free on its disk")
    if not later.services or any(service.state != "up" for service in later.services):
        raise click.exceptions.Exit(3)


def tables(snapshot: Snapshot, rates: Rates) -> list[Table]:
    """The picture as tables: services, then stages."""
    services = Table(title="Services", title_justify="left")
    for heading in ("service", "state", "pid", "up", "port", "admin", "memory"):
        services.add_column(heading)
    for service in snapshot.services:
        services.add_row(*_service_row(service, snapshot.at_ns))
    topics = Table(title="Topics", title_justify="left")
    for heading in ("topic", "records", "per second", "not yet loaded", "not yet archived"):
        topics.add_column(heading, justify="left" if heading == "topic" else "right")
    for topic in TOPICS:
        lags = [f"{snapshot.lag:,}", f"{snapshot.unarchived:,}"] if topic == "raw" else []
        topics.add_row(topic, f"{snapshot.records(topic):,}", f"{rates.per_s[topic]:,.1f}", *lags)
    return [services, topics]


def document(snapshot: Snapshot, rates: Rates) -> dict[str, object]:
    """The picture as JSON."""
    return {
        "services": [
            {
                "name": service.run.name,
                "kind": service.run.kind,
                "state": service.state,
                "pid": service.run.pid,
                "port": service.run.port,
                "admin_port": service.run.admin_port,
                "started_ns": service.run.started_ns,
                "memory_bytes": service.memory_bytes,
                "findings": service.findings,
            }
            for service in snapshot.services
        ],
        "partitions": [
            {
                "partition": str(part.source),
                "start": part.start,
                "end": part.end,
                "committed": part.committed,
                "lag": part.lag,
                "archived": part.archived,
                "unarchived": part.unarchived,
            }
            for part in snapshot.partitions
        ],
        "lag": snapshot.lag,
        "unarchived": snapshot.unarchived,
        "per_s": dict(rates.per_s),
        "home_bytes": snapshot.home_bytes,
        "free_bytes": snapshot.free_bytes,
    }


def _service_row(service: ServiceState, now_ns: int) -> tuple[str, ...]:
    run = service.run
    return (
        run.name,
        f"[{COLOURS[service.state]}]{service.state}[/]",
        str(run.pid),
        f"{(now_ns - run.started_ns) / 1e9:,.0f} s",
        str(run.port or ""),
        str(run.admin_port),
        size(service.memory_bytes),
    )
