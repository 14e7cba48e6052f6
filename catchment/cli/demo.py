"""`catchment demo`: the whole platform with a simulated fleet, and live counts in the terminal."""

from __future__ import annotations

import sys
import threading

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from catchment import services
from catchment.observation import Rates, Snapshot, observe
from catchment.platform import Platform
from catchment.supervisor import ServiceSpec, Supervisor
from catchment.units import size

FIRST_QUERY = (
    "select normalized_channel, count(*) pings, count(distinct client_id) clients from telemetry.main_v4 "
    "group by 1 order by 2 desc"
)
LIVE_S, PLAIN_S = 1.0, 10.0


@click.command()
@click.option("--rate", type=click.FloatRange(min=0.1), default=25.0, show_default=True, help="Pings a second.")
@click.option("--clients", type=click.IntRange(min=1), default=500, show_default=True, help="Clients in the fleet.")
@click.pass_obj
def demo(platform: Platform, rate: float, clients: int) -> None:
    """Run the platform with a fleet of simulated clients sending, until Ctrl-C; the next start goes on.

    What the services write is in <home>/logs.
    """
    fleet = ServiceSpec(
        "fleet",
        (*platform.command, "simulate", "--until-stopped", "--rate", str(rate), "--clients", str(clients)),
        stop_rank=-1,
    )
    watch = Watch(platform)
    try:
        Supervisor(
            platform.home,
            [*services.specs(platform), fleet],
            platform.clock,
            platform.events("supervisor"),
            echo=False,
            on_ready=watch.start,
        ).run()
    finally:
        watch.stop()


class Watch:
    """Says where things are and shows live counts, on a thread beside the supervisor."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._console = Console(stderr=False)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the display and print the last counts."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()
            now = self._look()
            self._console.print(
                f"stopped with {now.records('raw'):,} pings received, {now.lag:,} of them left for the next start"
            )

    def _run(self) -> None:
        console, edge = services.address(self._platform, "console"), services.address(self._platform, "edge")
        self._console.print(
            f"\nconsole   {console}/\nedge      {edge}/submit/…\n\na first query, in another terminal (rows come "
            f'after some 5 s):\n  {_shown_command()} sql "{FIRST_QUERY}"\n\nCtrl-C stops everything.\n',
            highlight=False,
            soft_wrap=True,
        )
        earlier = self._look()
        if not sys.stdout.isatty():
            while not self._done.wait(PLAIN_S):
                later = self._look()
                self._console.print(line(later, Rates.between(earlier, later)), highlight=False, soft_wrap=True)
                earlier = later
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while not self._done.wait(LIVE_S):
                later = self._look()
                live.update(picture(later, Rates.between(earlier, later)), refresh=True)
                earlier = later

    def _look(self) -> Snapshot:
        return observe(self._platform.home, self._platform.log(), self._platform.clock)


def picture(snapshot: Snapshot, rates: Rates) -> Group:
    """The flow in a few lines, for a terminal."""
    rows = [
        ("received", snapshot.records("raw"), rates.per_s["raw"], "on disk before they were answered 200"),
        ("decoded", snapshot.records("decoded"), rates.per_s["decoded"], "typed rows"),
        ("errors", snapshot.records("errors"), rates.per_s["errors"], "kept whole, with the reason"),
        ("duplicates", snapshot.records("duplicates"), rates.per_s["duplicates"], "sent again, stored once"),
    ]
    lines = [Text(f"{name:<12}{count:>12,}{rate:>10,.1f} /s   {meaning}") for name, count, rate, meaning in rows]
    behind = f"{snapshot.lag:,} not yet loaded; {size(snapshot.home_bytes)} on disk"
    return Group(*lines, Text(f"{'':12}{behind}", style="dim"))


def line(snapshot: Snapshot, rates: Rates) -> str:
    """The same in one line, for a log."""
    counts = ", ".join(f"{snapshot.records(topic):,} {topic}" for topic in ("decoded", "errors", "duplicates"))
    return (
        f"{snapshot.records('raw'):,} received ({rates.per_s['raw']:,.1f}/s), {counts}, {snapshot.lag:,} not yet loaded"
    )


def _shown_command() -> str:
    return ".venv/bin/catchment" if ".venv" in sys.prefix else "catchment"
