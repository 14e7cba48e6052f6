"""`catchment up` and `catchment run`: the whole platform, or one service of it."""

from __future__ import annotations

import click

from catchment import service, services
from catchment.platform import Platform


@click.command()
@click.option("--quiet", is_flag=True, help="Keep the services' events out of this terminal; they stay in <home>/logs.")
@click.pass_obj
def up(platform: Platform, quiet: bool) -> None:
    """Start every service, keep them running, and stop them in order on Ctrl-C.

    What a service writes is in <home>/logs/<service>.log. The next start continues where this one stopped.
    """
    from catchment.supervisor import Supervisor, SupervisorSettings

    service.die_with_parent()

    def on_ready() -> None:
        service.say_ready()
        for kind, path in (("edge", "/submit/…"), ("console", "/")):
            click.echo(f"{kind:8} {services.address(platform, kind)}{path}")

    Supervisor(
        platform.home,
        services.specs(platform),
        platform.clock,
        platform.events("supervisor"),
        settings=platform.config.section(SupervisorSettings),
        echo=not quiet,
        on_ready=on_ready,
    ).run()


@click.command()
@click.argument(
    "service", type=click.Choice(["edge", "forwarder", "loader", "archiver", "framed", "ledger", "console"])
)
@click.option(
    "--number", type=click.IntRange(min=0), default=0, help="Which edge worker, loader or archiver this is, from 0."
)
@click.pass_obj
def run(platform: Platform, service: str, number: int) -> None:
    """Run one service in this process: for a cluster of machines, or under another supervisor.

    An edge worker NUMBER owns partition NUMBER of topic raw on this machine.
    """
    services.run(platform, service, number)
