"""A moment on the command line: a date or time of ISO 8601 (UTC unless it says otherwise), an age, or `now`."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import click

from catchment.clock import utc
from catchment.errors import Malformed
from catchment.ingestion.inspection.moments import moment_ns


class Moment(click.ParamType[datetime]):
    """Converts to an aware datetime in UTC."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return utc(time.time_ns() if value == "now" else moment_ns(value, time.time_ns()))
        except Malformed as error:
            self.fail(str(error), param, ctx)
