"""Counts over time as stacked columns for SVG: refused pings by code, the pings of a doctype by what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from catchment.ingestion.inspection.failures import Step
from catchment.web import drawing
from catchment.web.formats import clock_time, short

CURVES = 5
"""Kinds that have a colour of their own; the others share one."""
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Bar:
    """A piece of a column: its place and size in a box of drawing.WIDTH by drawing.HEIGHT, and its words."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    words: str


@dataclass(frozen=True, slots=True)
class Bars:
    """The chart: what it holds, its axes, and the table behind it."""

    title: str
    codes: tuple[tuple[str, str], ...]
    """(name, kind) of those that have pieces, the most frequent first."""
    bars: tuple[Bar, ...]
    top: str
    middle: str
    ages: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def bars(what: str, steps: Sequence[Step], now_ns: int, colours: Mapping[str, str] | None = None) -> Bars:
    """A column for each step of time, a piece of it for each kind; `what` is counted. Kinds get `colours` (`c0` to
    `c4`, `others`), without them the most frequent one the first."""
    totals: Counter[str] = Counter()
    for step in steps:
        totals.update(step.pings)
    kinds = {code: f"c{number}" for number, (code, _) in enumerate(totals.most_common(CURVES))}
    if colours is not None:
        kinds = {code: colours[code] for code in kinds}
    top = drawing.ceiling(max((sum(step.pings.values()) for step in steps), default=1))
    width = drawing.WIDTH / max(len(steps), 1)
    found = []
    for number, step in enumerate(steps):
        base = float(drawing.HEIGHT)
        for code in sorted(step.pings, key=lambda code: (-totals[code], code)):
            height = (drawing.HEIGHT - 2) * step.pings[code] / top
            base -= height
            words = f"{clock_time(step.begin_ns, now_ns)}: {step.pings[code]:,} {code}"
            kind = kinds.get(code, "others")
            found.append(Bar(kind, number * width + width * 0.1, base, width * 0.8, height, words))
    every = max((len(steps) - 1) // 4, 1)
    ages = tuple(clock_time(step.begin_ns, now_ns) for step in steps[::every]) if steps else ()
    rows = [
        (clock_time(step.begin_ns, now_ns), code, f"{pings:,}")
        for step in reversed(steps)
        for code, pings in sorted(step.pings.items(), key=lambda item: -item[1])
    ]
    seconds = steps[0].seconds if steps else 0
    unit = next((f"{seconds // length} {name}" for length, name in _UNITS if seconds >= length), "")
    return Bars(
        f"{what}, each column {unit}",
        (*kinds.items(), *([("others", "others")] if len(totals) > CURVES else [])),
        tuple(found),
        short(top),
        short(top / 2),
        ages,
        tuple(rows),
    )
