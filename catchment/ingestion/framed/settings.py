"""Options of the framed lake."""

from __future__ import annotations

from dataclasses import dataclass

from catchment.config import option

_MIB = 1024 * 1024


def _patterns(names: tuple[str, ...]) -> str | None:
    wrong = next((name for name in names if "." not in name), None)
    return None if wrong is None else f"{wrong!r} must be a namespace, a dot and a doctype, like telemetry.main"


@dataclass(frozen=True, slots=True)
class FramedSettings:
    """Section `[framed]`."""

    doctypes: tuple[str, ...] = option(
        (),
        "Doctypes that are stored although they have a schema, as `namespace.doctype`; `*` stands for any text.",
        check=_patterns,
    )
    unregistered: bool = option(True, "Store documents that have no schema.")
    apps: tuple[str, ...] = option(
        ("Firefox", "Fennec", "Thunderbird", "FirefoxOS", "B2G"),
        "Values of dimension app; another is stored as OTHER. `*` allows any.",
    )
    channels: tuple[str, ...] = option(
        ("default", "nightly", "aurora", "beta", "release", "esr"),
        "Values of dimension channel; another is stored as OTHER. `*` allows any.",
    )
    cohorts: bool = option(False, "Store a copy for each experiment that a stored document takes part in.")
    cohort_types: tuple[str, ...] = option((), "Types of experiments to copy for; those without a type always are.")
    cohort_blocklist: tuple[str, ...] = option((), "Ids of experiments not to copy for.")
    object_age_s: float = option(
        3600.0, "A document waits at most so long for its object to be put.", unit="seconds", minimum=0.1
    )
    buffer_bytes: int = option(
        64 * _MIB,
        "Packed documents that a writer holds; more, and the largest range is put.",
        unit="bytes",
        minimum=64 * 1024,
    )
    max_objects: int = option(
        1000, "Most objects of one range; documents of further places are stored as OTHER.", minimum=1, maximum=100_000
    )
    ship_at_stop: bool = option(False, "Put what is held when the writer stops, however little.")
    keep_days: int = option(0, "Days whose objects are kept; 0 keeps all.", unit="days", minimum=0)
    upkeep_s: float = option(600.0, "How often old objects are deleted.", unit="seconds", minimum=1)
    admin_port: int = option(
        0, "Port of the first writer's health and metrics; the next ones add 1. 0 picks free ports.", minimum=0
    )
