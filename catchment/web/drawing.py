"""Lines for SVG, made of points in time: sparklines and charts.

The box is WIDTH × HEIGHT; the newest point is at its right edge, `span_s` ago at its left, zero at the bottom. A line
leaves the place free in which nothing is known yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from catchment.web.history import SPAN_S, Point

WIDTH = 300
HEIGHT = 60
_STEPS = (1.0, 2.0, 5.0, 10.0)
_SPANS = (60.0, 120.0, SPAN_S)


@dataclass(frozen=True, slots=True)
class Line:
    """A line and the area below it, as SVG path texts; empty when there are fewer than two points."""

    stroke: str
    area: str


def ceiling(value: float) -> float:
    """The next round number (1, 2 or 5 times a power of ten) that is not below `value`; at least 1."""
    power = 1.0
    while power * 10 < value:
        power *= 10
    return next(step * power for step in _STEPS if step * power >= value or step == _STEPS[-1])


def span_of(points: Sequence[Point]) -> float:
    """The shortest time among one, two and five minutes that holds all points, the oldest first."""
    oldest_s = points[0].age_s if points else 0.0
    return next((span_s for span_s in _SPANS if span_s >= oldest_s), SPAN_S)


def line(points: Sequence[Point], top: float, span_s: float) -> Line:
    """`points`, the oldest first, in a box whose upper edge means `top` (> 0) and whose left edge `span_s` ago."""
    if len(points) < 2:
        return Line("", "")
    places = [(_x(point.age_s, span_s), _y(point.value, top)) for point in points]
    stroke = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return Line(stroke, f"{stroke}L{places[-1][0]:.1f} {HEIGHT}L{places[0][0]:.1f} {HEIGHT}Z")


def _x(age_s: float, span_s: float) -> float:
    return WIDTH * (1 - min(age_s, span_s) / span_s)


def _y(value: float, top: float) -> float:
    return HEIGHT - (HEIGHT - 2) * min(max(value / top, 0.0), 1.0)
