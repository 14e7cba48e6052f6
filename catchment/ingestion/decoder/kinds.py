"""What a telemetry document says of itself, by its kind of body. The first of these keys that is not null tells it:

    ver          3: the first run of a Firefox OS device; any other: a ping of the time before 2015, with an `info`
    version      a unified ping: `application`, `environment`, `payload`
    deviceinfo   app usage of Firefox OS
    v            a mobile ping
    none         anything else; stored whole, and nothing is read from it

An object or array as value of a key but `deviceinfo` does not make the kind: the schema, not this step, judges it.
"""

from __future__ import annotations

from typing import Any, Literal

from catchment.document import NOTHING_STATED, Stated

Kind = Literal["ver", "version", "deviceinfo", "v"]
FIRST_RUN = 3
APP_USAGE_VERSION = "3"
_NOTHING: dict[str, Any] = {}


def kind_of(content: dict[str, Any]) -> Kind | None:
    if _is_scalar(content.get("ver")):
        return "ver"
    if _is_scalar(content.get("version")):
        return "version"
    if content.get("deviceinfo") is not None:
        return "deviceinfo"
    return "v" if _is_scalar(content.get("v")) else None


def read_stated(content: dict[str, Any], version: int) -> Stated:
    """What a telemetry document states; `version` is its version as the schema was chosen by it."""
    kind = kind_of(content)
    if kind == "version":
        return _unified(content, version)
    if kind == "ver" and content["ver"] != FIRST_RUN:
        return _old(_object(content.get("info")), version)
    if kind is None:
        return NOTHING_STATED
    return Stated(APP_USAGE_VERSION if kind == "deviceinfo" else str(version))


def _unified(content: dict[str, Any], version: int) -> Stated:
    application, environment = _object(content.get("application")), _object(content.get("environment"))
    info = _object(_object(content.get("payload")).get("info"))
    system, addons = _object(environment.get("system")), _object(environment.get("addons"))
    enabled = _object(environment.get("settings")).get("telemetryEnabled")
    return Stated(
        version,
        _text(application.get("name")),
        _text(application.get("version")),
        _text(application.get("channel")),
        _text(application.get("buildId")),
        _text(application.get("vendor")),
        _text(info.get("reason")),
        _text(_object(system.get("os")).get("name")),
        enabled if type(enabled) is bool else None,
        _text(_object(addons.get("activeExperiment")).get("id")),
    )


def _old(info: dict[str, Any], version: int) -> Stated:
    """Such a ping was only sent while telemetry was enabled."""
    return Stated(
        str(version),
        _text(info.get("appName")),
        _text(info.get("appVersion")),
        _text(info.get("appUpdateChannel")),
        _text(info.get("appBuildID")),
        reason=_text(info.get("reason")),
        os=_text(info.get("OS")),
        telemetry_enabled=True,
    )


def _is_scalar(value: Any) -> bool:
    return value is not None and type(value) is not dict and type(value) is not list


def _object(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else _NOTHING


def _text(value: Any) -> str | None:
    return value if type(value) is str and value else None
