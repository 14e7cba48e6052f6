"""A moment on the command line, as `inspection/moments.py` reads it."""

from __future__ import annotations

import time

import click

from catchment.errors import Malformed
from catchment.ingestion.inspection.moments import moment_ns


class Moment(click.ParamType[int]):
    """A date, a date and time (UTC unless it says otherwise), `now`, or a time ago like `36h` or `7d`; as ns."""

    name = "moment"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return moment_ns(value, time.time_ns())
        except Malformed as error:
            self.fail(str(error), param, ctx)
