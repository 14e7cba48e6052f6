"""A loader in small, run as a process of its own: resumes from the recorded offsets, kills itself at a named point.

python loading.py HOME SOURCE END BATCH [POINT ROUND]
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from numbered import SCHEMA, make_rows

from catchment.clock import SystemClock
from catchment.errors import Missing
from catchment.events import Events
from catchment.lake.commit import Span
from catchment.lake.open import open_lake
from catchment.lake.settings import CatalogSettings, ObjectsSettings

TABLE = "telemetry.main_v4"
SHIFT = 1_000_000
"""Numbers of source n begin at n times this."""


def main(home: str, source: str, end: str, batch: str, point: str = "", round_: str = "0") -> None:
    lake = open_lake(CatalogSettings(), ObjectsSettings(), Path(home), SystemClock(), Events("loading"))
    try:
        recorded = lake.offsets(TABLE).get(source)
    except Missing:
        recorded = None
    lake.ensure(TABLE, SCHEMA)
    shift = int(source.rpartition("/")[2]) * SHIFT
    passed = 0
    while (recorded or 0) < int(end):
        begin, passed = recorded or 0, passed + 1
        stop = min(begin + int(batch), int(end))

        def at(name: str, now: bool = passed > int(round_)) -> None:
            if name == point and now:
                os.kill(os.getpid(), signal.SIGKILL)

        lake.commit(TABLE, make_rows(shift + begin, stop - begin), {source: Span(recorded, stop)}, at=at)
        recorded = stop
    lake.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
