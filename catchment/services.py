"""The services of the platform: how each is put together, and in which order they start and stop."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Mapping

from catchment import service as runtime
from catchment.errors import BadConfig
from catchment.events import Events
from catchment.health import WARNING, Finding
from catchment.ingestion.decoder.settings import DecoderSettings
from catchment.ingestion.edge.settings import EdgeSettings
from catchment.ingestion.forwarder.settings import ForwarderSettings
from catchment.ingestion.framed.settings import FramedSettings
from catchment.ingestion.landfill.settings import LandfillSettings
from catchment.ingestion.ledger.settings import LedgerSettings
from catchment.ingestion.limits.settings import LimitSettings
from catchment.ingestion.loader.settings import LoaderSettings
from catchment.lake.settings import LakeSettings
from catchment.log.settings import LogSettings
from catchment.platform import Platform
from catchment.supervisor import ServiceSpec
from catchment.web.settings import ConsoleSettings


def specs(platform: Platform) -> list[ServiceSpec]:
    """What `catchment up` keeps alive, in the order of start and of stop: the edge first, so that no new work comes
    in while the loader finishes."""
    edge = platform.config.section(EdgeSettings)
    loader = platform.config.section(LoaderSettings)
    if edge.port == 0 and edge.workers > 1:
        raise BadConfig("[edge] port is 0 with several workers, which share one port; name a port")
    names = [("edge", number) for number in range(edge.workers)]
    names += [("forwarder", 0)] if platform.is_forwarded else []
    names += [("loader", number) for number in range(loader.processes)]
    names += [("archiver", 0), ("framed", 0), ("ledger", 0), ("console", 0)]
    return [
        ServiceSpec(f"{kind}-{number}", (*platform.command, "run", kind, "--number", str(number)), stop_within_s=60.0)
        for kind, number in names
    ]


def address(platform: Platform, kind: str) -> str | None:
    """The URL of a running service of this kind, None when none runs."""
    for run in runtime.read_run_files(platform.home):
        if run.kind == kind and run.port and run.is_alive:
            host = "127.0.0.1" if run.host in ("0.0.0.0", "::") else run.host
            return f"http://{host}:{run.port}"
    return None


def run(platform: Platform, kind: str, number: int) -> None:
    """Run a service until SIGTERM or SIGINT."""
    runtime.die_with_parent()
    runners: Mapping[str, Callable[[Platform, int, Events], None]] = {
        "edge": _run_edge,
        "forwarder": _run_forwarder,
        "loader": _run_loader,
        "archiver": _run_archiver,
        "framed": _run_framed,
        "ledger": _run_ledger,
        "console": _run_console,
    }
    runners[kind](platform, number, platform.events(f"{kind}-{number}"))


def _run_edge(platform: Platform, number: int, events: Events) -> None:
    from catchment.ingestion.edge.worker import EdgeWorker, run_worker

    settings = platform.config.section(EdgeSettings)
    worker = EdgeWorker(settings, number, platform.edge_log(), platform.clock, events, directory=platform.home)
    with runtime.admin("127.0.0.1", _port(settings.admin_port, number), worker.checks) as admin:
        announcement = _run_file(platform, "edge", number, settings.host, admin.port)
        with runtime.announcing(platform.home, announcement, events) as announce:
            run_worker(worker, on_ready=announce)


def _run_forwarder(platform: Platform, number: int, events: Events) -> None:
    from catchment.ingestion.forwarder.loop import Forwarder

    settings = platform.config.section(ForwarderSettings)
    log, partitions = platform.kafka(), platform.config.section(LogSettings).partitions
    forwarder = Forwarder(
        settings, platform.edge_log(), lambda: log.open_keyed("raw", partitions), platform.clock, events
    )
    runtime.on_stop_signal(forwarder.stop)
    with runtime.admin("127.0.0.1", _port(settings.admin_port, number), {"forward": forwarder.check}) as admin:
        announcement = _run_file(platform, "forwarder", number, "", admin.port)
        with runtime.announcing(platform.home, announcement, events) as announce:
            announce(0)
            forwarder.run()


def _run_loader(platform: Platform, number: int, events: Events) -> None:
    from catchment.ingestion.decoder.chain import Decoder
    from catchment.ingestion.decoder.geo import Geo
    from catchment.ingestion.deduplication import DIRECTORY, DeduplicationSettings, Deduplicator
    from catchment.ingestion.limits.limiter import Limiter
    from catchment.ingestion.loader.former import Former
    from catchment.ingestion.loader.loop import Loader
    from catchment.ingestion.loader.origin import refuse_another_log
    from catchment.ingestion.loader.upkeep import Upkeep
    from catchment.lake.gatherer import HAS_COMPILED

    if not HAS_COMPILED:
        events.warning("loader_not_compiled", advice="columns are made in Python; install gcc, run make setup again")
    config, clock = platform.config, platform.clock
    settings = config.section(LoaderSettings)
    geo = Geo(platform.geo_settings(), clock, events)
    deduplicator = Deduplicator(platform.home / DIRECTORY, config.section(DeduplicationSettings), clock, events)
    lenient = config.section(DecoderSettings).lenient_namespaces
    limiter = Limiter(config.section(LimitSettings), platform.home / "limits", clock, events, lenient)
    log, lake, schemas = platform.log(), platform.lake(), platform.schemas()
    refuse_another_log(log, platform.edge_log(), lake)
    schemas.watch()
    former = Former(platform.home, number, events)
    registry = former.start(schemas.current)
    registry.check()  # compiled before the first ping, and frozen below
    decoder = Decoder(registry, geo, config.section(DecoderSettings))
    upkeep = Upkeep(settings.upkeep_s, log, lake, config.section(LakeSettings), clock, events) if number == 0 else None
    loader = Loader(
        settings,
        log,
        lake,
        registry,
        decoder,
        deduplicator,
        clock,
        events,
        latest=lambda: schemas.current,
        keep=former.keep,
        upkeep=upkeep,
        limiter=limiter,
    )
    schemas.follow(loader.wake)
    runtime.on_stop_signal(loader.stop)
    gc.freeze()

    def waits() -> list[Finding]:
        return [Finding("loader_waits", WARNING, loader.last_error)] if loader.last_error else []

    checks = {"flush": waits, "limits": limiter.check, "schemas": schemas.check}
    with runtime.admin("127.0.0.1", _port(settings.admin_port, number), checks) as admin:
        announcement = _run_file(platform, "loader", number, "", admin.port)
        with runtime.announcing(platform.home, announcement, events) as announce:
            announce(0)
            loader.run()
    schemas.close()
    deduplicator.close()
    geo.close()


def _run_ledger(platform: Platform, number: int, events: Events) -> None:
    from catchment.ingestion.ledger.loop import Ledger

    settings = platform.config.section(LedgerSettings)
    log, lake, database = platform.log(), platform.lake(), platform.database()
    lenient = platform.config.section(DecoderSettings).lenient_namespaces
    ledger = Ledger(settings, log, lake, database, platform.clock, events, lenient=lenient)
    runtime.on_stop_signal(ledger.stop)
    with runtime.admin("127.0.0.1", _port(settings.admin_port, number), {"balance": ledger.check}) as admin:
        announcement = _run_file(platform, "ledger", number, "", admin.port)
        with runtime.announcing(platform.home, announcement, events) as announce:
            announce(0)
            ledger.run()
    database.close()


def _run_archiver(platform: Platform, number: int, events: Events) -> None:
    from catchment.ingestion.landfill.archiver import Archiver

    settings = platform.config.section(LandfillSettings)
    archiver = Archiver(
        settings,
        platform.log_name(),
        platform.log(),
        platform.landfill(),
        platform.clock,
        events,
        is_first=number == 0,
    )
    runtime.on_stop_signal(archiver.stop)

    def waits() -> list[Finding]:
        return [Finding("archiver_waits", WARNING, archiver.last_error)] if archiver.last_error else []

    with runtime.admin("127.0.0.1", _port(settings.admin_port, number), {"ship": waits}) as admin:
        announcement = _run_file(platform, "archiver", number, "", admin.port)
        with runtime.announcing(platform.home, announcement, events) as announce:
            announce(0)
            archiver.run()


def _run_framed(platform: Platform, number: int, events: Events) -> None:
    from catchment.ingestion.framed.writer import FramedWriter

    settings = platform.config.section(FramedSettings)
    schemas = platform.schemas()
    schemas.watch()
    writer = FramedWriter(
        settings,
        platform.log_name(),
        platform.log(),
        platform.objects(),
        lambda: schemas.current,
        platform.clock,
        events,
        is_first=number == 0,
    )
    runtime.on_stop_signal(writer.stop)

    def waits() -> list[Finding]:
        return [Finding("framed_waits", WARNING, writer.last_error)] if writer.last_error else []

    checks = {"ship": waits, "schemas": schemas.check}
    with runtime.admin("127.0.0.1", _port(settings.admin_port, number), checks) as admin:
        announcement = _run_file(platform, "framed", number, "", admin.port)
        with runtime.announcing(platform.home, announcement, events) as announce:
            announce(0)
            writer.run()
    schemas.close()


def _run_console(platform: Platform, number: int, events: Events) -> None:
    from catchment.web.serve import run_console

    settings = platform.config.section(ConsoleSettings)
    stop = threading.Event()
    runtime.on_stop_signal(stop.set)
    schemas = platform.schemas()
    schemas.watch()
    with runtime.admin("127.0.0.1", _port(settings.admin_port, number), {"schemas": schemas.check}) as admin:
        announcement = _run_file(platform, "console", number, settings.host, admin.port)
        with runtime.announcing(platform.home, announcement, events) as announce:
            run_console(settings, platform, stop, announce)
    schemas.close()


def _port(first: int, number: int) -> int:
    return first + number if first else 0


def _run_file(platform: Platform, kind: str, number: int, host: str, admin_port: int) -> runtime.RunFile:
    return runtime.RunFile(f"{kind}-{number}", kind, os.getpid(), platform.clock.time_ns(), host, 0, admin_port)
