"""`catchment sql`, `tables` and `describe` over a lake in a folder: `python asking.py HOME COMMAND …`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from catchment.cli.sql import COMMANDS
from catchment.clock import SystemClock
from catchment.errors import CatchmentError
from catchment.events import Events
from catchment.lake.open import open_lake
from catchment.lake.settings import CatalogSettings, ObjectsSettings
from catchment.lake.tables import Lake
from catchment.query.open import open_engine
from catchment.query.port import QueryEngine
from catchment.query.settings import SqlSettings


class Folder:
    """What the commands need, over one folder."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def lake(self) -> Lake:
        return open_lake(CatalogSettings(), ObjectsSettings(), self._home, SystemClock(), Events("test"))

    def engine(self) -> QueryEngine:
        return open_engine(SqlSettings(), self.lake(), self._home)


GROUP = click.Group("catchment", commands={str(command.name): command for command in COMMANDS})


if __name__ == "__main__":
    try:
        sys.exit(GROUP(sys.argv[2:], obj=Folder(Path(sys.argv[1])), standalone_mode=False))
    except CatchmentError as error:
        sys.exit(f"catchment: {error}")
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
