"""Promotion as a process of its own, which kills itself at the n-th point that it passes.

python promoting.py HOME JOURNAL [DIE_AT]
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from catchment.clock import SystemClock
from catchment.events import Events
from catchment.lake import rewriting
from catchment.lake.open import open_lake
from catchment.lake.promotion import promote
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.schemas.registry import RESERVED_COLUMNS
from catchment.schemas.shape import shape_of
from tests.dying import CrashPoints

TABLE = "shop.order_v1"
NEW = shape_of({"properties": {"a": {"type": "string"}, "n": {"type": "integer"}}}, RESERVED_COLUMNS)


def main(home: str, journal: str, die_at: str = "0") -> None:
    rewriting.GROUP_FILES = 2
    points = CrashPoints(int(die_at))
    lake = open_lake(
        CatalogSettings(), ObjectsSettings(), Path(home), SystemClock(), Events("promoting", io.StringIO())
    )
    for _ in promote(lake, TABLE, NEW, points):
        pass
    lake.close()
    Path(journal).write_text("\n".join(points.passed))


if __name__ == "__main__":
    main(*sys.argv[1:])
