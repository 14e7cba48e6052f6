"""The platform as one configuration names it: every part is made here, once, from its settings.

Parts are made when they are first asked for, and imported only then: a command that needs no lake does not pay for
one. `SECTIONS` lists every section of `catchment.toml`; options are declared beside their users.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from catchment import config as configuration
from catchment.clock import Clock, SystemClock
from catchment.config import Config, option
from catchment.database.settings import DatabaseSettings
from catchment.errors import BadConfig
from catchment.events import Events
from catchment.ingestion.decoder.settings import DecoderSettings, GeoSettings
from catchment.ingestion.deduplication import DeduplicationSettings
from catchment.ingestion.edge.settings import EdgeSettings
from catchment.ingestion.forwarder.settings import ForwarderSettings
from catchment.ingestion.framed.settings import FramedSettings
from catchment.ingestion.landfill.settings import LandfillSettings
from catchment.ingestion.ledger.settings import LedgerSettings
from catchment.ingestion.limits.settings import LimitSettings
from catchment.ingestion.loader.settings import LoaderSettings
from catchment.keyvalue.settings import KeyValueSettings
from catchment.lake.settings import CatalogSettings, LakeSettings, ObjectsSettings
from catchment.log.port import Log
from catchment.log.settings import LogSettings, is_kafka
from catchment.objects.settings import S3Settings
from catchment.producers.settings import SimulateSettings
from catchment.query.settings import SqlSettings
from catchment.schemas.settings import SchemaSettings
from catchment.supervisor import SupervisorSettings
from catchment.web.settings import ConsoleSettings

if TYPE_CHECKING:
    from catchment.database.database import Database
    from catchment.ingestion.inspection.failures import Failures
    from catchment.ingestion.inspection.receipts import Receipts
    from catchment.ingestion.landfill.shelf import Landfill
    from catchment.keyvalue.port import KeyValue
    from catchment.lake.tables import Lake
    from catchment.log.kafka.log import KafkaLog
    from catchment.objects.port import ObjectStore
    from catchment.query.port import QueryEngine
    from catchment.schemas.adding import Added
    from catchment.schemas.live import LiveRegistry
    from catchment.schemas.registry import Registry


@dataclass(frozen=True, slots=True)
class HomeSettings:
    path: str = option("data", "Folder of everything that the platform keeps; relative to the working directory.")


@dataclass(frozen=True, slots=True)
class ClockSettings:
    offset_s: float = option(
        0.0, "How far the services' wall clock is ahead of the machine's: to try what a wrong one does.", unit="s"
    )


SECTIONS: dict[str, type] = {
    "home": HomeSettings,
    "clock": ClockSettings,
    "supervisor": SupervisorSettings,
    "log": LogSettings,
    "objects": ObjectsSettings,
    "s3": S3Settings,
    "catalog": CatalogSettings,
    "lake": LakeSettings,
    "database": DatabaseSettings,
    "keyvalue": KeyValueSettings,
    "schemas": SchemaSettings,
    "edge": EdgeSettings,
    "forwarder": ForwarderSettings,
    "geo": GeoSettings,
    "decoder": DecoderSettings,
    "deduplication": DeduplicationSettings,
    "limits": LimitSettings,
    "loader": LoaderSettings,
    "ledger": LedgerSettings,
    "landfill": LandfillSettings,
    "framed": FramedSettings,
    "sql": SqlSettings,
    "console": ConsoleSettings,
    "simulate": SimulateSettings,
}


class Platform:
    """One home and its parts. Not shared between threads while parts are still being made."""

    def __init__(self, config: Config, config_file: Path | None = None) -> None:
        self.config = config
        self.clock: Clock = SystemClock(config.section(ClockSettings).offset_s)
        self.home = Path(config.section(HomeSettings).path).absolute()
        self._config_file = config_file

    @classmethod
    def from_file(cls, path: Path | None) -> Platform:
        """The platform that a configuration file and the environment name. Raises BadConfig."""
        return cls(configuration.load(SECTIONS, path), path)

    @property
    def command(self) -> tuple[str, ...]:
        """How to call this `catchment` with the same configuration file in another process."""
        file = ("--config", str(self._config_file)) if self._config_file else ()
        return (sys.executable, "-m", "catchment", *file)

    def events(self, service: str) -> Events:
        return Events(service)

    def log(self) -> Log:
        return self._log

    def edge_log(self) -> Log:
        """What an edge of this home writes to: the log where that is in files, else one on its own disk."""
        return self._edge_log if self.is_forwarded else self._log

    @property
    def is_forwarded(self) -> bool:
        """Whether the log is elsewhere, so that what edges accept has to be forwarded."""
        return is_kafka(self.config.section(LogSettings))

    def log_name(self) -> str:
        """The log's name in keys of the object store: the cluster's, or that of this home."""
        from catchment.ingestion.landfill.archiver import cluster_name, edge_name

        if not self.is_forwarded:
            return edge_name(self.home)
        log = self.kafka()
        return cluster_name(log.cluster(), log.broker.named(""))

    def kafka(self) -> KafkaLog:
        """The log, where it is on Kafka."""
        from catchment.log.kafka.log import KafkaLog

        log = self.log()
        if not isinstance(log, KafkaLog):
            raise BadConfig(
                f"[log] url is {self.config.section(LogSettings).url!r}: nothing is forwarded there, the loader reads "
                "what the edge writes; set it to `kafka://…`, or run no forwarder"
            )
        return log

    def lake(self) -> Lake:
        return self._lake

    def landfill(self) -> Landfill:
        return self._landfill

    def objects(self) -> ObjectStore:
        from catchment.objects.open import open_objects

        return open_objects(self.config.section(ObjectsSettings).url, self.home, self.config.section(S3Settings))

    def engine(self) -> QueryEngine:
        return self._engine

    def database(self) -> Database:
        return self._database

    def keyvalue(self) -> KeyValue:
        return self._keyvalue

    def schemas(self) -> LiveRegistry:
        """The registry that follows its sources."""
        return self._schemas

    def registry(self) -> Registry:
        """The schemas as they are now."""
        return self._schemas.current

    def add_schema(self, namespace: str, doctype: str, version: int, content: bytes) -> Added:
        """Add a schema to the folder of added ones; see `catchment/schemas/adding.py`."""
        from catchment.schemas.adding import add_schema
        from catchment.schemas.live import added_folder

        folder = added_folder(self.config.section(SchemaSettings), self.home)
        return add_schema(self.schemas(), folder, namespace, doctype, version, content)

    def failures(self) -> Failures:
        """Looks at what was refused."""
        from catchment.ingestion.inspection.failures import Failures

        return Failures(self.log(), self.engine, self.lake)

    def receipts(self) -> Receipts:
        """Answers for document ids. Not shared between threads."""
        from catchment.ingestion.inspection.open import open_receipts

        return open_receipts(
            self.home,
            self.log(),
            self.failures(),
            self.engine(),
            self.registry(),
            self.config.section(DecoderSettings),
            self.config.section(DeduplicationSettings),
            self.clock,
        )

    def ledger_settings(self) -> LedgerSettings:
        return self.config.section(LedgerSettings)

    def geo_settings(self) -> GeoSettings:
        """The settings of the look-up; without a database of one's own, the one that `make setup` installed."""
        settings = self.config.section(GeoSettings)
        installed = Path(sys.prefix) / "share" / "catchment" / "country.mmdb"
        if settings.database or not installed.is_file():
            return settings
        return replace(settings, database=str(installed))

    @cached_property
    def _log(self) -> Log:
        from catchment.log.open import open_log

        self.home.mkdir(parents=True, exist_ok=True)
        return open_log(self.config.section(LogSettings), self.home, self.clock, self.events("log"))

    @cached_property
    def _edge_log(self) -> Log:
        from catchment.log.open import open_edge_log

        self.home.mkdir(parents=True, exist_ok=True)
        url, settings = self.config.section(EdgeSettings).log, self.config.section(LogSettings)
        return open_edge_log(url, settings, self.home, self.clock, self.events("log"))

    @cached_property
    def _lake(self) -> Lake:
        from catchment.lake.open import open_lake

        self.home.mkdir(parents=True, exist_ok=True)
        return open_lake(
            self.config.section(CatalogSettings),
            self.config.section(ObjectsSettings),
            self.home,
            self.clock,
            self.events("lake"),
            self.config.section(S3Settings),
        )

    @cached_property
    def _database(self) -> Database:
        from catchment.database.database import open_database

        self.home.mkdir(parents=True, exist_ok=True)
        return open_database(self.config.section(DatabaseSettings), self.home)

    @cached_property
    def _keyvalue(self) -> KeyValue:
        from catchment.keyvalue.open import open_keyvalue

        return open_keyvalue(self.config.section(KeyValueSettings), self.home, self.clock)

    @cached_property
    def _landfill(self) -> Landfill:
        from catchment.ingestion.landfill.shelf import Landfill

        return Landfill(self.objects())

    @cached_property
    def _engine(self) -> QueryEngine:
        from catchment.query.open import open_engine

        return open_engine(self.config.section(SqlSettings), self.lake(), self.home)

    @cached_property
    def _schemas(self) -> LiveRegistry:
        from catchment.schemas.live import open_live

        return open_live(
            self.config.section(SchemaSettings),
            self.home,
            self.objects,
            self.clock,
            self.events("schemas"),
        )
