"""Where a decoded document belongs in the framed lake: whether it is stored, and its values of each dimension."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import orjson

from catchment.clock import utc
from catchment.datasets.layout import COHORTS, LAKE, OTHER, UNKNOWN, component
from catchment.ingestion.framed.settings import FramedSettings
from catchment.message import Message
from catchment.schemas.registry import Registry

_MEMORY = 10_000

Place = tuple[str, tuple[str, ...]]
"""The prefix of a folder, and the values of its dimensions."""


class Router:
    """Gives documents their places. `schemas` gives the schemas as they are now."""

    def __init__(self, settings: FramedSettings, schemas: Callable[[], Registry]) -> None:
        self._settings = settings
        self._schemas = schemas
        self._registry: Registry | None = None
        self._known: dict[tuple[str, str, int], bool] = {}

    def places(self, found: Message) -> list[Place]:
        """Where this message of topic decoded belongs; empty when it is not stored."""
        namespace, doctype = found.logger or "", _text(found, "docType")
        if not self._is_stored(namespace, doctype, _version(found)):
            return []
        head = (
            component(_text(found, "submissionDate") or f"{utc(found.timestamp):%Y%m%d}"),
            component(namespace),
            component(doctype),
        )
        app = _allowed(_text(found, "appName") or _text(found, "normalizedAppName"), self._settings.apps)
        channel = _allowed(
            _text(found, "appUpdateChannel") or _text(found, "normalizedChannel"), self._settings.channels
        )
        places: list[Place] = [(LAKE, (*head, app, channel, component(_text(found, "appVersion"))))]
        if self._settings.cohorts:
            body = found.first("submission")
            places += [
                (COHORTS, (*head, component(name), component(branch)))
                for name, branch in self._experiments(body if isinstance(body, bytes) else b"")
            ]
        return places

    def _is_stored(self, namespace: str, doctype: str, version: int) -> bool:
        registry = self._schemas()
        if registry is not self._registry or len(self._known) >= _MEMORY:
            self._registry = registry
            self._known.clear()
        key = namespace, doctype, version
        is_stored = self._known.get(key)
        if is_stored is None:
            name = f"{namespace}.{doctype}"
            is_stored = self._known[key] = any(fnmatchcase(name, pattern) for pattern in self._settings.doctypes) or (
                self._settings.unregistered and registry.find(*key) is None
            )
        return is_stored

    def _experiments(self, body: bytes) -> list[tuple[str, str]]:
        """Ids and branches of the experiments to copy for. The body is JSON, the decoder has seen to that."""
        if b'"experiments"' not in body:
            return []
        experiments = _object(_object(orjson.loads(body)).get("environment")).get("experiments")
        types, blocked = self._settings.cohort_types, self._settings.cohort_blocklist
        chosen = []
        for name, told in _object(experiments).items():
            kind, branch = _object(told).get("type"), _object(told).get("branch")
            if name not in blocked and (kind is None or kind in types):
                chosen.append((name, branch if isinstance(branch, str) else ""))
        return chosen


def within(values: Sequence[str], is_room: Callable[[Sequence[str]], bool]) -> tuple[str, ...]:
    """The values, or as many of them OTHER as it takes to find room. Date and namespace always stay: nobody outside can
    invent those."""
    last_other = (*values[:-1], OTHER)
    if is_room(values):
        return tuple(values)
    return last_other if is_room(last_other) else (*values[:2], *(OTHER for _ in values[2:]))


def _allowed(value: str, allowed: Sequence[str]) -> str:
    if not value:
        return UNKNOWN
    return component(value) if value in allowed or "*" in allowed else OTHER


def _text(found: Message, name: str) -> str:
    value = found.first(name)
    return value if isinstance(value, str) else ""


def _version(found: Message) -> int:
    value = found.first("docVersion")
    return int(value) if isinstance(value, int | float) else 0


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
