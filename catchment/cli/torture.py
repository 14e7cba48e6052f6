"""`catchment torture`: the whole platform under faults, and the proof that nothing acknowledged was lost or doubled."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catchment.platform import Platform

if TYPE_CHECKING:
    from catchment.torture.run import Progress
    from catchment.torture.schedule import Fault

SAY_EVERY_SHARE = 20
"""Without a terminal, progress is told each time that a twentieth of the pings is sent, and when the phase changes."""


@click.command()
@click.option("--pings", type=click.IntRange(min=1), default=20_000, show_default=True, help="Pings to send.")
@click.option("--faults", type=click.IntRange(min=0), default=40, show_default=True, help="Faults meanwhile.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Draws fleet and faults.")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="New folder for the platform and the report, on the disk to be tried (default: a temporary one).",
)
@click.option("--keep", is_flag=True, help="Keep the folder after a run that passed; after another it always stays.")
@click.option("--dry-run", is_flag=True, help="Print the schedule of faults and do nothing.")
@click.option(
    "--format",
    "output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How the schedule of a dry run is printed.",
)
@click.pass_obj
def torture(
    platform: Platform, pings: int, faults: int, seed: int, home: Path | None, keep: bool, dry_run: bool, output: str
) -> None:
    """Run a platform of its own, break it again and again, and prove that nothing acknowledged was lost or doubled.

    A simulated fleet sends while processes are killed, the disk is filled, ends of the log are torn, bits are flipped,
    the object store goes away and the clock is set wrong: the same faults for the same seed. When everything has
    drained, each answer 200 is looked for. The last line is the verdict; the exit code is 1 when anything was lost or
    doubled. As root the platform gets a filesystem of its own that can really be full.

    \b
    catchment torture --dry-run                           the faults that would come
    catchment torture                                     20,000 pings, 40 faults: some 2 minutes
    catchment torture --pings 2000000 --faults 1000 --seed 7 --home /srv/try --keep
    """
    from catchment.torture.schedule import plan
    from catchment.torture.stage import SERVICES

    schedule = plan(seed, pings, faults, SERVICES)
    if dry_run:
        _print_schedule(schedule, output)
        return
    from catchment.torture.run import Torture
    from catchment.torture.stage import Stage

    folder = home.absolute() if home else Path(tempfile.mkdtemp(prefix="catchment-torture-"))
    if home and home.exists() and any(home.iterdir()):
        raise click.UsageError(f"--home {home} is not empty; name a new folder, or remove this one")
    is_clean = False
    with ExitStack() as closing:
        stage = Stage(folder, platform.config.source, pings)
        closing.callback(lambda: stage.remove() if is_clean and not keep else click.echo(f"left: {folder}", err=True))
        closing.callback(stage.close)
        disk = "a filesystem of its own" if stage.has_own_disk else "this disk; the free-space guard plays a full one"
        click.echo(f"{pings:,} pings, {faults} faults, seed {seed}, in {folder} on {disk}", err=True)
        say = closing.enter_context(_bar(pings, faults)) if sys.stderr.isatty() else _plain_sayer(pings)
        verdict = Torture(stage, folder / "report", schedule, pings, seed, say).go()
        is_clean = verdict.is_clean
    if not is_clean:
        for what, which in verdict.offenders[:10]:
            click.echo(f"{what}: {which}", err=True)
        click.echo(f"{len(verdict.offenders):,} offenders; all are in {folder}/report/offenders.jsonl", err=True)
    click.echo(verdict.line)
    if not is_clean:
        raise click.exceptions.Exit(1)


def _print_schedule(schedule: Sequence[Fault], output: str) -> None:
    if output == "json":
        click.echo(json.dumps([asdict(fault) for fault in schedule], indent=2))
        return
    for fault in schedule:
        click.echo(f"{fault.number:>5}  after {fault.at:>10,} pings  {fault.description}")


@contextmanager
def _bar(pings: int, faults: int) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bar = shown.add_task("starting", total=pings)
        yield lambda progress: shown.update(bar, completed=progress.sent, description=_described(progress, faults))


def _plain_sayer(pings: int) -> Callable[[Progress], None]:
    told: set[tuple[str, int]] = set()

    def say(progress: Progress) -> None:
        step = progress.phase, progress.sent * SAY_EVERY_SHARE // pings
        if step not in told:
            told.add(step)
            click.echo(_described(progress), err=True)

    return say


def _described(progress: Progress, faults: int = 0) -> str:
    done = f"{progress.faults:,} of {faults:,}" if faults else f"{progress.faults:,}"
    return (
        f"{progress.phase}: {progress.sent:,} sent, {progress.acknowledged:,} acknowledged, "
        f"{progress.waiting:,} wait for the loaders, {done} faults, last: {progress.last or '-'}"
    )
